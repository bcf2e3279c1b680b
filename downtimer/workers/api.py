"""The api worker: probes services over HTTP, each probe on a fresh connection.

One event loop. Services with the same request (``cinder`` and ``cinderv2`` at one root) are probed once
and counted for all. Addresses that answer no echo are its business, too: it tries them by TCP, and goes
on with the port that has answered.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from downtimer.messages import Counts, Method
from downtimer.model import (
    ANSWERS,
    SECOND_NS,
    Kind,
    Target,
    TargetId,
    TargetState,
    Verdict,
    method_of,
)
from downtimer.pace import Bucket, Rates
from downtimer.series import Series
from downtimer.source import Source
from downtimer.verdicts import judge_status
from downtimer.workers import probing
from downtimer.workers.fallback import Fallback
from downtimer.workers.http_probe import HttpQuestion, Judge
from downtimer.workers.http_request import Request, prepare, tls_context
from downtimer.workers.names import Names
from downtimer.workers.probing import Findings
from downtimer.workers.records import AddressRecord, ServiceRecord
from downtimer.workers.runner import Runner, Surroundings
from downtimer.workers.tcp_probe import TcpQuestion
from downtimer.workers.worker import CannotStartError, Child, main

log = logging.getLogger(__name__)

WINDOW_NS: Final = 10 * SECOND_NS
_TICK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """What is asked of a service. Equal checks are probed once, for all their targets.

    Attributes:
        name: ``answers``, …
        request: What is sent.
        judge: Of the answers.
    """

    name: str
    request: Request
    judge: Judge


def checks_of(target: Target) -> list[Check]:
    """Return the checks that a service is due."""
    if target.url is None:
        return []
    return [Check(ANSWERS, Request(method="GET", url=target.url), judge_status)]


@dataclass(frozen=True, slots=True)
class _Port:
    """What is asked of an address: whether this port answers."""

    address: str
    number: int


_Key = Check | _Port
"""What a series is of."""


class ApiEngine:
    """Probes services, and addresses by TCP."""

    def __init__(self, child: Child, findings: Findings, names: Names | None = None) -> None:
        """`names`: another resolver's, for tests; None for the system's."""
        config = child.settings.config
        self._clock = child.clock
        self._bus = child.bus
        self._outbox = findings.outbox
        self._section = config.api
        self._has_db = config.db is not None
        try:
            self._tls = tls_context(config.global_.cacert, insecure=config.global_.insecure)
        except OSError as exc:
            reason = exc.strerror or exc
            raise CannotStartError(
                f"{config.path}: [global] cacert: {config.global_.cacert}: {reason}"
            ) from exc
        self._names = names or Names(child.clock)
        self._source = Source(config.targets.source)
        self._around = Surroundings(child, findings, Bucket(self._section.budget))
        self._fallback = Fallback(
            config.icmp.tcp_fallback,
            source=self._source,
            clock=child.clock,
            bucket=self._around.bucket,
            found=self._found,
        )
        self._runners: dict[_Key, Runner] = {}
        self._of_target: dict[TargetId, list[_Key]] = {}
        self._retired: set[TargetId] = set()
        self._rates = self._make_rates()
        self._window_ns = self._clock.now_ns()

    # --- targets ---

    def update(self, state: TargetState) -> None:
        """Take a target that is new, has changed or is retired."""
        target, is_probed = state.target, state.retired_ns is None
        if is_probed and state.silent_ns is not None and state.method is None:
            self._fallback.add(target.id, target.name)
        else:
            self._fallback.remove(target.id)
        keys = [key for key in _keys_of(state) if self._has_runner(key)] if is_probed else []
        for key in self._of_target.pop(target.id, []):
            if key not in keys:
                self._leave(key, target.id)
        for key in keys:
            if target.id not in self._runners[key].series.targets():
                self._enter(key, state)
        if keys:
            self._of_target[target.id] = keys
            self._retired.discard(target.id)
        elif not is_probed:
            self._retired.add(target.id)
        self._keep_names()

    def keep_only(self, targets: Iterable[TargetId]) -> None:
        """Forget every target but these."""
        kept = set(targets)
        self._fallback.keep_only(kept)
        for target in self._of_target.keys() - kept:
            for key in self._of_target.pop(target):
                self._leave(key, target)
        self._keep_names()

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
        target, series, now_ns = state.target.id, self._runners[key].series, self._clock.now_ns()
        series.add(target, state.baselines.get(series.check), now_ns, self._rates)
        if target in self._retired:
            series.skip(now_ns, "unlisted", self._rates)
        self._runners[key].arm()

    def _leave(self, key: _Key, target: TargetId) -> None:
        runner = self._runners[key]
        runner.series.remove(target)
        if not runner.series.targets():
            runner.record.end_window([target], self._window_ns)
            runner.drop()
            del self._runners[key]

    def _make_runner(self, key: _Key) -> Runner:
        """Return what asks that.

        Raises:
            ValueError: It is asked of a URL that is none.
        """
        if isinstance(key, _Port):
            port = TcpQuestion(key.address, key.number, self._source)
            return Runner(
                port, AddressRecord(self._outbox, is_wanted=self._has_db), self._around, self._rates
            )
        prepared = prepare(key.request, self._tls)
        self._names.add(prepared.host, prepared.port)
        question = HttpQuestion(key.name, prepared, key.judge, self._names, self._source)
        record = ServiceRecord(key.name, self._outbox, wants_samples=self._has_db)
        return Runner(question, record, self._around, self._rates)

    def _keep_names(self) -> None:
        names = (runner.question.name for runner in self._runners.values())
        self._names.keep_only({name for name in names if name is not None})

    def _found(self, target: TargetId, port: int) -> None:
        """A silent address has answered on a port."""
        self._bus.send(Method(target=target, method=method_of(port)))

    # --- how it stands ---

    def counts(self) -> dict[Kind, Counts]:
        """Return how the checks stand, each once per target."""
        latest: dict[Kind, list[Verdict | None]] = {kind: [] for kind in Kind}
        for keys in self._of_target.values():
            for key in keys:
                kind = Kind.ADDRESS if isinstance(key, _Port) else Kind.SERVICE
                latest[kind].append(self._runners[key].series.latest)
        return {kind: Counts.of(verdicts) for kind, verdicts in latest.items()}

    def through_ns(self) -> int:
        """Return the instant up to which every probe is sent and judged."""
        now_ns = self._clock.now_ns()
        return min((runner.through_ns(now_ns) for runner in self._runners.values()), default=now_ns)

    def interval_ns(self) -> int:
        """Return the longest interval in force."""
        return self._rates.longest_ns

    def series(self) -> Iterable[Series]:
        """Return all series of probes."""
        return (runner.series for runner in self._runners.values())

    # --- work ---

    async def run(self) -> None:
        """Look names up, try silent addresses, fit the rates, close windows; timers do the rest."""
        tasks = [
            asyncio.create_task(self._names.run()),
            asyncio.create_task(self._fallback.run(lambda: self._rates.timeout_ns)),
        ]
        try:
            while True:
                self._fit_rates()
                if self._clock.now_ns() - self._window_ns >= WINDOW_NS:
                    self._end_window()
                await asyncio.sleep(_TICK_S)
        finally:
            for task in tasks:
                task.cancel()

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""
        self._fallback.keep_only(set())
        for runner in self._runners.values():
            runner.stop()
        deadline_ns = self._clock.now_ns() + self._rates.timeout_ns + SECOND_NS
        while any(runner.series.has_unanswered() for runner in self._runners.values()):
            if self._clock.now_ns() > deadline_ns:
                log.error("probes are under way beyond their deadline")
                break
            await asyncio.sleep(0.01)
        self._end_window()
        for runner in self._runners.values():
            runner.series.close()
            runner.drop()

    def _make_rates(self) -> Rates:
        now_ns = self._clock.now_ns()
        paces = [(runner.series.pace, runner.rates) for runner in self._runners.values()]
        return Rates.within(
            self._section,
            checks=len(paces),
            fast=sum(pace.is_in_episode(now_ns, rates) for pace, rates in paces),
        )

    def _fit_rates(self) -> None:
        self._rates = self._make_rates()
        for runner in self._runners.values():
            runner.rates = self._rates

    def _end_window(self) -> None:
        for runner in self._runners.values():
            runner.record.end_window(runner.series.targets(), self._window_ns)
        self._window_ns = self._clock.now_ns()


def _keys_of(state: TargetState) -> list[_Key]:
    """Return what a target's series are of."""
    if state.target.kind is Kind.SERVICE:
        return list(checks_of(state.target))
    return [_Port(state.target.name, state.port)] if state.port is not None else []


async def body(child: Child) -> None:
    """Be the api worker."""
    await probing.run(child, ApiEngine)


if __name__ == "__main__":
    main("api", body)
