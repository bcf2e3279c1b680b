"""The api worker: probes services over HTTP, each probe on a fresh connection.

One event loop. What several services have in common (``cinder`` and ``cinderv2`` their root) is probed once
and counted for all. Calls that show who we are cost a service more than its root, and are gentle. Addresses
that answer no echo are its business, too: it tries them by TCP, and goes on with the port that has answered.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from downtimer import certificates
from downtimer.checks import is_identity
from downtimer.messages import Answering, Counts, Standing, Token, Unfit
from downtimer.model import (
    ANSWERS,
    LOGIN,
    SECOND_NS,
    TCP,
    WORKS,
    Call,
    Kind,
    Span,
    TargetId,
    TargetState,
    Verdict,
    method_of,
)
from downtimer.pace import Bucket, Rates
from downtimer.source import Source
from downtimer.verdicts import is_hang
from downtimer.workers import probing
from downtimer.workers.fallback import Fallback
from downtimer.workers.http_request import tls_context
from downtimer.workers.names import Names
from downtimer.workers.pending import Slot
from downtimer.workers.probing import Findings, Reach
from downtimer.workers.questions import CallQuestion, HttpSurroundings, Question, RootQuestion
from downtimer.workers.reactor import Reactor
from downtimer.workers.records import WINDOW_NS, AddressRecord, ServiceRecord
from downtimer.workers.runner import Runner, Surroundings
from downtimer.workers.standings import Standings
from downtimer.workers.talk import Ground
from downtimer.workers.tcp_probe import TcpQuestion
from downtimer.workers.tokens import Tokens
from downtimer.workers.turns import Turns
from downtimer.workers.window_length import window_of
from downtimer.workers.worker import CannotStartError, Child, main

log = logging.getLogger(__name__)

_TICK_S: Final = 1.0
_AT_A_TIME: Final = 200
"""So many series may be gone through before a probe that is due gets its turn."""

_LEAST_WORKS_S: Final = 0.2
_LEAST_LOGIN_S: Final = 1.5  # each costs Keystone up to half a second of CPU


@dataclass(frozen=True, slots=True)
class _Root:
    """What is asked of a service: whether its root answers."""

    url: str


@dataclass(frozen=True, slots=True)
class _Port:
    """What is asked of an address: whether this port answers."""

    address: str
    number: int


_Key = _Root | Call | _Port
"""What a series is of. Equal ones are probed once, for all their targets."""


class ApiEngine:
    """Probes services, and addresses by TCP."""

    def __init__(self, child: Child, findings: Findings, names: Names | None = None) -> None:
        """`names`: another resolver's, for tests; None for the system's."""
        config = child.settings.config
        self._clock = child.clock
        self._bus = child.bus
        self._findings = findings
        self._outbox = findings.outbox
        self._section = config.api
        self._db = config.db
        try:
            self._tls = tls_context(config.trust)
        except OSError as exc:
            reason = certificates.why_unusable(config.trust) or exc.strerror or str(exc)
            raise CannotStartError(f"{certificates.where(config)}: {reason}") from exc
        self._ground = Ground(Reactor(), Source(config.targets.source))
        self._names = names or Names(child.clock)
        bucket = Bucket(self._section.budget)
        self._around = Surroundings(
            child,
            findings,
            self._ground.reactor,
            Turns(bucket, self._ground.reactor, child.clock),
            self._unfit,
            self._turned,
            self._is_keystone_away,
        )
        self._tokens = Tokens(config.account, child.clock, child.bus)
        self._http = HttpSurroundings(self._tls, self._names, self._ground)
        self._fallback = Fallback(
            config.icmp.tcp_fallback,
            ground=self._ground,
            clock=child.clock,
            bucket=bucket,
            found=self._found,
        )
        self._runners: dict[_Key, Runner] = {}
        self._of_target: dict[TargetId, list[_Key]] = {}
        self._standings = Standings()
        self._retired: set[TargetId] = set()
        self._slots: dict[str, Slot] = {}  # by service
        self._keystones: set[TargetId] = set()
        self._unfits: set[tuple[TargetId, _Key]] = set()  # the supervisor's word on them may be under way
        self._rates = self._make_rates()
        self._window_ns = self._clock.now_ns()
        self._address_window_ns = self._fit_address_window()

    def take_token(self, token: Token) -> None:
        """Show this one from now on."""
        self._tokens.take(token)

    def tell_when_answered(self, target: TargetId) -> None:
        """Tell discovery when a call to this service has been answered."""
        calls = [key for key in self._of_target.get(target, ()) if isinstance(key, Call)]

        def tell(*, hangs: bool) -> None:
            self._bus.send(Answering(target=target, hangs=hangs))

        if calls:
            self._runners[calls[0]].when_answered(tell)
        else:
            tell(hangs=False)

    # --- targets ---

    def update(self, state: TargetState) -> None:
        """Take a target that is new, has changed or is retired."""
        target, is_probed = state.target, state.retired_ns is None
        if is_probed and state.silent_ns is not None and state.method is None:
            self._fallback.add(target.id, target.name)
        else:
            self._fallback.remove(target.id)
        keys = [key for key in self._keys_of(state) if self._has_runner(key)] if is_probed else []
        for key in self._of_target.pop(target.id, []):
            if key not in keys:
                self._leave(key, target.id)
        if is_identity(target):
            self._keystones.add(target.id)
        for key in keys:
            if target.id not in self._runners[key].series.targets():
                self._enter(key, state)
        if keys:
            self._of_target[target.id] = keys
            self._retired.discard(target.id)
        elif not is_probed:
            self._retired.add(target.id)
        self._note_standing(target.id)

    def keep_only(self, targets: Iterable[TargetId]) -> None:
        """Forget every target but these."""
        kept = set(targets)
        self._fallback.keep_only(kept)
        for target in self._of_target.keys() - kept:
            for key in self._of_target.pop(target):
                self._leave(key, target)
            self._note_standing(target)

    def _has_runner(self, key: _Key) -> bool:
        """See that there is a runner for that; return False if it can't be asked."""
        if key not in self._runners:
            try:
                self._runners[key] = self._make_runner(key)
            except ValueError as exc:
                log.error("not probed: %s", exc)  # noqa: TRY400 - the line says it all
                return False
        return True

    def _enter(self, key: _Key, state: TargetState) -> None:
        """Count the probes of a series for this target, too."""
        runner, target, now_ns = self._runners[key], state.target.id, self._clock.now_ns()
        series = runner.series
        series.add(target, state.baselines.get(series.check), now_ns, runner.rates)
        if target in self._retired:
            series.skip(now_ns, "unlisted", runner.rates)
        runner.arm()

    def _leave(self, key: _Key, target: TargetId) -> None:
        runner = self._runners[key]
        runner.series.remove(target)
        if not runner.series.targets():
            runner.record.end_window([target], self._window_ns, is_last=True)
            runner.drop()
            del self._runners[key]
            if runner.question.name is not None:
                self._names.remove(*runner.question.name)
            if isinstance(key, Call):
                self._leave_slot(key.service)

    def _leave_slot(self, service: str) -> None:
        """A call is made no more."""
        slot = self._slots[service]
        slot.users -= 1
        if not slot.users:
            del self._slots[service]

    def _make_runner(self, key: _Key) -> Runner:
        """Return what asks that.

        Raises:
            ValueError: It is asked of a URL that is none.
        """
        if isinstance(key, _Port):
            port = TcpQuestion(key.address, key.number, self._ground)
            addresses = AddressRecord(self._outbox, lambda: self._address_window_ns)
            return Runner(port, addresses, self._around, self._rates[TCP])
        question: Question
        if isinstance(key, _Root):
            question = RootQuestion(ANSWERS, key.url, self._http)
        else:
            question = CallQuestion(key, self._tokens, self._http)
        record = ServiceRecord(question.check, self._outbox, wants_samples=self._db is not None)
        slot = None
        if isinstance(key, Call):
            slot = self._slots.setdefault(key.service, Slot())
            slot.users += 1
        return Runner(question, record, self._around, self._rates[question.check], slot)

    def _unfit(self, runner: Runner, status: int) -> None:
        """What a series asks is not for us, or not known there: tell so, and ask no more."""
        check, targets = runner.series.check, runner.series.targets()
        keys = self._of_target[targets[0]]
        key = next(key for key in keys if self._runners[key] is runner and isinstance(key, Call))
        reason = _why_unfit(key, status)
        for target in targets:
            self._bus.send(Unfit(target=target, check=check, why=reason))
            self._unfits.add((target, key))
            self._of_target[target].remove(key)
            self._leave(key, target)
            self._note_standing(target)

    def _turned(self, runner: Runner, before: Verdict | None) -> None:
        """The newest probe of a series says something else than the one before.

        If a root that has failed is well again, a call that hung meanwhile may have been lost with it.
        """
        is_back = before is Verdict.DOWN and runner.series.latest in (Verdict.UP, Verdict.SLOW)
        for target in runner.series.targets():
            self._note_standing(target)
            if is_back and runner.question.check == ANSWERS:
                for key in self._of_target.get(target, ()):
                    self._runners[key].doubt_pending()

    def _is_keystone_away(self) -> bool:
        """Tell whether a Keystone fails at once, instead of hanging."""
        causes = (
            self._runners[key].series.failing()
            for target in self._keystones
            for key in self._of_target.get(target, ())
        )
        return any(cause is not None and not is_hang(cause) for cause in causes)

    def _keys_of(self, state: TargetState) -> list[_Key]:
        """Return what a target's series are of."""
        target = state.target
        if target.kind is Kind.SERVICE:
            calls = [
                call
                for call in target.calls
                if call.check not in state.unfit and (target.id, call) not in self._unfits
            ]
            return [_Root(target.url), *calls] if target.url is not None else []
        return [_Port(target.name, state.port)] if state.port is not None else []

    def _found(self, target: TargetId, port: int) -> None:
        """A silent address has answered on a port."""
        self._findings.reached(target, method_of(port))

    # --- how it stands ---

    def counts(self) -> dict[Kind, Counts]:
        """Return how the targets stand, each as the worst of its checks does."""
        return self._standings.counts()

    def standings(self) -> tuple[Standing, ...]:
        """Return how services stand one by one, with the latency of their roots."""
        return tuple(
            Standing(target, verdict, self._runners[self._of_target[target][0]].record.latency_ns)
            for target, verdict in self._standings.services()
        )

    def _note_standing(self, target: TargetId) -> None:
        """Note how a target stands, if it is probed at all."""
        keys = self._of_target.get(target)
        if keys:
            kind = Kind.ADDRESS if isinstance(keys[0], _Port) else Kind.SERVICE
            self._standings.put(target, kind, [self._runners[key].series.latest for key in keys])
        else:
            self._standings.drop(target)

    def reach(self) -> dict[str, Reach]:
        """Return how far each check is."""
        now_ns = self._clock.now_ns()
        reach: dict[str, Reach] = {}
        fronts: dict[str, tuple[int, int]] = {}  # of the many that are not gentle; and how wide they were
        for runner in self._runners.values():
            check = runner.series.check
            if runner.rates.is_gentle:
                found = runner.reach(now_ns)
                reach[check] = found.with_all_of(reach.get(check, found))
            else:
                front_ns, widest_ns = fronts.get(check, (now_ns, 0))
                fronts[check] = min(front_ns, runner.front_ns), max(widest_ns, runner.series.widest_ns)
        for check, (front_ns, widest_ns) in fronts.items():
            reach[check] = Reach(front_ns, front_ns, self._rates[check].longest_ns, widest_ns)
        return reach

    def open_spans(self) -> Iterator[Span]:
        """Yield all spans that are growing, as each stands when its turn comes."""
        for runner in list(self._runners.values()):
            yield from runner.series.open_spans()

    def troubled_spans(self) -> Iterator[Span]:
        """Yield those of the checks that are not up."""
        for runner in self._runners.values():
            if runner.series.latest is not Verdict.UP:
                yield from runner.series.open_spans()

    # --- work ---

    async def run(self) -> None:
        """Look names up, try silent addresses, fit the rates, close windows; timers do the rest."""
        tasks = [
            asyncio.create_task(self._names.run()),
            asyncio.create_task(self._fallback.run(lambda: self._rates[TCP].timeout_ns)),
        ]
        try:
            while True:
                self._fit_rates()
                if self._clock.now_ns() - self._window_ns >= WINDOW_NS:
                    await self._end_window()
                await asyncio.sleep(_TICK_S)
        finally:
            for task in tasks:
                task.cancel()

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""
        self._fallback.keep_only(set())
        for runner in self._runners.values():
            runner.look_again()
        for runner in self._runners.values():
            runner.stop()
        deadline_ns = self._clock.now_ns() + self._rates[ANSWERS].timeout_ns + SECOND_NS
        while any(runner.series.has_unanswered() for runner in self._runners.values()):
            if self._clock.now_ns() > deadline_ns:
                log.error("probes are under way beyond their deadline")
                break
            await asyncio.sleep(0.01)
        await self._end_window(is_last=True)
        for runner in self._runners.values():
            runner.series.close()
            runner.drop()

    def _make_rates(self) -> dict[str, Rates]:
        """Return the rates by check."""
        now_ns, section = self._clock.now_ns(), self._section
        counts: Counter[str] = Counter()
        checks = fast = 0
        for runner in self._runners.values():
            if runner.rates.is_gentle:
                counts[runner.series.check] += 1
            else:
                checks += 1
                pace = runner.series.pace
                fast += not pace.is_calm and pace.is_in_episode(now_ns, runner.rates)
        common = Rates.within(section, checks=checks, fast=fast)
        return {
            ANSWERS: common,
            TCP: common,
            WORKS: Rates.gently(
                section, interval_s=section.works_interval, least_s=_LEAST_WORKS_S, checks=counts[WORKS]
            ),
            LOGIN: Rates.gently(
                section, interval_s=section.login_interval, least_s=_LEAST_LOGIN_S, checks=counts[LOGIN]
            ),
        }

    def _fit_rates(self) -> None:
        rates = self._make_rates()
        if rates == self._rates:
            return
        self._rates = rates
        for runner in self._runners.values():
            runner.rates = rates[runner.series.check]

    async def _end_window(self, *, is_last: bool = False) -> None:
        """Put on record what was found since the last one, a few series at a time."""
        began_ns, self._window_ns = self._window_ns, self._clock.now_ns()
        self._address_window_ns = self._fit_address_window()
        for number, runner in enumerate(list(self._runners.values())):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            runner.record.end_window(runner.series.targets(), began_ns, is_last=is_last)

    def _fit_address_window(self) -> int | None:
        """Return how long the windows of addresses are, as there are so many; None if there are none."""
        addresses = sum(isinstance(key, _Port) for key in self._runners)
        return window_of(self._db, addresses)


def _why_unfit(call: Call, status: int) -> str:
    """Return why a call is not made, with what was asked: its path may be the configuration's, and wrong."""
    parts = urlsplit(call.url)
    asked = f"{parts.path}?{parts.query}" if parts.query else parts.path
    permission = ": not permitted to this user" if status == 403 else ""
    return f"{call.method} {asked} answered {status}{permission}"


async def body(child: Child) -> None:
    """Be the api worker."""
    await probing.run(child, ApiEngine)


if __name__ == "__main__":
    main("api", body)
