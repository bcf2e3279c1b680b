"""What a pause makes of the figures: time that nobody observed, in the upper bounds and in no estimate."""

import pytest

from downtimer.model import NEVER_NS, Event, Span
from downtimer.outages import summarize
from downtimer.pauses import PAUSE, UNPAUSE, find_pauses, paused_since_ns, put_in
from tests.unit.runs import down, ns, service, up


def event(at: float, kind: str) -> Event:
    """Return an event at that second."""
    return Event(at_ns=ns(at), kind=kind, text="")


@pytest.mark.parametrize(
    ("events", "pauses"),
    [
        ([], []),
        ([event(1, PAUSE)], [(ns(1), NEVER_NS)]),
        ([event(1, PAUSE), event(3, UNPAUSE)], [(ns(1), ns(3))]),
        ([event(1, PAUSE), event(2, "restart"), event(3, UNPAUSE)], [(ns(1), ns(3))]),
        ([event(1, PAUSE), event(2, PAUSE), event(3, UNPAUSE), event(4, UNPAUSE)], [(ns(1), ns(3))]),
        ([event(1, PAUSE), event(3, UNPAUSE), event(5, PAUSE)], [(ns(1), ns(3)), (ns(5), NEVER_NS)]),
        ([event(3, UNPAUSE)], []),
    ],
)
def test_pauses_are_told_by_events(events: list[Event], pauses: list[tuple[int, int]]) -> None:
    assert find_pauses(events) == pauses
    is_paused = bool(pauses) and pauses[-1][1] == NEVER_NS
    assert paused_since_ns(events) == (pauses[-1][0] if is_paused else None)


def figures(spans: list[Span], *pauses: tuple[float, float]) -> tuple[float, ...]:
    """Return up, down, least and most down, and what was not observed, in seconds."""
    found = summarize(service("nova"), put_in(spans, [(ns(start), ns(end)) for start, end in pauses]))
    assert found.window_ns == found.observed_ns + sum(found.unobserved.values())
    assert found.probes == sum(span.probes for span in spans)
    assert set(found.unobserved) <= {"paused", "restart"}
    lengths = (found.up_ns, found.down_ns, found.down_min_ns, found.down_max_ns)
    causes = (found.unobserved.get("paused", 0), found.unobserved.get("restart", 0))
    return tuple(length / ns(1) for length in (*lengths, *causes))


def test_a_pause_between_good_answers_is_no_downtime_and_explains_the_whole_gap() -> None:
    spans = [up(0, 10), up(31, 40, life=2)]
    assert figures(spans, (10.5, 30)) == (19, 0, 0, 0, 21, 0)


def test_without_a_pause_the_same_gap_is_a_restart() -> None:
    assert figures([up(0, 10), up(31, 40, life=2)], (50, 60)) == (19, 0, 0, 0, 0, 21)


def test_a_pause_so_short_that_it_leaves_no_gap_is_not_observed_either() -> None:
    assert figures([up(0, 10), up(10.5, 20)], (10.1, 10.2)) == (19.5, 0, 0, 0, 0.5, 0)


def test_an_outage_across_a_pause_counts_it_in_the_upper_bound_alone() -> None:
    spans = [up(0, 10), down(10.5, 15), down(31, 35, life=2), up(35.5, 40, life=2)]
    assert figures(spans, (15.5, 30)) == (15, 9, 8.5, 25.5, 16, 0)


def test_an_outage_that_began_in_a_pause_is_no_older_than_its_first_failed_probe() -> None:
    spans = [up(0, 10), down(31, 35, life=2), up(35.5, 40, life=2)]
    assert figures(spans, (10.5, 30)) == (14.75, 4.25, 4, 25.5, 21, 0)


def test_pauses_before_the_first_probe_and_after_the_last_are_in_no_window() -> None:
    assert figures([up(10, 20)], (0, 9), (21, 30)) == (10, 0, 0, 0, 0, 0)


def test_several_pauses_in_one_gap_are_one() -> None:
    assert figures([up(0, 10), up(41, 50, life=2)], (10.5, 20), (30, 40)) == (19, 0, 0, 0, 31, 0)


def test_each_check_has_its_own_gap() -> None:
    login = [up(0, 0, check="login"), up(45, 45, check="login", life=2)]
    spans = [up(0, 10), up(31, 40, life=2), *login]
    found = summarize(service("nova"), put_in(spans, [(ns(10.5), ns(30))]))
    assert {check.name: dict(check.unobserved) for check in found.checks} == {
        "answers": {"paused": ns(21)},
        "login": {"paused": ns(45)},
    }
