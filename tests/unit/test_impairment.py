"""What of a service's failures is Keystone's, and what stays its own."""

import pytest

from downtimer.cells import is_good
from downtimer.impairment import attribute, find_failing, impaired
from downtimer.model import Span, Verdict
from downtimer.outages import summarize
from tests.unit.runs import down, ns, service, slow, unknown, up

UNTIL_NS = ns(200)
AWAY = "http-503-keystone"


def keystone(first: float, last: float, check: str = "works") -> list[Span]:
    """Return the spans of a Keystone that failed from one probe to another."""
    return [up(0, first - 2, check=check), down(first, last, check=check), up(last + 0.2, 200, check=check)]


def failing(*checks: list[Span]) -> list[tuple[float, float]]:
    """Return when it may have failed, in seconds."""
    return [(start / 1e9, end / 1e9) for start, end in find_failing(checks, UNTIL_NS)]


def judged(span: Span, *checks: list[Span]) -> list[tuple[Verdict, float, float]]:
    """Return what becomes of a service's span: verdicts with their times in seconds."""
    found = attribute([span], find_failing(checks, UNTIL_NS))
    return [(one.verdict, one.first_sent_ns / 1e9, one.last_sent_ns / 1e9) for one in found]


def test_failing_from_the_last_good_answer_to_the_next_and_while_calls_were_under_way() -> None:
    assert failing(keystone(20, 40)) == [(16, 40.2)]


def test_keystone_fails_when_any_of_its_checks_does() -> None:
    """An outage between two of its calls is seen by its root alone, and others name it."""
    found = failing(keystone(20, 40, "login"), keystone(60, 70, "answers"), keystone(90, 95))
    assert found == [(16, 40.2), (56, 70.2), (86, 95.2)]


def test_what_is_not_over_fails_to_the_end() -> None:
    assert failing([up(0, 18, check="works"), down(20, 100, check="works")]) == [(16, 200)]


def test_outages_of_one_episode_are_one() -> None:
    """Behind a load balancer with one dead Keystone of three good and bad answers alternate."""
    goods = [up(first, last, check="works") for first, last in ((0, 10), (11.5, 13), (14.5, 30), (31.5, 99))]
    bads = [down(first, first + 0.5, check="works") for first in (10.5, 13.5, 30.5)]
    assert failing([*goods, *bads]) == [(8, 14.5), (28, 31.5)]


@pytest.mark.parametrize("cause", ["http-401", AWAY])
def test_refusal_for_want_of_keystone_while_it_failed_is_unknown(cause: str) -> None:
    span = down(21, 39, check="works", causes=cause)
    assert judged(span, keystone(20, 40)) == [(Verdict.UNKNOWN, 21, 39)]


def test_token_that_was_refused_then_is_keystones_fault_too() -> None:
    (found,) = attribute([unknown(21, 39, check="works", causes="token")], [(ns(16), ns(40.2))])
    assert found.causes == {"keystone": found.probes}


@pytest.mark.parametrize("cause", ["http-500", "http-503", "refused", "timeout-answer"])
def test_any_other_failure_is_the_services_own(cause: str) -> None:
    span = down(21, 39, check="works", causes=cause)
    assert judged(span, keystone(20, 40)) == [(Verdict.DOWN, 21, 39)]


def test_service_that_names_keystone_while_keystone_works_is_down() -> None:
    span = down(60, 70, check="works", causes=AWAY)
    assert judged(span, keystone(20, 40)) == [(Verdict.DOWN, 60, 70)]


def test_root_is_never_excused() -> None:
    span = down(21, 39, check="answers", causes="http-401")
    assert judged(span, keystone(20, 40)) == [(Verdict.DOWN, 21, 39)]


def test_failure_that_outlasts_keystones_is_cut_where_it_may_be_keystones_no_more() -> None:
    """What is left begins one distance of probes later, for when each was sent is not known."""
    span = down(10, 60, check="works", causes=AWAY)
    assert judged(span, keystone(20, 40)) == [
        (Verdict.DOWN, 10, 15.5),
        (Verdict.UNKNOWN, 16, 40.2),
        (Verdict.DOWN, 40.7, 60),
    ]


def test_impairment_is_listed_and_is_nobodys_downtime() -> None:
    calls = [up(0, 20, check="works"), down(21, 39, check="works", causes=AWAY), up(40, 60, check="works")]
    spans = [up(0, 60), *attribute(calls, find_failing([keystone(20, 40)], UNTIL_NS))]
    found = summarize(service("nova"), spans)
    assert (found.down_ns, found.down_max_ns, found.unobserved_ns) == (0, 0, 0)
    (impairment,) = found.impairments
    assert (impairment.start_ns, impairment.end_ns) == (ns(21), ns(39))
    assert len(impaired(spans)) == 1
    (_, check) = found.checks
    assert check.unobserved == {"keystone": ns(20)}


# --- what hung while Keystone was away -----------------------------------------------------------


def run_of(*spans: Span) -> list[tuple[str, float, float]]:
    """Return what becomes of a run of failures while Keystone failed from 20 to 40 s: first causes, times."""
    found = attribute(spans, find_failing([keystone(20, 40)], UNTIL_NS))
    return [(min(one.causes), one.first_sent_ns / 1e9, one.last_sent_ns / 1e9) for one in found]


def failing_calls(first: float, last: float, cause: str) -> Span:
    """Return calls that failed like that, one every second."""
    return down(first, last, check="works", causes=cause, every=1)


def test_what_hung_among_calls_that_name_keystone_waited_for_it() -> None:
    run = [failing_calls(21, 35, AWAY), failing_calls(36, 38, "timeout-answer")]
    assert run_of(*run) == [("keystone", 21, 35), ("keystone", 36, 38)]


def test_good_answers_between_excuse_nothing_and_blame_nobody() -> None:
    """One of the service's processes has our token cached, and its answers are good all the while."""
    run = [
        failing_calls(21, 25, AWAY),
        up(26, 34, check="works", every=1),
        failing_calls(35, 35, "timeout-answer"),
    ]
    found = list(attribute(run, find_failing([keystone(20, 40)], UNTIL_NS)))
    assert [(one.verdict, *one.causes) for one in found] == [
        (Verdict.UNKNOWN, "keystone"),
        (Verdict.UP,),
        (Verdict.UNKNOWN, "keystone"),
    ]


def test_hang_long_after_the_service_named_keystone_is_its_own() -> None:
    run = [
        failing_calls(21, 25, AWAY),
        up(26, 126, check="works", every=1),
        failing_calls(130, 130, "timeout-answer"),
    ]
    found = list(attribute(run, find_failing([keystone(20, 140)], UNTIL_NS)))
    assert [one.verdict for one in found] == [Verdict.UNKNOWN, Verdict.UP, Verdict.DOWN]


def test_late_answer_among_good_ones_does_not_tie_two_reasons_together() -> None:
    run = [
        failing_calls(21, 25, AWAY),
        up(26, 48, check="works", every=1),
        slow(49, 49, check="works"),
        up(50, 72, check="works", every=1),
        failing_calls(75, 75, "timeout-answer"),
    ]
    found = list(attribute(run, find_failing([keystone(20, 140)], UNTIL_NS)))
    assert [one.verdict for one in found if not is_good(one)] == [Verdict.UNKNOWN, Verdict.DOWN]


def test_what_hangs_and_names_nobody_is_the_services_own() -> None:
    """A database that all share looks like that."""
    run = [failing_calls(21, 38, "timeout-answer")]
    assert run_of(*run) == [("timeout-answer", 21, 38)]


def test_what_named_keystone_at_another_time_excuses_nothing() -> None:
    run = [failing_calls(0, 14, AWAY), failing_calls(15, 60, "timeout-answer")]
    assert run_of(*run) == [(AWAY, 0, 14), ("timeout-answer", 15, 60)]


def test_other_failures_count_against_it() -> None:
    run = [
        failing_calls(21, 33, "http-500"),
        failing_calls(34, 35, AWAY),
        failing_calls(36, 36, "timeout-answer"),
    ]
    assert run_of(*run) == [("http-500", 21, 33), ("keystone", 34, 35), ("timeout-answer", 36, 36)]
