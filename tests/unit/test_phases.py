"""What is measured is parted by the marks of a run, and no nanosecond of it is lost or counted twice."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from downtimer.findings import PhaseFigures, TargetSummary
from downtimer.intervals import measure, overlaps, unite
from downtimer.model import MILLISECOND_NS, NEVER_NS, Mark, Phase, Span, TargetState, phases_between
from downtimer.outages import summarize, summarize_any
from downtimer.seamless import summarize_seamless
from tests.unit.runs import address, down, ns, service, unknown, up
from tests.unit.sampled import CHECKS, NOVA, Sampled
from tests.unit.test_seamless_properties import STATES, seamless


def phases(*at: float, until: float = 100) -> tuple[Phase, ...]:
    """Return the phases between marks at these seconds."""
    return phases_between([Mark(at_ns=ns(second), text=f"step {second}") for second in at], ns(until))


@st.composite
def drawn_phases(draw: st.DrawFn) -> tuple[Phase, ...]:
    """Draw phases, some of which may have no length."""
    marks = sorted(draw(st.lists(st.integers(0, 120_000), min_size=1, max_size=6)))
    return phases_between(
        [Mark(at_ns=at_ms * MILLISECOND_NS, text="") for at_ms in marks], 121_000 * MILLISECOND_NS
    )


def test_downtime_is_told_by_phase_with_its_bounds() -> None:
    summary = summarize(service("nova"), [up(0, 10), down(10.5, 20), up(20.5, 60)], phases(15, 40))
    assert summary.phases == (
        PhaseFigures(ns(15 - 10.25), ns(15 - 10.5), ns(15 - 10), ns(15)),
        PhaseFigures(ns(20.25 - 15), ns(20 - 15), ns(20.5 - 15), ns(25)),
        PhaseFigures(0, 0, 0, ns(20)),
    )


def test_without_marks_there_are_no_phases() -> None:
    assert phases() == ()
    assert summarize(service("nova"), [up(0, 10), down(10.5, 20)]).phases == ()


def test_target_without_probes_has_nothing_in_each_phase() -> None:
    assert summarize(service("nova"), [], phases(10)).phases == (PhaseFigures(0, 0, 0, 0),) * 2


def test_what_was_not_observed_is_in_the_phase_in_which_it_was_not() -> None:
    summary = summarize(service("nova"), [up(0, 20), unknown(20.5, 30), up(30.5, 60)], phases(25))
    assert [figures.observed_ns for figures in summary.phases] == [ns(20), ns(60 - 30.5)]


def test_window_of_a_retired_address_ends_within_a_phase() -> None:
    gone = address("10.0.0.9", retired=30)
    summary = summarize(gone, [up(0, 60, check="icmp", target="address:10.0.0.9")], phases(20, 40))
    assert [figures.observed_ns for figures in summary.phases] == [ns(20), ns(10), 0]


def _sums(summary: TargetSummary) -> tuple[int, ...]:
    return tuple(map(sum, zip(*summary.phases, strict=True)))


def _whole(summary: TargetSummary) -> tuple[int, ...]:
    return summary.down_ns, summary.down_min_ns, summary.down_max_ns, summary.observed_ns


@given(CHECKS, drawn_phases())
@settings(max_examples=300, deadline=None)
def test_figures_of_all_phases_sum_up_to_the_whole(checks: Sequence[Sampled], drawn: Sequence[Phase]) -> None:
    summary = summarize(NOVA, [span for check in checks for span in check.spans()], drawn)
    assert _sums(summary) == _whole(summary)


@given(seamless(), st.sampled_from(STATES), drawn_phases())
@settings(max_examples=300, deadline=None)
def test_short_way_parts_as_the_long_one_does(
    spans: list[Span], state: TargetState, drawn: Sequence[Phase]
) -> None:
    figures = summarize_seamless(state, spans, drawn)
    if figures is not None:
        assert figures == summarize_any(state, spans, drawn)
        assert _sums(figures) == _whole(figures)


@given(CHECKS, drawn_phases())
@settings(max_examples=300, deadline=None)
def test_true_downtime_of_each_phase_lies_within_its_bounds(
    checks: Sequence[Sampled], drawn: Sequence[Phase]
) -> None:
    sent = [probe.sent_ns for check in checks for probe in check.probes]
    truth = unite(part for check in checks for part in check.truth((min(sent), max(sent))))
    summary = summarize(NOVA, [span for check in checks for span in check.spans()], drawn)
    times = [(phase.start_ns, phase.end_ns) for phase in drawn]
    times = [(-NEVER_NS, times[0][1]), *times[1:-1], (times[-1][0], NEVER_NS)]
    assert all(before[1] == after[0] for before, after in pairwise(times))
    for time, figures in zip(times, summary.phases, strict=True):
        true_ns = measure(part for part, _ in overlaps([time], truth))
        assert figures.down_min_ns <= true_ns <= figures.down_max_ns
        assert figures.down_min_ns <= figures.down_ns <= figures.down_max_ns
