"""Whatever the truth and however it is sampled, the figures hold it within their bounds."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from downtimer.brackets import find_outages
from downtimer.cells import is_good, order
from downtimer.findings import TargetSummary
from downtimer.intervals import Interval, measure, subtract, unite
from downtimer.model import TargetState, Verdict
from downtimer.outages import summarize
from tests.unit.sampled import CHECKS, GOOD, NOVA, Probe, Sampled, between, is_down, samples

UP_FOR_AN_INSTANT = Sampled(
    "answers",
    [
        Probe(1_000, Verdict.DOWN, 2_000_000_000, 0, 0, is_cut=False, is_dated=False),
        Probe(2_000, Verdict.UP, 2_000_000_000, 0, 1000, is_cut=False, is_dated=False),
        Probe(3_000, Verdict.DOWN, 2_000_000_000, 0, 0, is_cut=False, is_dated=False),
    ],
)
"""Up at the very instant of a probe, and down until and from then on: two outages that touch."""


def _window(checks: Sequence[Sampled]) -> Interval:
    sent = [probe.sent_ns for check in checks for probe in check.probes]
    return min(sent), max(sent)


def _summary(checks: Sequence[Sampled], *, cut: bool = False) -> TargetSummary:
    return summarize(NOVA, [span for check in checks for span in check.spans(cut=cut)])


@given(CHECKS)
@settings(max_examples=300, deadline=None)
def test_window_is_up_slow_down_and_unobserved_to_the_nanosecond(checks: Sequence[Sampled]) -> None:
    summary = _summary(checks)
    start_ns, end_ns = _window(checks)
    unobserved_ns = sum(summary.unobserved.values())
    assert summary.up_ns + summary.slow_ns + summary.down_ns + unobserved_ns == end_ns - start_ns
    assert unobserved_ns == summary.unobserved_ns
    assert min(summary.up_ns, summary.slow_ns, summary.down_ns, *summary.unobserved.values(), 0) == 0


@given(CHECKS)
@settings(max_examples=500, deadline=None)
def test_true_downtime_lies_within_the_bounds(checks: Sequence[Sampled]) -> None:
    summary = _summary(checks)
    window = _window(checks)
    truth_ns = measure(unite(part for check in checks for part in check.truth(window)))
    assert summary.down_min_ns <= truth_ns <= summary.down_max_ns
    assert summary.down_min_ns <= summary.down_ns <= summary.down_max_ns


@given(samples())
@settings(max_examples=500, deadline=None)
def test_each_true_outage_liesbetween_what_failed_and_the_good_answers_around(check: Sampled) -> None:
    window = _window([check])
    found = find_outages(check.spans(), window)
    truth = check.truth(window)
    inner = unite(part for outage in found for part in outage.failing)
    assert subtract(inner, truth) == []
    assert subtract(truth, unite(outage.outer() for outage in found)) == []
    for outage in found:
        assert outage.start.after_ns <= outage.start.at_ns <= outage.start.by_ns
        assert outage.start.by_ns <= outage.end.after_ns <= outage.end.at_ns <= outage.end.by_ns


@given(samples())
@example(UP_FOR_AN_INSTANT)
@settings(max_examples=500, deadline=None)
def test_true_length_of_each_outage_lies_within_its_own_bounds(check: Sampled) -> None:
    window = _window([check])
    truth = check.true_outages(window)
    for episode in _summary([check]).episodes:
        for outage in episode.outages:
            inside = [t for t in truth if t[1] > outage.earliest_ns and t[0] < outage.latest_ns]
            if inside:  # else the failed probes are all at one instant
                assert outage.min_ns <= inside[-1][1] - inside[0][0] <= outage.max_ns
                assert outage.down_min_ns <= measure(inside) <= outage.down_max_ns


@given(CHECKS)
@settings(max_examples=300, deadline=None)
def test_estimates_add_up_over_outages_and_episodes(checks: Sequence[Sampled]) -> None:
    summary = _summary(checks)
    outages = [outage for episode in summary.episodes for outage in episode.outages]
    assert sum(episode.down_ns for episode in summary.episodes) == summary.down_ns
    assert sum(outage.down_ns for outage in outages) == summary.down_ns
    assert sum(outage.down_min_ns for outage in outages) == summary.down_min_ns
    assert sum(outage.failed for outage in outages) == sum(
        1 for check in checks for probe in check.probes if is_down(probe)
    )
    for one in (*summary.episodes, *outages):
        assert one.min_ns <= one.duration_ns <= one.max_ns
        assert one.down_min_ns <= one.down_ns <= one.down_max_ns
        assert 0 <= one.failed_share <= 1
        assert one.failed <= one.probes


@given(CHECKS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_order_in_which_probes_resolve_changes_nothing(checks: Sequence[Sampled], chance: Random) -> None:
    for check in checks:
        assert check.spans(chance=chance) == check.spans()


@given(samples())
@settings(max_examples=300, deadline=None)
def test_no_gapbetween_good_answers_in_observed_time_is_longer_than_the_resolution(check: Sampled) -> None:
    """So an outage that nothing was seen of was shorter than that, if it was while up."""
    gaps = [
        after.sent_ns - before.sent_ns
        for before, after in pairwise(check.probes)
        if before.verdict in GOOD and after.verdict in GOOD and before.life == after.life
        if after.sent_ns - before.sent_ns <= before.max_gap_ns
    ]
    assert _summary([check]).resolution_ns == max(gaps, default=None)


@given(CHECKS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_cutting_spans_at_checkpoints_and_shuffling_them_changes_nothing(
    checks: Sequence[Sampled], chance: Random
) -> None:
    cut = [span for check in checks for span in check.spans(cut=True)]
    chance.shuffle(cut)
    pieces, whole = summarize(NOVA, cut), _summary(checks)
    assert _without_spacing(pieces) == _without_spacing(whole)


def _without_spacing(summary: TargetSummary) -> TargetSummary:
    """Forget what is taken from the mean spacing in a span, which a cut makes known more finely.

    The interval; good probes of one check in an outage of another.
    """
    checks = tuple(structs.replace(check, interval_ns=None) for check in summary.checks)
    if len(checks) == 1:
        return structs.replace(summary, checks=checks)
    episodes = tuple(
        structs.replace(
            episode, probes=0, several=tuple(structs.replace(outage, probes=0) for outage in episode.several)
        )
        for episode in summary.episodes
    )
    return structs.replace(summary, checks=checks, episodes=episodes)


def _retired(at_ns: int) -> TargetState:
    """Return the state of an address that was retired as of an instant, whatever it answered."""
    return replace(NOVA, listed_ns=-(10**18), missing_ns=at_ns, retired_ns=at_ns)


@given(CHECKS, st.integers(0, 1000))
@settings(max_examples=300, deadline=None)
def test_retirement_ends_the_window_and_keeps_the_identity(checks: Sequence[Sampled], share: int) -> None:
    window = _window(checks)
    retired_ns = between(*window, share)
    spans = [span for check in checks for span in check.spans()]
    summary = summarize(_retired(retired_ns), spans)
    assert summary.window_ns == retired_ns - window[0]
    assert summary.unobserved_ns == sum(summary.unobserved.values())
    assert summary.down_min_ns <= summary.down_ns <= summary.down_max_ns <= summary.window_ns
    assert sum(episode.down_ns for episode in summary.episodes) == summary.down_ns
    assert all(episode.latest_ns <= retired_ns for episode in summary.episodes)


@given(samples())
@settings(max_examples=200, deadline=None)
def test_retirement_at_a_good_answer_equals_a_measurement_that_ended_there(check: Sampled) -> None:
    good = [probe.sent_ns for probe in check.probes if probe.verdict is Verdict.UP]
    if not good:
        return
    until_ns = good[len(good) // 2]
    ended = Sampled(check.check, [probe for probe in check.probes if probe.sent_ns <= until_ns])
    retired = summarize(_retired(until_ns), check.spans())
    assert _core(retired) == _core(_summary([ended]))


def _core(summary: TargetSummary) -> tuple[int, ...]:
    """Return what does not depend on counting the probes of a span that was cut."""
    episodes = [figure for one in summary.episodes for figure in (one.start_ns, one.end_ns, one.max_ns)]
    times = (summary.window_ns, summary.up_ns, summary.slow_ns, summary.down_ns, summary.down_max_ns)
    return (*times, *episodes)


@given(samples())
@settings(max_examples=100, deadline=None)
def test_one_good_span_is_summarized_alike_on_the_short_way(check: Sampled) -> None:
    for span in order(check.spans()):
        if span.verdict is Verdict.UP and is_good(span):
            halves = [span, structs.replace(span, first_sent_ns=span.last_sent_ns, probes=0)]
            whole, parted = summarize(NOVA, [span]), summarize(NOVA, halves)
            assert _without_spacing(whole) == _without_spacing(parted)
