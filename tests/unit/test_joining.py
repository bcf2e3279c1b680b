"""Edges that several checks of a service share: the estimate is where all agree, the bounds stay."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from downtimer.findings import TargetSummary
from downtimer.joining import join_edges
from downtimer.model import MILLISECOND_NS, SECOND_NS, Span, Verdict
from downtimer.outages import summarize
from tests.unit.runs import down, ns, service, span, unknown, up

STEP_NS = 10 * MILLISECOND_NS


def works(*spans: Span) -> list[Span]:
    """Return the spans as those of a check that is probed every 2 s."""
    return [replace(one, check="works", max_gap_ns=ns(6)) for one in spans]


def answers(first: float, last: float) -> list[Span]:
    """Return the spans of a root that failed from one probe to another."""
    return [up(0, first - 0.5), down(first, last, every=0.05), up(last + 0.05, 100)]


def figures(*series: Sequence[Span]) -> TargetSummary:
    """Return the figures of a service with these checks."""
    return summarize(service("nova"), [one for spans in series for one in spans])


def test_seldom_probed_check_does_not_move_the_edges_that_another_saw_well() -> None:
    seldom = works(up(0, 9), down(11, 20), up(20.3, 100))
    found = figures(answers(10.5, 20), seldom)
    (episode,) = found.episodes
    assert episode.start_ns == ns(10.25)
    assert episode.end_ns == ns(20.025)
    assert found.down_ns == ns(20.025 - 10.25)


def test_bounds_stay_what_the_probes_prove() -> None:
    """The works check may have failed since 9 s, for all that is known."""
    (episode,) = figures(answers(10.5, 20), works(up(0, 9), down(11, 20), up(20.3, 100))).episodes
    assert (episode.earliest_ns, episode.latest_ns) == (ns(9), ns(20.3))
    assert (episode.min_ns, episode.max_ns) == (ns(20 - 10.5), ns(20.3 - 9))


def test_check_that_fails_alone_keeps_its_own_edges() -> None:
    found = figures([up(0, 100)], works(up(0, 9), down(11, 19), up(21, 100)))
    assert (found.episodes[0].start_ns, found.episodes[0].end_ns) == (ns(10), ns(20))


def test_dated_edge_of_one_check_dates_the_other() -> None:
    sharp = [up(0, 10), down(10.5, 20, every=0.05, dated=10.1), up(20.05, 100)]
    found = figures(sharp, works(up(0, 9), down(11, 20), up(20.3, 100)))
    assert found.episodes[0].start_ns == ns(10.1)


def test_edge_that_is_dated_already_stays() -> None:
    """A call that hung was answered then, three seconds after the root."""
    roots = [up(0, 10), down(10.5, 20, every=0.05), up(20.05, 100)]
    hung = works(up(0, 9), down(11, 11), up(25, 100, dated=23))
    hung[1] = replace(hung[1], max_gap_ns=ns(120))
    found = figures(roots, hung)
    assert found.episodes[0].end_ns == ns(23)


def test_call_that_was_under_way_when_the_service_failed_failed_with_it() -> None:
    """Sent 100 ms before the last root that was well answered; its own bracket reaches back 2 s."""
    found = figures([up(0, 10), down(10.5, 20, every=0.05), up(20.05, 100)], works(up(0, 7.9), down(9.9, 20)))
    assert found.episodes[0].start_ns == ns(9.9)


def test_failure_long_before_is_another_one() -> None:
    found = figures(answers(12, 20), works(up(0, 7), down(9, 20), up(20.3, 100)))
    assert found.episodes[0].start_ns == ns(8)


def test_outage_that_was_over_before_is_another_one() -> None:
    """Both lie in the bracket of the check that is seldom probed; the second is what it saw."""
    twice = [up(0, 9.5), down(9.6, 9.8, every=0.05), up(9.9, 10.3), down(10.4, 20, every=0.05), up(20.1, 100)]
    found = join_edges([twice, works(up(0, 9), down(11, 20), up(20.3, 100))])
    assert found[1][1].dated_ns == ns(10.35)


def test_outage_that_was_over_when_the_other_check_failed_says_nothing() -> None:
    short = [up(0, 9.5), down(9.6, 9.8, every=0.05), up(9.9, 100)]
    found = join_edges([short, works(up(0, 9), down(11, 20), up(20.3, 100))])
    assert found[1][1].dated_ns is None


def test_check_that_is_kept_from_its_probes_by_anothers_hung_call_was_well_until_then() -> None:
    """Keystone's database freezes, and it is a login that hangs: the last one was 14 s before."""
    login = [
        up(0, 6, check="login", every=15, max_gap=45),
        down(20.6, 20.6, check="login", causes="timeout-answer", max_gap=120),
        up(30.1, 60, check="login", dated=28, every=15, max_gap=45),
    ]
    kept = unknown(22.6, 28.6, check="works", causes="pending", every=2)
    calls = [*works(up(0, 20, every=2)), kept, *works(up(30.1, 60, every=2))]
    found = figures([up(0, 60)], calls, login)
    (episode,) = found.episodes
    assert (episode.start_ns, episode.end_ns) == (ns(20.3), ns(28))
    assert episode.earliest_ns == ns(6)  # it is not known that one could sign in
    joined = join_edges([calls, login])
    assert [one.dated_ns for one in joined[0]] == [None, None, None]


def test_edge_that_was_not_observed_is_not_dated() -> None:
    found = join_edges([answers(10.5, 20), works(up(0, 2), down(11, 20), up(20.3, 100))])
    assert found[1][1].dated_ns is None


def test_late_answers_are_good_ones() -> None:
    """From late to good is no edge that counts as an end."""
    late = span(Verdict.SLOW, 20.1, 22, every=0.1)
    series = [[up(0, 10), down(10.5, 20), late, up(22.5, 100)], works(up(0, 9), down(11, 19), up(21, 100))]
    first, second = join_edges(series)
    assert second[2].dated_ns == ns(20.05)
    assert first[3].dated_ns is None


@pytest.mark.parametrize("series", [[], [[up(0, 10), down(10.5, 20)]]])
def test_alone_nothing_is_joined(series: list[list[Span]]) -> None:
    assert join_edges(series) == series


# --- any checks of one service that fails as a whole ---------------------------------------------


def sample(outages: Sequence[tuple[int, int]], every: int, phase: int, name: str) -> list[Span]:
    """Return the spans of a check that is probed at this distance, in steps, of a service that is down so."""
    spans: list[Span] = []
    for at in range(phase, 1_500, every):
        is_down = any(start <= at < end for start, end in outages)
        verdict = Verdict.DOWN if is_down else Verdict.UP
        if spans and spans[-1].verdict is verdict:
            spans[-1] = replace(
                spans[-1],
                last_sent_ns=at * STEP_NS,
                probes=spans[-1].probes + 1,
                widest_ns=every * STEP_NS,
                causes={"refused": spans[-1].probes + 1} if is_down else {},
            )
        else:
            at_s = at * STEP_NS / SECOND_NS
            made = down(at_s, at_s) if is_down else up(at_s, at_s)
            spans.append(replace(made, check=name, max_gap_ns=max(3 * every * STEP_NS, 2 * SECOND_NS)))
    return spans


OUTAGES = st.lists(st.tuples(st.integers(300, 1_100), st.integers(30, 300)), min_size=1, max_size=3).map(
    lambda found: [(start, start + length) for start, length in found]
)


@given(OUTAGES, st.lists(st.tuples(st.integers(5, 250), st.integers(0, 200)), min_size=2, max_size=3))
@settings(max_examples=100, deadline=None)
def test_estimates_stay_between_the_probes_and_within_the_bounds(
    outages: Sequence[tuple[int, int]], checks: Sequence[tuple[int, int]]
) -> None:
    series = [sample(outages, every, phase, f"check-{i}") for i, (every, phase) in enumerate(checks)]
    for before, after in zip(series, join_edges(series), strict=True):
        assert [replace(one, dated_ns=None) for one in after] == before
        for i, one in enumerate(after):
            if one.dated_ns is not None:
                assert after[i - 1].last_sent_ns <= one.dated_ns <= one.first_sent_ns
    found = figures(*series)
    assert found.down_min_ns <= found.down_ns <= found.down_max_ns


@given(st.integers(300, 900), st.integers(300, 500), st.integers(0, 199), st.integers(0, 19))
@settings(max_examples=100, deadline=None)
def test_estimate_of_one_outage_is_no_worse_than_that_of_the_check_that_is_probed_most(
    start: int, length: int, phase: int, quick: int
) -> None:
    """Of an outage that both see begin and end, to within half of the distance of its probes at each edge."""
    outage = [(start, start + length)]
    found = figures(sample(outage, 20, quick, "answers"), sample(outage, 200, phase, "works"))
    (episode,) = found.episodes
    assert abs(episode.start_ns - start * STEP_NS) <= 11 * STEP_NS
    assert abs(episode.end_ns - (start + length) * STEP_NS) <= 11 * STEP_NS
