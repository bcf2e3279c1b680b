"""One series of probes: when the next is due, what its answers mean, which spans they make.

Pure but for its sink; runs in the workers. Binds the parts that know one thing each: the pace, the
baseline, and a tracker per target (several catalog entries may share one URL, which is then probed
once and counted for all of them).
"""

import statistics
import zlib
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from downtimer.model import MILLISECOND_NS, SECOND_NS, Baseline, Incarnation, Span, TargetId, Verdict
from downtimer.pace import Pace, Rates, max_gap_ns
from downtimer.tracker import Outcome, Tracker
from downtimer.verdicts import (
    BASELINE_ANSWERS,
    HELD_UP,
    THROTTLED,
    is_hang,
    slow_after_ns,
    verdict_of,
)

PATIENCE_NS: Final = SECOND_NS
"""An answer that takes longer is suspect as long as there is no baseline."""

SUSPECT_BASELINES: Final = 4
"""An answer that takes longer than so many baselines, and 50 ms, is suspected not to come."""

SUSPECT_LEAST_NS: Final = 50 * MILLISECOND_NS
TIMER_NS: Final = MILLISECOND_NS
"""A timer may be early by less; a probe that is earlier than that is an extra one."""


class Sink(Protocol):
    """Where a worker's findings go."""

    def span(self, span: Span, *, is_open: bool) -> None:
        """Take a span that has opened, ended, or stands so at a checkpoint."""

    def learnt(self, target: TargetId, check: str, baseline: Baseline) -> None:
        """Take what has been learnt of a check's normal."""

    def turned(self, target: TargetId, check: str, since_ns: int, cause: str | None) -> None:
        """Take a change between good (`cause` None) and down."""


class Answer(NamedTuple):
    """A good answer. A tuple, for one is made per echo.

    Attributes:
        latency_ns: From the send to the whole answer.
        status: Of HTTP; None for an echo.
        doubt_ns: So much of the latency may be our own: our process was held up meanwhile.
    """

    latency_ns: int
    status: int | None = None
    doubt_ns: int = 0


class Calm(NamedTuple):
    """All there is to know of a series that is calm: its one target is up, and no trouble is left.

    Attributes:
        baseline: Its own normal, as far as it is known.
        latencies: What it will be learnt from, until then.
        due_ns: When the next probe is due.
        span: The span that is growing, of good answers; None before the first.
        sent_ns: When the only probe that is under way was sent; None if there is none.
        gap_ns: The largest distance to the next probe that counts as observed, in force at that probe.
    """

    baseline: Baseline
    latencies: tuple[int, ...]
    due_ns: int
    span: Span | None = None
    sent_ns: int | None = None
    gap_ns: int = 0


class _Probe(NamedTuple):
    """A probe under way: what was in force when it was sent, and what happened at about that time.

    Attributes:
        max_gap_ns: The largest distance to the next probe that counts as observed.
        watched_ns: Until when it is known to hang, if it does so beyond its deadline.
        dated_ns: If it fails: when something happened that may be the reason.
        since_ns: If it is well answered: since when the target has been well, by what else is known.
    """

    max_gap_ns: int
    dated_ns: int | None
    since_ns: int | None
    watched_ns: int | None = None


class _Down(NamedTuple):
    since_ns: int
    cause: str | None


def first_due_ns(target: TargetId, now_ns: int, rates: Rates) -> int:
    """Return when the first probe of a new target is due: each has a phase of its own."""
    return now_ns + int(zlib.crc32(target.encode()) / 2**32 * rates.steady_ns)


class Series:
    """Probes of one check, for one target or several that share it.

    Attributes:
        check: Its name.
        pace: Its rate.
        baseline: Its own normal, as far as it is known.
        latest: Verdict of the newest probe that is resolved; None before the first.
        widest_ns: The largest distance between two neighbouring probes that counts as observed.
    """

    def __init__(self, check: str, incarnation: Incarnation, sink: Sink) -> None:
        self.check = check
        self.pace = Pace()
        self.latest: Verdict | None = None
        self.widest_ns = 0
        self.baseline = Baseline()
        self._incarnation = incarnation
        self._sink = sink
        self._trackers: dict[TargetId, Tracker] = {}
        self._unanswered: dict[int, _Probe] = {}  # by sent_ns, in that order
        self._probe = _Probe(0, None, None)  # the newest
        self._good = Outcome(Verdict.UP, None, 0)  # of the newest good probe
        self._latencies: list[int] = []
        self._due_ns = 0
        self._extra_ns: int | None = None  # when an extra probe is due, ahead of that
        self._suspect_ns: int | None = None  # the probe that it is for; None: it is for none
        self._alarm_ns: int | None = None
        self._since_ns: int | None = None
        self._last_sent_ns = -1
        self._gap_ns = 0
        self._latest_ns = -1
        self._latest_cause: str | None = None
        self._down: _Down | None = None

    # --- targets ---

    def add(self, target: TargetId, baseline: Baseline | None, now_ns: int, rates: Rates) -> None:
        """Count the probes for this target, too. The first one sets the phase of the series.

        Args:
            target: Which.
            baseline: What the run knows of it; None or empty for nothing. What this series has
                learnt already stands.
            now_ns: The instant.
            rates: In force.
        """
        if not self._trackers:
            self._due_ns = first_due_ns(target, now_ns, rates)
        self._trackers[target] = Tracker(target, self.check, self._incarnation, self._sink.span)
        if baseline is not None and self.baseline == Baseline():
            self.baseline = baseline
        elif baseline != self.baseline != Baseline():
            self._sink.learnt(target, self.check, self.baseline)
        if self._down is not None:
            self._sink.turned(target, self.check, *self._down)

    def resume(self, target: TargetId, calm: Calm) -> None:
        """Go on, for this target alone, from how it stood when it was calm. Instead of `add`."""
        tracker = Tracker(target, self.check, self._incarnation, self._sink.span)
        self._trackers[target] = tracker
        self.baseline, self._latencies, self._due_ns = calm.baseline, list(calm.latencies), calm.due_ns
        if calm.span is not None:
            tracker.resume(calm.span)
            self.latest, self._latest_ns = Verdict.UP, calm.span.last_sent_ns
            self._last_sent_ns, self._gap_ns = calm.span.last_sent_ns, calm.span.max_gap_ns
            self.pace.good(calm.span.last_sent_ns)
        if calm.sent_ns is not None:
            self._issue(calm.sent_ns, calm.gap_ns, None)

    def calm(self, now_ns: int, rates: Rates) -> Calm | None:
        """Return how it stands if it is calm, of one target and no probe is under way; else None."""
        if self.latest is not Verdict.UP or self._unanswered or self._extra_ns is not None:
            return None
        if not self.pace.is_calm and not self.pace.is_settled(now_ns, rates):
            return None
        if self._alarm_ns is not None or self._since_ns is not None or len(self._trackers) != 1:
            return None
        span = next(iter(self._trackers.values())).current()
        if span is None or span.verdict is not Verdict.UP or span.causes or span.dated_ns is not None:
            return None
        return Calm(self.baseline, tuple(self._latencies), self._due_ns, span)

    def remove(self, target: TargetId) -> None:
        """End this target's span and count no more for it."""
        tracker = self._trackers.pop(target, None)
        if tracker is not None:
            tracker.close()

    def close(self) -> None:
        """End all spans; there are no targets after this."""
        for target in self.targets():
            self.remove(target)

    def targets(self) -> list[TargetId]:
        """Return those for which the probes count."""
        return list(self._trackers)

    # --- when ---

    def due_ns(self, rates: Rates) -> int | None:
        """Return when the next probe is due; None until one that is under way is resolved."""
        if self.pace.is_holding(len(self._unanswered), rates):
            return None
        return self._due_ns if self._extra_ns is None else min(self._due_ns, self._extra_ns)

    def issue(self, now_ns: int, rates: Rates) -> int:
        """Note that a probe is sent now; return its instant, by which it is resolved."""
        if self._unanswered and not rates.is_gentle:
            patience_ns = min(self.slow_after_ns(rates), PATIENCE_NS)
            self.pace.suspect(next(iter(self._unanswered)), now_ns, patience_ns, rates)
        early_ns = self._due_ns - now_ns
        if early_ns > TIMER_NS:
            is_out = self._suspect_ns in self._unanswered
            self.pace.note_extra(now_ns, early_ns, self._suspect_ns if is_out else None)
            self._due_ns = now_ns
        if self.pace.is_calm:
            interval_ns = next_interval_ns = rates.steady_ns
        else:
            interval_ns = self.pace.interval_ns(now_ns, rates)
            next_interval_ns = self.pace.next_interval_ns(now_ns, rates)
        sent_ns = self._begin(now_ns, interval_ns, self._alarm_ns)
        # Keep the phase, unless slots were missed: those are not made up for.
        self._due_ns = max(self._due_ns + next_interval_ns, now_ns + interval_ns // 2)
        self._alarm_ns = self._extra_ns = self._since_ns = None
        return sent_ns

    def expect_answer(self, sent_ns: int, rates: Rates) -> None:
        """Suspect a probe if it is not answered within a few times the baseline: then it gets company.

        To be called soon after the probe was sent.
        """
        if sent_ns not in self._unanswered or self.baseline.latency_ns is None:
            return
        suspect_ns = sent_ns + max(SUSPECT_BASELINES * self.baseline.latency_ns, SUSPECT_LEAST_NS)
        if suspect_ns < self._due_ns and self.pace.may_have_extra(sent_ns, rates):
            self._extra_ns, self._suspect_ns = suspect_ns, sent_ns

    def skip(self, at_ns: int, cause: str, rates: Rates) -> None:
        """Note that nothing could be seen at an instant, and why: an unknown probe that was not sent."""
        sent_ns = self._begin(at_ns, rates.steady_ns, None)
        self._conclude(sent_ns, verdict_of(cause), cause)

    def missed_ns(self, now_ns: int) -> int | None:
        """Return when a probe should have been sent, if none was for longer than counts as observed."""
        if self._last_sent_ns < 0 or now_ns - self._last_sent_ns <= self._gap_ns:
            return None
        return min(max(self._due_ns, self._last_sent_ns + 1), now_ns)

    def alarm(self, at_ns: int, rates: Rates) -> None:
        """Something other than a probe says that the target may be down: probe at once. It is no sample."""
        if not self.pace.is_in_episode(at_ns, rates):
            self._extra_ns, self._suspect_ns = at_ns, None

    def date(self, at_ns: int) -> None:
        """Something happened to the target at this instant, which is now.

        If the next probe fails, or one that has just been sent, that dates the beginning.
        """
        self._alarm_ns = at_ns
        for sent_ns, probe in self._unanswered.items():
            if at_ns - sent_ns <= SUSPECT_LEAST_NS:
                self._unanswered[sent_ns] = probe._replace(dated_ns=at_ns)

    def hung(self, sent_ns: int, now_ns: int, most_ns: int) -> None:
        """A probe has hung until its deadline, which is now, and goes on hanging, for `most_ns` at most.

        No other is sent meanwhile. To be called before it is resolved. As long as it hangs, it watches the
        target.
        """
        probe = self._unanswered[sent_ns]
        self._unanswered[sent_ns] = probe._replace(max_gap_ns=2 * most_ns, watched_ns=now_ns)

    def explained(self, cause: str, now_ns: int, most_ns: int, rates: Rates) -> None:
        """The newest probe, which had hung, is answered at last: this is why. It counts as one more."""
        sent_ns = self._begin(self._last_sent_ns + 1, rates.steady_ns, None)
        self.hung(sent_ns, now_ns, most_ns)
        self._conclude(sent_ns, verdict_of(cause), cause)

    def recovered(self, now_ns: int, since_ns: int | None, rates: Rates) -> None:
        """A probe that had hung for long has ended: probe at once, or when the next is due.

        If that is well answered, the target has been well since `since_ns`; None if that is not known.
        """
        self._since_ns = since_ns
        self._due_ns = max(now_ns, self._last_sent_ns + rates.steady_ns)

    def _begin(self, now_ns: int, interval_ns: int, dated_ns: int | None) -> int:
        sent_ns = max(now_ns, self._last_sent_ns + 1)
        self._issue(sent_ns, max_gap_ns(interval_ns), dated_ns)
        return sent_ns

    def _issue(self, sent_ns: int, gap_ns: int, dated_ns: int | None) -> None:
        if self.widest_ns < sent_ns - self._last_sent_ns <= self._gap_ns:
            self.widest_ns = sent_ns - self._last_sent_ns
        self._last_sent_ns, self._gap_ns = sent_ns, gap_ns
        known = self._probe
        if (known.max_gap_ns, known.dated_ns, known.since_ns) != (self._gap_ns, dated_ns, self._since_ns):
            self._probe = _Probe(self._gap_ns, dated_ns, self._since_ns)  # else it is the same again
        self._unanswered[sent_ns] = self._probe
        for tracker in self._trackers.values():
            tracker.issue(sent_ns)

    def slow_after_ns(self, rates: Rates) -> int:
        """Return the latency beyond which a good answer is slow."""
        if self.baseline.latency_ns is None:
            return rates.timeout_ns
        return slow_after_ns(self.check, self.baseline.latency_ns)

    # --- what came of it ---

    def good(self, sent_ns: int, answer: Answer, now_ns: int, rates: Rates) -> None:
        """Resolve a probe that was well answered."""
        slow_ns = self.slow_after_ns(rates)
        if self.baseline.latency_ns is None or (answer.status and self.baseline.status_class is None):
            self._learn(answer)
        is_slow = answer.latency_ns - answer.doubt_ns > slow_ns
        is_doubtful = not is_slow and answer.latency_ns > slow_ns
        if is_slow and self.latest is not Verdict.SLOW:
            self.hurry(now_ns, rates)
        self.pace.good(sent_ns)
        verdict = Verdict.SLOW if is_slow else Verdict.UP
        self._resolve(sent_ns, verdict, HELD_UP if is_doubtful else None, now_ns, rates)

    def bad(self, sent_ns: int, cause: str, now_ns: int, rates: Rates) -> None:
        """Resolve a probe that failed, or that says nothing."""
        verdict = verdict_of(cause)
        if verdict is Verdict.DOWN:
            self.pace.failed(sent_ns, now_ns, rates, hung=is_hang(cause))
        else:
            self.pace.allay(sent_ns)
        if cause == THROTTLED:
            self.pace.throttle()
        self._resolve(sent_ns, verdict, cause, now_ns, rates)

    def hurry(self, now_ns: int, rates: Rates) -> None:
        """A late answer came: things change, so probe at once (at most once a second)."""
        if self.pace.may_have_extra(now_ns, rates):
            self._extra_ns, self._suspect_ns = now_ns, None

    @property
    def latest_sent_ns(self) -> int:
        """When the newest probe that is resolved was sent; 0 before the first."""
        return max(self._latest_ns, 0)

    def judged_through_ns(self, now_ns: int) -> int:
        """Return the instant up to which every probe sent is judged."""
        oldest_ns = next(iter(self._unanswered), None)
        return now_ns if oldest_ns is None else oldest_ns - 1

    def open_spans(self) -> list[Span]:
        """Return the spans that are growing, as they stand."""
        return [span for tracker in self._trackers.values() if (span := tracker.current()) is not None]

    def failing(self) -> str | None:
        """Return the cause of the newest probe, if that has failed; None if it has not."""
        return self._latest_cause if self.latest is Verdict.DOWN else None

    def has_unanswered(self) -> bool:
        """Tell whether probes are under way."""
        return bool(self._unanswered)

    def _resolve(self, sent_ns: int, verdict: Verdict, cause: str | None, now_ns: int, rates: Rates) -> None:
        if not self._conclude(sent_ns, verdict, cause):
            return
        if sent_ns == self._suspect_ns:
            self._extra_ns = self._suspect_ns = None
        # What came of it may quicken the pace; the next probe is due by that, not by what held before.
        if not self.pace.is_calm and self.pace.is_in_episode(now_ns, rates):
            next_ns = self._last_sent_ns + self.pace.interval_ns(now_ns, rates)
            self._due_ns = min(self._due_ns, max(next_ns, now_ns))
        if sent_ns > self._latest_ns:
            self._latest_ns, self.latest, self._latest_cause = sent_ns, verdict, cause
            if verdict is not Verdict.UP or self._down is not None:
                self._note_turn(sent_ns, verdict, cause if verdict is Verdict.DOWN else None)

    def _conclude(self, sent_ns: int, verdict: Verdict, cause: str | None) -> bool:
        """Hand a probe's outcome to the trackers; return False if it had one already."""
        probe = self._unanswered.pop(sent_ns, None)
        if probe is None:
            return False
        outcome = self._good
        is_usual = verdict is Verdict.UP and cause is None and probe.since_ns is None
        if not is_usual or probe.max_gap_ns != outcome.max_gap_ns:
            dated_ns = probe.dated_ns if verdict is Verdict.DOWN else probe.since_ns
            watched_ns = probe.watched_ns if verdict is Verdict.DOWN else None
            outcome = Outcome(verdict, cause, probe.max_gap_ns, dated_ns, watched_ns)
            if is_usual:
                self._good = outcome
        for tracker in self._trackers.values():
            tracker.resolve(sent_ns, outcome)
        return True

    def _note_turn(self, sent_ns: int, verdict: Verdict, cause: str | None) -> None:
        """Tell of a change between good and down; that it is good at first is no news."""
        if verdict is Verdict.UNKNOWN or (verdict is Verdict.DOWN) is (self._down is not None):
            return
        self._down = _Down(sent_ns, cause) if verdict is Verdict.DOWN else None
        for target in self._trackers:
            self._sink.turned(target, self.check, sent_ns, cause)

    def _learn(self, answer: Answer) -> None:
        """Learn the status class from the first good answer, the latency from the first 20."""
        before = self.baseline
        if before.status_class is None and answer.status is not None:
            self.baseline = replace(before, status_class=answer.status // 100)
        if before.latency_ns is None and not answer.doubt_ns:
            self._latencies.append(answer.latency_ns)
            if len(self._latencies) == BASELINE_ANSWERS:
                self.baseline = replace(self.baseline, latency_ns=int(statistics.median(self._latencies)))
                self._latencies.clear()
        if self.baseline != before:
            for target in self._trackers:
                self._sink.learnt(target, self.check, self.baseline)
