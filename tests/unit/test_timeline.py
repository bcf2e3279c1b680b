"""When a target was slow or not observed: the same time that its figures sum up."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings

from downtimer.intervals import measure
from downtimer.model import Span, TargetState
from downtimer.outages import summarize
from downtimer.timeline import NOTHING, Timeline, Unobserved, find_timeline
from tests.unit.runs import address, down, ns, service, slow, unknown, up
from tests.unit.sampled import CHECKS, NOVA, Sampled


def timeline(*spans: Span, state: TargetState | None = None) -> Timeline:
    """Return the timeline of a service."""
    target = state or service("nova")
    return find_timeline(target, spans, summarize(target, spans))


@given(CHECKS)
@settings(max_examples=300, deadline=None)
def test_it_sums_up_to_the_figures(checks: Sequence[Sampled]) -> None:
    spans = [span for check in checks for span in check.spans()]
    figures = summarize(NOVA, spans)
    found = find_timeline(NOVA, spans, figures)
    assert measure(found.slow) == figures.slow_ns
    assert sum(end_ns - start_ns for start_ns, end_ns, _ in found.unobserved) == figures.unobserved_ns
    by_cause: defaultdict[str, int] = defaultdict(int)
    for start_ns, end_ns, causes in found.unobserved:
        for cause in causes:
            by_cause[cause] += end_ns - start_ns
    assert set(figures.unobserved) <= set(by_cause)
    everything = sorted([*found.slow, *((one.start_ns, one.end_ns) for one in found.unobserved)])
    assert all(before[1] <= after[0] for before, after in pairwise(everything))


def test_what_was_up_or_down_throughout_has_none() -> None:
    assert timeline(up(0, 10), down(10.5, 20), up(20.5, 30)) is NOTHING
    assert timeline() is NOTHING


def test_slow_time_reaches_to_the_middle_between_probes() -> None:
    assert timeline(up(0, 10), slow(11, 20), up(21, 30)) == Timeline([(ns(10.5), ns(20.5))], [])


def test_what_was_not_observed_has_its_cause() -> None:
    found = timeline(up(0, 10), unknown(10.5, 20), up(20.5, 30), up(30.6, 40, life=2))
    assert found.unobserved == [
        Unobserved(ns(10), ns(20.5), ("send",)),
        Unobserved(ns(30), ns(30.6), ("restart",)),
    ]


def test_another_check_that_observes_leaves_nothing_unobserved() -> None:
    found = timeline(up(0, 10), unknown(10.5, 20), up(20.5, 30), up(0, 30, check="works"))
    assert found is NOTHING


def test_time_after_retirement_does_not_count() -> None:
    state = address("10.0.0.1", listed=0, missing=25, retired=30)
    spans = [
        up(0, 10, target=state.target.id, check="icmp"),
        unknown(10.5, 40, target=state.target.id, check="icmp"),
    ]
    (only,) = timeline(*spans, state=state).unobserved
    assert only == Unobserved(ns(10), ns(25), ("send",))
