"""One series of probes: when the next is due, what its answers mean, which spans they make.

Pure but for its sink; runs in the workers. Binds the parts that know one thing each: the pace, the
baseline, and a tracker per target (several catalog entries may share one URL, which is then probed
once and counted for all of them).
"""

import statistics
import zlib
from dataclasses import dataclass, replace
from typing import Final, Protocol

from downtimer.model import MILLISECOND_NS, Baseline, Incarnation, Span, TargetId, Verdict
from downtimer.pace import UNANSWERED_MAX, Pace, Rates
from downtimer.tracker import Outcome, Tracker
from downtimer.verdicts import verdict_of

BASELINE_ANSWERS: Final = 20
SLOW_BASELINES: Final = 5
SLOW_LEAST_NS: Final = 200 * MILLISECOND_NS


class Sink(Protocol):
    """Where a worker's findings go."""

    def span(self, span: Span, *, is_open: bool) -> None:
        """Take a span that has opened, ended, or stands so at a checkpoint."""

    def learnt(self, target: TargetId, check: str, baseline: Baseline) -> None:
        """Take what has been learnt of a check's normal."""

    def turned(self, target: TargetId, check: str, since_ns: int, cause: str | None) -> None:
        """Take a change between good (`cause` None) and down."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer.

    Attributes:
        latency_ns: From the send to the whole answer.
        status: Of HTTP; None for an echo.
        was_late: Our own loop was late meanwhile, so the latency says nothing of the target.
    """

    latency_ns: int
    status: int | None = None
    was_late: bool = False


class Series:
    """Probes of one check, for one target or several that share it."""

    def __init__(
        self, check: str, incarnation: Incarnation, sink: Sink, *, slow_least_ns: int = SLOW_LEAST_NS
    ) -> None:
        self.check = check
        self.pace = Pace()
        self.latest: Verdict | None = None  # of the newest probe that is resolved
        self.baseline = Baseline()
        self._incarnation = incarnation
        self._sink = sink
        self._slow_least_ns = slow_least_ns
        self._trackers: dict[TargetId, Tracker] = {}
        self._unanswered: set[int] = set()
        self._latencies: list[int] = []
        self._due_ns = 0
        self._last_sent_ns = -1
        self._latest_ns = -1
        self._is_down: bool | None = None

    # --- targets ---

    def add(self, target: TargetId, baseline: Baseline | None, now_ns: int, rates: Rates) -> None:
        """Count the probes for this target, too. The first one sets the phase of the series."""
        if not self._trackers:
            phase = zlib.crc32(target.encode()) / 2**32
            self._due_ns = now_ns + int(phase * rates.steady_ns)
        if baseline is not None and baseline != Baseline():
            self.baseline = baseline
        elif self.baseline != Baseline():
            self._sink.learnt(target, self.check, self.baseline)
        self._trackers[target] = Tracker(target, self.check, self._incarnation, self._sink.span)

    def remove(self, target: TargetId) -> None:
        """End this target's span and count no more for it."""
        tracker = self._trackers.pop(target, None)
        if tracker is not None:
            tracker.close()

    def targets(self) -> list[TargetId]:
        """Return those for which the probes count."""
        return list(self._trackers)

    # --- when ---

    def due_ns(self, now_ns: int, rates: Rates) -> int | None:
        """Return when the next probe is due; None while too many are unanswered in an episode."""
        if len(self._unanswered) >= UNANSWERED_MAX and self.pace.in_episode(now_ns, rates):
            return None
        return self._due_ns

    def issue(self, now_ns: int, rates: Rates) -> int:
        """Note that a probe is sent now; return its instant, by which it is resolved."""
        sent_ns = max(now_ns, self._last_sent_ns + 1)
        self._last_sent_ns = sent_ns
        self._unanswered.add(sent_ns)
        for tracker in self._trackers.values():
            tracker.issue(sent_ns)
        interval_ns = self.pace.interval_ns(now_ns, rates)
        # Keep the phase, unless slots were missed: those are not made up for.
        self._due_ns = max(self._due_ns + interval_ns, now_ns + interval_ns // 2)
        return sent_ns

    def slow_after_ns(self, rates: Rates) -> int:
        """Return the latency beyond which a good answer is slow."""
        if self.baseline.latency_ns is None:
            return rates.timeout_ns
        return max(SLOW_BASELINES * self.baseline.latency_ns, self._slow_least_ns)

    # --- what came of it ---

    def good(self, sent_ns: int, answer: Answer, now_ns: int, rates: Rates) -> None:
        """Resolve a probe that was well answered."""
        self._learn(answer)
        is_slow = not answer.was_late and answer.latency_ns > self.slow_after_ns(rates)
        self.pace.good(sent_ns)
        self._resolve(sent_ns, Verdict.SLOW if is_slow else Verdict.UP, None, now_ns, rates)
        if is_slow:
            self.hurry(now_ns)

    def bad(self, sent_ns: int, cause: str, now_ns: int, rates: Rates) -> None:
        """Resolve a probe that failed, or that says nothing."""
        verdict = verdict_of(cause)
        if verdict is Verdict.DOWN:
            hung = cause.startswith("timeout-") or cause == "no-reply"
            self.pace.failed(sent_ns, hung=hung)
        self._resolve(sent_ns, verdict, cause, now_ns, rates)

    def hurry(self, now_ns: int) -> None:
        """A late answer came: things change, so probe at once (at most once a second)."""
        if self.pace.wants_extra(now_ns):
            self._due_ns = min(self._due_ns, now_ns)

    def judged_through_ns(self, now_ns: int) -> int:
        """Return the instant up to which every probe sent is judged."""
        waiting = [ns for t in self._trackers.values() if (ns := t.oldest_waiting_ns()) is not None]
        return min(waiting) - 1 if waiting else now_ns

    def open_spans(self) -> list[Span]:
        """Return the spans that are growing, as they stand."""
        return [span for tracker in self._trackers.values() if (span := tracker.current()) is not None]

    def has_unanswered(self) -> bool:
        """Tell whether probes are under way."""
        return bool(self._unanswered)

    def _resolve(self, sent_ns: int, verdict: Verdict, cause: str | None, now_ns: int, rates: Rates) -> None:
        self._unanswered.discard(sent_ns)
        interval_ns = self.pace.interval_ns(now_ns, rates)
        if self.pace.in_episode(now_ns, rates):
            self._due_ns = min(self._due_ns, max(self._last_sent_ns + interval_ns, now_ns))
        outcome = Outcome(verdict, cause, rates.max_gap_ns(interval_ns))
        for tracker in self._trackers.values():
            tracker.resolve(sent_ns, outcome)
        if sent_ns > self._latest_ns:
            self._latest_ns, self.latest = sent_ns, verdict
            self._note_turn(sent_ns, verdict, cause)

    def _note_turn(self, sent_ns: int, verdict: Verdict, cause: str | None) -> None:
        if verdict is Verdict.UNKNOWN or self._is_down is (verdict is Verdict.DOWN):
            return
        was_down, self._is_down = self._is_down, verdict is Verdict.DOWN
        if self._is_down or was_down:
            for target in self._trackers:
                self._sink.turned(target, self.check, sent_ns, cause)

    def _learn(self, answer: Answer) -> None:
        before = self.baseline
        if before.status_class is None and answer.status is not None:
            self.baseline = replace(before, status_class=answer.status // 100)
        if before.latency_ns is None:
            self._latencies.append(answer.latency_ns)
            if len(self._latencies) == BASELINE_ANSWERS:
                self.baseline = replace(self.baseline, latency_ns=int(statistics.median(self._latencies)))
                self._latencies.clear()
        if self.baseline != before:
            for target in self._trackers:
                self._sink.learnt(target, self.check, self.baseline)
