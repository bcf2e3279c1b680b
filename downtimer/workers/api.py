"""The api worker: probes services over HTTP, each probe on a fresh connection.

One event loop. Every series of probes has a timer of its own and is an open loop: a probe is due every
interval, whether or not the last has returned. Services with the same request (``cinder`` and
``cinderv2`` at one root) are probed once and counted for all.
"""

import asyncio
import logging
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from downtimer.clock import RunClock
from downtimer.messages import LatencyWindow, Sample
from downtimer.model import ANSWERS, SECOND_NS, Kind, Span, TargetId, TargetState, Verdict
from downtimer.pace import Bucket, Rates
from downtimer.series import Answer, Series
from downtimer.source import Source
from downtimer.verdicts import judge_status, verdict_of
from downtimer.workers import probing
from downtimer.workers.http_probe import Probe, Result
from downtimer.workers.http_request import Prepared, Request, prepare, tls_context
from downtimer.workers.names import Names
from downtimer.workers.probing import Counts, Findings
from downtimer.workers.worker import CannotStartError, Child, main

log = logging.getLogger(__name__)

WINDOW_NS: Final = 10 * SECOND_NS
_TICK_S: Final = 1.0
_NAME_WAIT_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Check:
    """What is asked of a service.

    Attributes:
        name: ``answers``, …
        request: What is sent.
        judge: (status, class of the check's first good status or None) → cause, None if good.
    """

    name: str
    request: Request
    judge: Callable[[int, int | None], str | None]


def checks_of(state: TargetState) -> list[Check]:
    """Return the checks that a service is due."""
    if state.target.url is None:
        return []
    return [Check(ANSWERS, Request(method="GET", url=state.target.url), judge_status)]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all series of probes share. `rates` and `bucket` belong to their kind of check."""

    child: Child
    findings: Findings
    names: Names
    source: Source
    bucket: Bucket

    @property
    def clock(self) -> RunClock:
        """The run's."""
        return self.child.clock


class Runner:
    """Runs one series of probes: its timer, the probes under way, what they found."""

    def __init__(self, check: Check, prepared: Prepared, around: Surroundings, rates: Rates) -> None:
        self.check = check
        self.prepared = prepared
        self.rates = rates
        self.series = Series(check.name, around.child.incarnation, around.findings)
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_ns: int | None = None
        self._flying: dict[Probe, tuple[int, asyncio.TimerHandle]] = {}
        self._latencies: list[int] = []
        self._is_stopped = False

    # --- when ---

    def arm(self) -> None:
        """Set the timer to the instant at which the next probe is due, if it has changed."""
        due_ns = None if self._is_stopped else self.series.due_ns(self.rates)
        if due_ns == self._armed_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ns = due_ns
        if due_ns is not None:
            wait_s = (due_ns - self._around.clock.now_ns()) / SECOND_NS
            self._timer = self._loop.call_later(max(wait_s, 0.0), self._fire)

    def stop(self) -> None:
        """Send no more."""
        self._is_stopped = True
        self.arm()

    def drop(self) -> None:
        """Send no more and forget what is under way."""
        self.stop()
        for probe, (_, deadline) in self._flying.items():
            deadline.cancel()
            probe.close()
        self._flying.clear()

    def through_ns(self, now_ns: int) -> int:
        """Return the instant up to which every probe that was due is sent and judged."""
        due_ns = self.series.due_ns(self.rates)
        judged_ns = self.series.judged_through_ns(now_ns)
        return judged_ns if due_ns is None or self._is_stopped else min(judged_ns, due_ns)

    def _again(self, wait_s: float) -> None:
        self._timer = self._loop.call_later(wait_s, self._fire)

    def _fire(self) -> None:
        """Send the probe that is due, unless it must wait for its name or the budget."""
        around = self._around
        now_ns = around.clock.now_ns()
        resolution = around.names.resolution(self.prepared.host, self.prepared.port)
        if resolution is None:
            self._again(_NAME_WAIT_S)
            return
        if wait_ns := around.bucket.wait_ns(now_ns):
            self._again(wait_ns / SECOND_NS)
            return
        self._armed_ns = None
        sent_ns = self.series.issue(now_ns, self.rates)
        if resolution.cause is not None:
            self._settle(sent_ns, Result(resolution.cause), now_ns)
        else:
            probe = Probe(self.prepared, around.source, self._judge, self._done)
            deadline = self._loop.call_later(self.rates.timeout_ns / SECOND_NS, probe.expire)
            self._flying[probe] = (sent_ns, deadline)
            probe.start(resolution.endpoints)
        self.arm()

    # --- what came of it ---

    def _judge(self, status: int) -> str | None:
        return self.check.judge(status, self.series.baseline.status_class)

    def _done(self, probe: Probe, result: Result) -> None:
        now_ns = self._around.clock.now_ns()
        sent_ns, deadline = self._flying.pop(probe)
        deadline.cancel()
        probe.close()
        self._settle(sent_ns, result, now_ns)
        self.arm()

    def _settle(self, sent_ns: int, result: Result, now_ns: int) -> None:
        """Resolve a probe."""
        if result.cause is None:
            latency_ns = now_ns - sent_ns
            was_late = self._around.child.watch.was_late_since(sent_ns)
            self._latencies.append(latency_ns)
            self.series.good(sent_ns, Answer(latency_ns, result.status, was_late), now_ns, self.rates)
        else:
            self.series.bad(sent_ns, result.cause, now_ns, self.rates)
        if self._around.child.settings.config.db is not None:
            self._tell(sent_ns, result, now_ns)

    def _tell(self, sent_ns: int, result: Result, now_ns: int) -> None:
        """Put the probe on record in detail."""
        is_unknown = result.cause is not None and verdict_of(result.cause) is Verdict.UNKNOWN
        for target in self.series.targets():
            self._around.findings.outbox.sample(
                Sample(
                    target=target,
                    check=self.check.name,
                    sent_ns=sent_ns,
                    up=None if is_unknown else result.cause is None,
                    latency_ns=None if result.status is None else now_ns - sent_ns,
                    status=result.status,
                    cause=result.cause,
                )
            )

    def end_window(self, start_ns: int) -> None:
        """Put the latencies of the good answers since `start_ns` on record."""
        latencies, self._latencies = self._latencies, []
        if not latencies:
            return
        for target in self.series.targets():
            self._around.findings.outbox.latency(
                LatencyWindow(
                    target=target,
                    check=self.check.name,
                    start_ns=start_ns,
                    answers=len(latencies),
                    min_ns=min(latencies),
                    median_ns=int(statistics.median(latencies)),
                    max_ns=max(latencies),
                )
            )


class ApiEngine:
    """Probes services."""

    def __init__(self, child: Child, findings: Findings, names: Names | None = None) -> None:
        """`names`: another resolver's, for tests; None for the system's."""
        config = child.settings.config
        self._section = config.api
        try:
            self._tls = tls_context(config.global_.cacert, insecure=config.global_.insecure)
        except OSError as exc:
            reason = exc.strerror or exc
            raise CannotStartError(
                f"{config.path}: [global] cacert: {config.global_.cacert}: {reason}"
            ) from exc
        names = names or Names(child.clock)
        self._around = Surroundings(
            child, findings, names, Source(config.targets.source), Bucket(self._section.budget)
        )
        self._runners: dict[tuple[str, Request], Runner] = {}
        self._of_target: dict[TargetId, list[Runner]] = {}
        self._rates = self._make_rates()
        self._window_ns = child.clock.now_ns()

    # --- targets ---

    def update(self, state: TargetState) -> None:
        """Take a service that is new, has changed or is retired; others are passed over."""
        target = state.target
        if target.kind is not Kind.SERVICE:
            return
        checks = [] if state.retired_ns is not None else checks_of(state)
        wanted = [runner for check in checks if (runner := self._runner(check)) is not None]
        for runner in self._of_target.pop(target.id, []):
            if runner not in wanted:
                self._leave(runner, target.id)
        for runner in wanted:
            if target.id not in runner.series.targets():
                now_ns = self._around.clock.now_ns()
                runner.series.add(target.id, state.baselines.get(runner.check.name), now_ns, self._rates)
                runner.arm()
        if wanted:
            self._of_target[target.id] = wanted
        self._keep_names()

    def keep_only(self, targets: Iterable[TargetId]) -> None:
        """Forget every target but these."""
        for target in self._of_target.keys() - set(targets):
            for runner in self._of_target.pop(target):
                self._leave(runner, target)
        self._keep_names()

    def _runner(self, check: Check) -> Runner | None:
        """Return the runner of a check, a new one if need be; None if it can't be sent."""
        key = (check.name, check.request)
        if key not in self._runners:
            try:
                prepared = prepare(check.request, self._tls)
            except ValueError as exc:
                log.error("not probed: %s", exc)  # noqa: TRY400 - the line says it all
                return None
            self._around.names.add(prepared.host, prepared.port)
            self._runners[key] = Runner(check, prepared, self._around, self._rates)
        return self._runners[key]

    def _leave(self, runner: Runner, target: TargetId) -> None:
        runner.series.remove(target)
        if not runner.series.targets():
            runner.drop()
            del self._runners[(runner.check.name, runner.check.request)]

    def _keep_names(self) -> None:
        prepared = [runner.prepared for runner in self._runners.values()]
        self._around.names.keep_only({(each.host, each.port) for each in prepared})

    # --- how it stands ---

    def counts(self) -> Counts:
        """Return how the checks stand, each once per target."""
        counts = Counts()
        for runners in self._of_target.values():
            for runner in runners:
                counts.add(runner.series.latest)
        return counts

    def through_ns(self) -> int:
        """Return the instant up to which every probe is sent and judged."""
        now_ns = self._around.clock.now_ns()
        return min((runner.through_ns(now_ns) for runner in self._runners.values()), default=now_ns)

    def interval_ns(self) -> int:
        """Return the longest interval in force."""
        return self._rates.longest_ns

    def widest_ns(self) -> int:
        """Return the largest distance between two neighbouring probes of one check so far."""
        return max((runner.series.widest_ns for runner in self._runners.values()), default=0)

    def open_spans(self) -> Iterable[Span]:
        """Return the spans that are growing."""
        return [span for runner in self._runners.values() for span in runner.series.open_spans()]

    # --- work ---

    async def run(self) -> None:
        """Look names up, fit the rates to the budget and close windows; timers do the probing."""
        looking = asyncio.create_task(self._around.names.run())
        try:
            while True:
                self._fit_rates()
                self._end_window_if_due()
                await asyncio.sleep(_TICK_S)
        finally:
            looking.cancel()

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""
        for runner in self._runners.values():
            runner.stop()
        deadline_ns = self._around.clock.now_ns() + self._rates.timeout_ns + SECOND_NS
        while any(runner.series.has_unanswered() for runner in self._runners.values()):
            if self._around.clock.now_ns() > deadline_ns:
                log.error("probes are under way beyond their deadline")
                break
            await asyncio.sleep(0.01)
        self._end_window()
        for target, runners in self._of_target.items():
            for runner in runners:
                runner.series.remove(target)
        for runner in self._runners.values():
            runner.drop()

    def _make_rates(self) -> Rates:
        now_ns = self._around.clock.now_ns()
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

    def _end_window_if_due(self) -> None:
        if self._around.clock.now_ns() - self._window_ns >= WINDOW_NS:
            self._end_window()

    def _end_window(self) -> None:
        for runner in self._runners.values():
            runner.end_window(self._window_ns)
        self._window_ns = self._around.clock.now_ns()


async def body(child: Child) -> None:
    """Be the api worker."""
    await probing.run(child, ApiEngine)


if __name__ == "__main__":
    main("api", body)
