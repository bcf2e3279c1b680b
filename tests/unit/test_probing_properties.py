"""Probes that follow the episode, of a truth that does not know of them: the figures hold it.

All that is pure at once, in simulated time: the pace says when, the truth says what is answered, the
trackers make spans of it, and those are summarized.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from downtimer.findings import TargetSummary
from downtimer.intervals import Interval, measure, overlaps
from downtimer.model import (
    MILLISECOND_NS,
    SECOND_NS,
    Baseline,
    Incarnation,
)
from downtimer.outages import summarize
from downtimer.pace import Rates
from downtimer.series import Answer, Series
from tests.unit import sections
from tests.unit.runs import service
from tests.unit.told import Told

NOVA: Final = service("nova")
REQUESTS: Final = Rates.within(sections.API, checks=10, fast=0)
ECHOES: Final = Rates.within(sections.ICMP, checks=10, fast=0)
LATENCY_NS: Final = 10 * MILLISECOND_NS
LATE_NS: Final = 3 * MILLISECOND_NS  # by which a probe may be sent after it was due


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        start_ns: When it begins.
        end_ns: When it is over.
        is_hang: Nothing is answered until it is over; else everything is refused.
    """

    start_ns: int
    end_ns: int
    is_hang: bool


@dataclass(frozen=True)
class Truth:
    """All that befalls a service; and how it treats a probe."""

    faults: Sequence[Fault]

    def answer(self, sent_ns: int, timeout_ns: int) -> tuple[int, str | None]:
        """Return when it is known what became of a probe, and the cause if it failed."""
        for fault in self.faults:
            if fault.start_ns <= sent_ns < fault.end_ns:
                if not fault.is_hang:
                    return sent_ns + MILLISECOND_NS, "refused"
                if fault.end_ns - sent_ns > timeout_ns:
                    return sent_ns + timeout_ns, "timeout-answer"
                return max(fault.end_ns, sent_ns + LATENCY_NS), None
        return sent_ns + LATENCY_NS, None

    def down(self, timeout_ns: int) -> list[Interval]:
        """Return when a probe would have failed. A hang fails as long as its end is a timeout away."""
        ends = [(f.start_ns, f.end_ns - timeout_ns if f.is_hang else f.end_ns) for f in self.faults]
        return [(start_ns, end_ns) for start_ns, end_ns in ends if start_ns < end_ns]


@dataclass(frozen=True)
class Measured:
    """What came of probing it.

    Attributes:
        summary: Its figures.
        sent: Every probe, and whether it failed, in order.
    """

    summary: TargetSummary
    sent: Sequence[tuple[int, bool]]

    def window(self) -> Interval:
        """Return the first and the last probe."""
        return self.sent[0][0], self.sent[-1][0]


def probe(truth: Truth, rates: Rates, chance: Random, end_ns: int) -> Measured:
    """Probe it until `end_ns`, in simulated time."""
    told = Told()
    series = Series("answers", Incarnation("api.1"), told)
    series.add(NOVA.target.id, Baseline(status_class=2, latency_ns=LATENCY_NS), 0, rates)
    flying: list[tuple[int, int, str | None]] = []
    sent: dict[int, bool] = {}
    now_ns = late_ns = 0
    while True:
        due_ns = series.due_ns(rates) if now_ns < end_ns else None
        wake_ns = None if due_ns is None else max(due_ns + late_ns, now_ns)
        if flying and (wake_ns is None or flying[0][0] <= wake_ns):
            now_ns, sent_ns, cause = heapq.heappop(flying)
            if cause is None:
                series.good(sent_ns, Answer(now_ns - sent_ns, 200), now_ns, rates)
            else:
                series.bad(sent_ns, cause, now_ns, rates)
        elif wake_ns is not None:
            now_ns, late_ns = wake_ns, chance.randrange(LATE_NS)
            sent_ns = series.issue(now_ns, rates)
            series.expect_answer(sent_ns, rates)
            known_ns, cause = truth.answer(sent_ns, rates.timeout_ns)
            heapq.heappush(flying, (known_ns, sent_ns, cause))
            sent[sent_ns] = cause is not None
        else:
            series.close()
            return Measured(summarize(NOVA, list(told.spans.values())), list(sent.items()))


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Draw what befalls it, at random phases and of lengths from a few milliseconds to ten seconds."""
    at_ns, faults = 3 * SECOND_NS, []
    for _ in range(draw(st.integers(1, 5))):
        at_ns += draw(st.one_of(st.integers(100, 2_000), st.integers(2_000, 20_000))) * MILLISECOND_NS
        length_ns = draw(st.one_of(st.integers(5, 1_000), st.integers(1_000, 14_000))) * MILLISECOND_NS
        faults.append(Fault(at_ns, at_ns + length_ns, draw(st.booleans())))
        at_ns += length_ns
    return Truth(faults)


CHANCE: Final = st.randoms(use_true_random=False)
RATES: Final = st.sampled_from([REQUESTS, ECHOES])


def _measure(truth: Truth, rates: Rates, chance: Random) -> Measured:
    return probe(truth, rates, chance, truth.faults[-1].end_ns + 20 * SECOND_NS)


def _changes(down: Sequence[Interval], after_ns: int, by_ns: int) -> int:
    """Return how often it changed between two probes."""
    return sum(after_ns < at_ns <= by_ns for part in down for at_ns in part)


@given(truths(), RATES, CHANCE)
@settings(max_examples=200, deadline=None)
def test_truth_lies_in_the_bounds_if_it_changed_at_most_once_between_neighbouring_probes(
    truth: Truth, rates: Rates, chance: Random
) -> None:
    measured = _measure(truth, rates, chance)
    down = truth.down(rates.timeout_ns)
    assume(all(_changes(down, one[0], two[0]) <= 1 for one, two in pairwise(measured.sent)))
    summary = measured.summary
    assert summary.down_min_ns <= measure(down) <= summary.down_max_ns
    outages = [outage for episode in summary.episodes for outage in episode.outages]
    for start_ns, end_ns in down:
        (outage,) = (each for each in outages if each.earliest_ns <= start_ns and end_ns <= each.latest_ns)
        assert outage.min_ns <= end_ns - start_ns <= outage.max_ns
    assert len(outages) == len(down)


@given(truths(), RATES, CHANCE)
@settings(max_examples=200, deadline=None)
def test_what_is_missed_is_no_longer_than_the_resolution(truth: Truth, rates: Rates, chance: Random) -> None:
    measured = _measure(truth, rates, chance)
    summary = measured.summary
    found = [(each.earliest_ns, each.latest_ns) for each in summary.episodes]
    missed = [part for part in truth.down(rates.timeout_ns) if not any(overlaps(found, [part]))]
    assert summary.resolution_ns is not None
    assert all(end_ns - start_ns <= summary.resolution_ns for start_ns, end_ns in missed)


@given(truths(), RATES, CHANCE)
@settings(max_examples=200, deadline=None)
def test_window_is_up_slow_down_and_unobserved(truth: Truth, rates: Rates, chance: Random) -> None:
    """Of which nothing is unobserved: however slowly what hangs is probed, it is often enough."""
    measured = _measure(truth, rates, chance)
    summary, (first_ns, last_ns) = measured.summary, measured.window()
    assert summary.up_ns + summary.slow_ns + summary.down_ns == last_ns - first_ns == summary.window_ns
    assert summary.unobserved_ns == 0


@given(truths(), RATES, CHANCE)
@settings(max_examples=100, deadline=None)
def test_what_hangs_holds_no_more_probes_than_allowed(truth: Truth, rates: Rates, chance: Random) -> None:
    """But for those that were sent before it could be known that it hangs."""
    measured = _measure(truth, rates, chance)
    hung = [
        sent_ns
        for sent_ns, _ in measured.sent
        if truth.answer(sent_ns, rates.timeout_ns)[0] - sent_ns > SECOND_NS
    ]
    early = SECOND_NS // rates.steady_ns + 2
    for at_ns in hung:
        out = [sent_ns for sent_ns in hung if sent_ns <= at_ns < truth.answer(sent_ns, rates.timeout_ns)[0]]
        assert len(out) <= rates.unanswered + early


@given(st.lists(st.integers(1, 1_900), min_size=1, max_size=120), CHANCE)
@settings(max_examples=100, deadline=None)
def test_service_that_is_never_down_is_asked_twice_a_second(latencies: list[int], chance: Random) -> None:
    """However late it answers, and whatever is suspected: on average over any minute."""
    end_ns = 150 * SECOND_NS
    late = [
        Fault(i * SECOND_NS, i * SECOND_NS + ms * MILLISECOND_NS, is_hang=True)
        for i, ms in enumerate(latencies)
    ]
    probes = probe(Truth(late), REQUESTS, chance, end_ns).sent
    assert not any(failed for _, failed in probes)
    sent = [sent_ns for sent_ns, _ in probes]
    for first, from_ns in enumerate(sent):
        in_a_minute = sum(from_ns <= at_ns < from_ns + 60 * SECOND_NS for at_ns in sent[first : first + 200])
        assert in_a_minute <= 122
