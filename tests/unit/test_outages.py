"""Worked examples: spans of one target, and the figures that follow from them by hand."""

from dataclasses import replace

import pytest
from msgspec import structs

from downtimer.findings import Episode, Outage, TargetSummary
from downtimer.model import SECOND_NS, Span
from downtimer.outages import summarize
from tests.unit.runs import address, down, ns, service, slow, unknown, up

NOVA = service("nova")


def of(*spans: Span) -> TargetSummary:
    """Return the figures of the service whose spans these are."""
    return summarize(NOVA, spans)


def only_episode(summary: TargetSummary) -> Episode:
    """Return the episode of a target that has one."""
    (episode,) = summary.episodes
    return episode


def times(summary: TargetSummary) -> tuple[float, float, float, float]:
    """Return up, slow, down and unobserved time in seconds."""
    lengths = (summary.up_ns, summary.slow_ns, summary.down_ns, summary.unobserved_ns)
    up_s, slow_s, down_s, unobserved_s = (length / SECOND_NS for length in lengths)
    return up_s, slow_s, down_s, unobserved_s


def bounds(figures: Outage | TargetSummary) -> tuple[float, float, float]:
    """Return the downtime as (at least, estimate, at most) in seconds."""
    lengths = (figures.down_min_ns, figures.down_ns, figures.down_max_ns)
    least, estimate, most = (length / SECOND_NS for length in lengths)
    return least, estimate, most


def test_target_without_probes_has_no_window() -> None:
    summary = of()
    assert summary.start_ns is None
    assert summary.window_ns == summary.observed_ns == summary.probes == 0
    assert summary.resolution_ns is None


def test_target_that_was_always_up_has_its_whole_window_up() -> None:
    summary = of(up(1, 101))
    assert times(summary) == (100, 0, 0, 0)
    assert summary.episodes == ()
    assert summary.resolution_ns == ns(0.5)
    assert summary.has_answered


def test_edges_of_an_outage_are_the_midpoints_between_the_neighbouring_probes() -> None:
    summary = of(up(0, 10), down(10.5, 20), up(20.5, 60))
    episode = only_episode(summary)
    assert (episode.start_ns, episode.end_ns) == (ns(10.25), ns(20.25))
    assert (episode.earliest_ns, episode.latest_ns) == (ns(10), ns(20.5))
    assert (episode.min_ns, episode.duration_ns, episode.max_ns) == (ns(9.5), ns(10), ns(10.5))
    assert bounds(summary) == bounds(episode) == (9.5, 10, 10.5)
    assert times(summary) == (50, 0, 10, 0)
    assert (episode.failed, episode.probes, episode.causes) == (20, 20, {"refused": 20})
    assert episode.checks == ("answers",)
    assert not any((episode.is_ongoing, episode.is_start_censored, episode.is_end_censored))


def test_dated_instant_is_the_edge_and_leaves_the_bounds_alone() -> None:
    summary = of(up(0, 10), down(10.5, 20, dated=10.01), up(20.5, 60))
    assert only_episode(summary).start_ns == ns(10.01)
    assert bounds(summary) == (9.5, 10.24, 10.5)


def test_dated_instant_outside_its_bracket_is_held_to_it() -> None:
    assert only_episode(of(up(0, 10), down(10.5, 20, dated=9), up(20.5, 60))).start_ns == ns(10)


def test_single_failed_probe_has_zero_lower_bound() -> None:
    assert bounds(of(up(0, 10), down(10.5, 10.5), up(11, 60))) == (0, 0.5, 1)


def test_hung_service_is_down_while_requests_fail_and_slow_while_they_are_late() -> None:
    # It hangs from 10 to 20, timeout 2 s: what was sent before 18 failed, the rest was late.
    summary = of(
        up(0, 9.9),
        down(10.1, 17.9, causes="timeout-answer"),
        slow(18.1, 19.7),
        up(19.9, 60),
    )
    assert times(summary) == pytest.approx((50.2, 1.8, 8, 0))
    assert bounds(summary) == (7.8, 8, 8.2)


def test_slow_answer_ends_an_outage_as_an_up_one_does() -> None:
    summary = of(up(0, 10), down(10.5, 11), slow(11.5, 20), down(20.5, 21), up(21.5, 60))
    assert len(summary.episodes) == 2
    assert summary.slow_ns == ns(9)


def storm(cycles: int, *, first: float = 10.05) -> list[Span]:
    """Return spans of a service of which every third request fails, 20 requests a second."""
    spans = [up(0, 10, every=0.5)]
    for cycle in range(cycles):
        at = first + cycle * 0.15
        spans += [down(at, at, causes="http-503"), up(at + 0.05, at + 0.1, every=0.05)]
    return [*spans, up(first + cycles * 0.15, 60)]


def test_one_dead_backend_of_three_is_one_episode_with_a_third_failed() -> None:
    summary = of(*storm(80))
    episode = only_episode(summary)
    assert len(episode.outages) == 80
    assert episode.duration_ns == pytest.approx(ns(11.9))
    assert episode.failed_share == pytest.approx(0.336, abs=0.001)
    assert bounds(episode) == pytest.approx((0, 4, 8))
    assert (episode.failed, episode.probes) == (80, 80 + 79 * 2)
    assert episode.causes == {"http-503": 80}
    assert summary.longest_ns == episode.duration_ns


def test_share_does_not_weigh_the_first_failure_by_the_sparse_probes_before_it() -> None:
    episode = only_episode(of(*storm(10, first=10.5)))
    assert episode.duration_ns == pytest.approx(ns(0.25 + 9 * 0.15 + 0.025))
    assert episode.down_ns == pytest.approx(ns(0.25 + 0.025 + 9 * 0.05))
    assert episode.failed_share == pytest.approx(10 / (10 + 9 * 2), abs=0.01)


@pytest.mark.parametrize(("good", "episodes"), [(4.5, 1), (5, 2)])
def test_good_answers_for_as_long_as_it_takes_to_settle_end_an_episode(good: float, episodes: int) -> None:
    # Estimated good time is from midpoint to midpoint: half a second more than from first to last.
    last = 20 + good - 0.5
    assert (
        len(of(up(0, 9.5), down(10, 19.5), up(20, last), down(last + 0.5, 40), up(40.5, 60)).episodes)
        == episodes
    )


def test_outages_of_an_episode_are_bounded_together_from_edge_to_edge() -> None:
    summary = of(up(0, 9.5), down(10, 11), up(11.5, 14), down(14.5, 16), up(16.5, 60))
    episode = only_episode(summary)
    assert (episode.min_ns, episode.duration_ns, episode.max_ns) == (ns(6), ns(6.5), ns(7))
    assert bounds(episode) == (2.5, 3.5, 4.5)
    assert episode.failed_share == pytest.approx(3.5 / 6.5)


def test_restart_is_unobserved_however_short() -> None:
    summary = of(up(0, 10, life=1), up(10.25, 60.25, life=2))
    assert times(summary) == (60, 0, 0, 0.25)
    assert summary.unobserved == {"restart": ns(0.25)}
    assert summary.resolution_ns == ns(0.5)


def test_restart_inside_an_outage_counts_in_its_upper_bounds_only() -> None:
    summary = of(up(0, 10), down(10.5, 15, life=1), down(16, 20, life=2), up(20.5, 60, life=2))
    episode = only_episode(summary)
    assert len(episode.outages) == 1
    assert bounds(summary) == (8.5, 9, 10.5)
    assert (episode.min_ns, episode.duration_ns, episode.max_ns) == (ns(8.5), ns(10), ns(10.5))
    assert episode.unobserved_ns == ns(1)
    assert episode.failed_share == 1


def test_restart_at_an_edge_censors_it() -> None:
    summary = of(up(0, 10, life=1), down(10.8, 20, life=2), up(20.5, 60, life=2))
    episode = only_episode(summary)
    assert episode.is_start_censored
    assert not episode.is_end_censored
    assert episode.start_ns == ns(10.8)
    assert bounds(summary) == (9.2, 9.45, 10.5)


def test_distance_beyond_max_gap_is_unobserved_as_a_stall() -> None:
    summary = of(up(0, 10), up(12.5, 60))
    assert times(summary) == (57.5, 0, 0, 2.5)
    assert summary.unobserved == {"stall": ns(2.5)}


def test_max_gap_of_the_earlier_span_rules() -> None:
    assert of(up(0, 10, max_gap=15), up(20, 60, max_gap=2)).unobserved_ns == 0
    assert of(up(0, 10, max_gap=2), up(20, 60, max_gap=15)).unobserved_ns == ns(10)


def test_time_between_the_known_neighbours_of_an_unknown_probe_is_unobserved() -> None:
    summary = of(up(0, 10), unknown(10.5, 12), up(12.5, 60))
    assert times(summary) == (57.5, 0, 0, 2.5)
    assert summary.unobserved == {"send": ns(2.5)}


def test_unobserved_time_is_shared_among_causes_as_the_probes_are() -> None:
    summary = of(up(0, 10), unknown(10.5, 12, causes={"send": 3, "stall": 1}), up(12.5, 60))
    assert summary.unobserved == {"send": ns(1.875), "stall": ns(0.625)}


def test_neighbouring_unknown_spans_share_the_time_between_them() -> None:
    summary = of(unknown(0, 1), unknown(2, 3, causes="paused"), up(3.5, 10))
    assert summary.unobserved == {"paused": ns(2), "send": ns(1.5)}


def test_unknown_probe_at_an_edge_censors_it() -> None:
    summary = of(up(0, 10), unknown(10.5, 12), down(12.5, 20), unknown(20.5, 20.5), up(21, 60))
    episode = only_episode(summary)
    assert episode.is_start_censored
    assert episode.is_end_censored
    assert (episode.start_ns, episode.end_ns) == (ns(12.5), ns(20))
    assert bounds(summary) == (7.5, 7.5, 11)
    assert times(summary) == (49, 0, 7.5, 3.5)


def test_unknown_probes_before_everything_are_in_the_window() -> None:
    summary = of(unknown(0, 4), up(5, 60))
    assert times(summary) == (55, 0, 0, 5)


def test_target_of_which_nothing_was_observed_has_a_window_all_the_same() -> None:
    summary = of(unknown(0, 60, causes="no-route"))
    assert times(summary) == (0, 0, 0, 60)
    assert not summary.has_answered
    assert summary.resolution_ns is None


@pytest.mark.parametrize(("gap", "episodes"), [(60, 1), (60.5, 2)])
def test_more_than_a_minute_unobserved_ends_an_episode(gap: float, episodes: int) -> None:
    later = 20 + gap
    summary = of(up(0, 10), down(10.5, 20), down(later, later + 10), up(later + 10.5, 200))
    assert len(summary.episodes) == episodes
    assert bounds(summary) == (19.5, 20, gap + 20.5)


def test_parts_of_an_outage_around_a_long_gap_are_bounded_by_the_whole() -> None:
    first, second = of(up(0, 10), down(10.5, 20), down(100, 110), up(110.5, 200)).episodes
    assert (first.end_ns, second.start_ns) == (ns(20), ns(100))
    assert first.is_end_censored
    assert second.is_start_censored
    assert first.max_ns == second.max_ns == ns(100.5)
    assert (bounds(first), bounds(second)) == ((9.5, 9.75, 100.5), (10, 10.25, 100.5))


def test_gap_neither_joins_outages_with_good_answers_between_nor_hides_them() -> None:
    summary = of(up(0, 10), down(10.5, 12), up(12.5, 13), down(90, 95), up(95.5, 200))
    assert len(summary.episodes) == 2
    assert summary.unobserved == {"stall": ns(77)}


def test_target_that_never_answered_is_down_for_its_whole_window() -> None:
    summary = summarize(address("10.0.0.9"), [down(1, 61, check="icmp", causes="no-reply")])
    assert not summary.has_answered
    assert summary.method is None
    assert summary.down_ns == summary.window_ns == summary.observed_ns == ns(60)
    assert bounds(summary) == (60, 60, 60)
    assert only_episode(summary).is_ongoing


def test_outage_that_has_not_ended_counts_to_its_last_probe() -> None:
    summary = of(up(0, 10), down(10.5, 30))
    episode = only_episode(summary)
    assert episode.is_ongoing
    assert not episode.is_end_censored
    assert bounds(episode) == (19.5, 19.75, 20)


def test_unknown_probes_after_the_last_failed_one_leave_it_ongoing() -> None:
    summary = of(up(0, 10), down(10.5, 30), unknown(30.5, 40))
    episode = only_episode(summary)
    assert episode.is_ongoing
    assert episode.end_ns == ns(30)
    assert bounds(episode) == (19.5, 19.75, 30)


def test_service_is_down_where_any_check_is() -> None:
    summary = of(
        up(0, 10),
        down(10.5, 20),
        up(20.5, 60),
        up(0, 14, check="works", every=2, max_gap=6),
        down(16, 30, check="works", every=2, max_gap=6, causes="http-500"),
        up(32, 60, check="works", every=2, max_gap=6),
    )
    episode = only_episode(summary)
    assert len(episode.outages) == 1
    assert (episode.start_ns, episode.end_ns) == (ns(10.25), ns(31))
    assert bounds(summary) == (19.5, 20.75, 22)
    assert episode.checks == ("answers", "works")
    assert episode.causes == {"refused": 20, "http-500": 8}
    assert [check.down_ns for check in summary.checks] == [ns(10), ns(16)]
    assert summary.resolution_ns == ns(2)


def test_outages_of_two_checks_that_do_not_touch_are_two() -> None:
    summary = of(
        *(up(0, 10), down(10.5, 12), up(12.5, 60)),
        *(up(0, 13, check="works"), down(13.5, 15, check="works"), up(15.5, 60, check="works")),
    )
    assert [len(episode.outages) for episode in summary.episodes] == [2]
    assert bounds(summary) == (3, 4, 5)


def test_service_is_slow_where_a_check_is_and_none_is_down() -> None:
    summary = of(
        *(up(0, 10), down(10.5, 20), up(20.5, 60)),
        *(up(0, 15, check="works"), slow(15.5, 25, check="works"), up(25.5, 60, check="works")),
    )
    assert times(summary) == (45, 5, 10, 0)


def test_service_is_observed_where_any_check_is() -> None:
    summary = of(
        up(0, 60),
        *(
            up(0, 10, check="works"),
            unknown(10.5, 20, check="works", causes="token"),
            up(20.5, 60, check="works"),
        ),
    )
    assert times(summary) == (60, 0, 0, 0)
    assert [check.observed_ns for check in summary.checks] == [ns(60), ns(49.5)]


def test_methods_of_an_address_are_alternatives_and_the_one_that_worked_counts() -> None:
    spans = [down(0, 10, check="icmp", causes="no-reply"), up(10.5, 60, check="tcp")]
    summary = summarize(address("10.0.0.9"), spans)
    assert summary.method == "tcp"
    assert times(summary) == (49.5, 0, 0, 0)


def test_method_that_is_kept_counts_although_an_echo_was_answered_shortly_before() -> None:
    spans = [up(12, 12, check="icmp"), up(12.5, 50, check="tcp"), down(50.5, 60, check="tcp")]
    summary = summarize(replace(address("10.0.0.9"), method="tcp-22"), spans)
    assert summary.method == "tcp-22"
    assert times(summary) == (37.75, 0, 9.75, 0)


def test_of_methods_that_never_worked_the_one_tried_longest_counts() -> None:
    spans = [down(0, 10, check="icmp", causes="no-reply"), down(10.5, 60, check="tcp")]
    assert summarize(address("10.0.0.9"), spans).down_ns == ns(49.5)


def test_retired_address_has_a_window_to_the_first_list_without_it() -> None:
    spans = [up(0, 10, check="icmp"), down(10.5, 40, check="icmp")]
    summary = summarize(address("10.0.0.9", missing=20, retired=40), spans)
    assert times(summary) == (10.25, 0, 9.75, 0)
    episode = only_episode(summary)
    assert (episode.failed, episode.is_ongoing, episode.label) == (20, True, "no longer listed")


def test_address_retired_as_of_its_last_good_answer_was_not_down() -> None:
    spans = [up(0, 10, check="icmp"), down(10.5, 40, check="icmp")]
    summary = summarize(address("10.0.0.9", listed=1, missing=20, retired=40), spans)
    assert times(summary) == (10, 0, 0, 0)
    assert summary.episodes == ()


def test_address_retired_before_its_first_probe_has_no_window() -> None:
    assert summarize(address("10.0.0.9", retired=1), [up(2, 10, check="icmp")]).window_ns == 0


def test_resolution_is_the_widest_distance_between_good_answers() -> None:
    summary = of(
        structs.replace(up(0, 30, every=0.5), widest_ns=ns(1.75)),
        down(30.5, 31),
        up(31.5, 51.5, every=1),
        down(52, 52),
        up(52.5, 57.5, every=0.05),
    )
    assert summary.resolution_ns == ns(1.75)
    assert summary.checks[0].interval_ns == ns(0.5)


def test_resolution_counts_the_step_from_timely_answers_to_late_ones() -> None:
    assert of(up(0, 10), slow(11.9, 20)).resolution_ns == ns(1.9)
    assert of(up(0, 10), slow(12.1, 20)).resolution_ns == ns(0.5)  # that was not observed


def test_mean_distance_in_a_span_extended_beyond_its_counted_probes_is_no_more_than_its_widest() -> None:
    grown = structs.replace(up(0, 300), probes=1, widest_ns=ns(0.7))
    assert of(grown).checks[0].interval_ns == of(grown).resolution_ns == ns(0.7)


def test_spans_that_overlap_give_way_to_what_was_sent_later() -> None:
    summary = of(up(0, 12, life=1), down(11, 20, life=2), up(20.5, 60, life=2))
    assert times(summary) == (50.75, 0, 9.25, 0)


# --- calls that hang on --------------------------------------------------------------------------


def test_call_that_hung_until_it_was_answered_is_all_there_is_and_proves_nothing() -> None:
    """Whoever else had asked meanwhile may have been answered."""
    summary = of(up(0, 10), down(12, 12, watched=14, max_gap=120), up(42, 60, dated=40))
    assert bounds(summary) == (0, 29, 32)  # from 11 to 40, within 10 and 42
    assert times(summary) == (31, 0, 29, 0)


def test_time_between_two_calls_of_which_the_first_hung_on_is_not_proven() -> None:
    """Behind a load balancer with one frozen backend two calls in a row may meet it, and others none."""
    hung = [down(10.5, 10.5, watched=12.5, max_gap=120), down(72, 72, watched=74, max_gap=240)]
    summary = of(up(0, 10), *hung, down(80, 82), up(82.5, 100))
    assert bounds(summary) == (2, 82.25 - 10.25, 72.5)
    (episode,) = summary.episodes
    assert episode.down_min_ns == ns(2)


def test_call_that_hangs_still_counts_until_it_was_last_known_to() -> None:
    summary = of(up(0, 10), down(10.5, 10.5, watched=30, max_gap=120))
    assert bounds(summary) == (0, 19.75, 20)
    assert only_episode(summary).is_ongoing
    assert summary.end_ns == ns(30)


def test_call_that_hung_when_its_worker_died_counts_until_then() -> None:
    summary = of(up(0, 10), down(10.5, 10.5, watched=30, max_gap=120), up(40, 60, life=2))
    assert bounds(summary) == (0, 19.75, 30)
    assert summary.unobserved == {"restart": ns(10)}
    assert only_episode(summary).is_end_censored


def test_dead_workers_call_is_not_known_to_hang_beyond_its_successors_first_probe() -> None:
    summary = of(up(0, 10), down(10.5, 10.5, watched=30, max_gap=120), up(25, 60, life=2))
    assert bounds(summary) == (0, 14.75, 15)
    assert summary.unobserved == {}


def test_root_that_failed_proves_what_the_hung_call_does_not() -> None:
    answers = [up(0, 10), down(10.5, 13), up(13.5, 60)]
    works = [
        up(0, 9, check="works", every=2, max_gap=6),
        down(11, 11, watched=13, max_gap=120, check="works"),
        up(33, 60, check="works"),
    ]
    least, estimate, most = bounds(of(*answers, *works))
    assert least == 2.5
    assert estimate < 5  # they recovered together
    assert most == 33 - 9
