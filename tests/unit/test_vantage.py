"""When the vantage was blind, and what of the failures is for that."""

from collections.abc import Iterator, Sequence
from typing import NoReturn

import pytest
from msgspec.structs import replace

from downtimer.intervals import Interval
from downtimer.model import Span, TargetId, Verdict
from downtimer.vantage import (
    Answers,
    Evidence,
    Failures,
    answers_of,
    answers_of_reference,
    attribute,
    evidence_of,
    find_blind,
)
from tests.unit.runs import down, ns, slow, span, unknown, up

BASELINE_NS = ns(0.01)  # so what comes within 0.2 s is timely
UNTIL_NS = ns(100)


def lost(first: float, last: float, **more: object) -> Span:
    """Return a span of probes that nothing was heard of, 0.5 s apart."""
    return down(first, last, **({"causes": "no-reply"} | more))


def reference(*spans: Span) -> list[Span]:
    """Return the spans of a reference, probed five times a second."""
    return [replace(one, target=TargetId("reference/10.0.0.1"), check="icmp") for one in spans]


def gateway(first: float, last: float) -> list[Span]:
    """Return the spans of a reference that fails from one probe to another."""
    return reference(
        up(0, first - 0.2, every=0.2), down(first, last, every=0.2), up(last + 0.2, 100, every=0.2)
    )


def blind(references: Sequence[Sequence[Span]], *others: Span) -> list[tuple[float, float]]:
    """Return when it was blind, in seconds."""
    evidence: list[Answers | Failures] = []
    for spans in references:
        evidence += answers_of_reference(_learnt(spans), BASELINE_NS)
    evidence += [one for other in others for one in evidence_of(_learnt([other]), BASELINE_NS)]
    found = find_blind(references, lambda _: evidence, tuple, UNTIL_NS)
    return [(start / 1e9, end / 1e9) for start, end in found]


def _learnt(spans: Sequence[Span]) -> list[Span]:
    """Return the spans of a check whose normal has been known for long."""
    return [up(-1000, -900), *spans]


def test_blind_between_the_nearest_good_answers_where_all_fail() -> None:
    assert blind([gateway(10, 15)], up(0, 9.95), down(10.45, 14.5), up(15.1, 100)) == [(9.95, 15.1)]


def test_any_timely_answer_in_the_midst_proves_the_link() -> None:
    assert blind([gateway(10, 15)], up(12, 12)) == []
    assert blind([gateway(10, 15)], up(0, 12)) == []
    assert blind([gateway(10, 15)], up(14.8, 100)) == []
    assert blind([gateway(10, 15)], up(14.9, 100)) == [(9.8, 15.2)]  # it may have come after all that


def test_target_that_was_up_all_the_time_proves_the_link_if_it_was_probed_in_it() -> None:
    assert blind([gateway(10, 15)], up(0, 100, every=0.5)) == []
    assert blind([gateway(10, 10.8)], up(0, 100, every=0.5)) == []
    assert blind([gateway(10, 10.6)], up(0, 100, every=0.5), lost(10.1, 10.5)) == [(9.8, 10.8)]
    assert blind([gateway(10, 10.6)], up(0, 100, every=0.1)) == []


def test_until_its_normal_is_known_an_answer_may_have_been_late() -> None:
    """Twenty answers make it known; before that, up means within a user's patience."""
    references = [gateway(10, 15)]
    for first, is_proof in ((12.9, True), (13.5, False)):
        answers = [one for spans in (*references, [up(first, 15)]) for one in answers_of(spans, BASELINE_NS)]
        found = find_blind(references, lambda _: (), lambda: answers, UNTIL_NS)  # noqa: B023 - called at once
        assert found == ([] if is_proof else [(ns(9.8), ns(15.2))])
    learnt, known = answers_of([up(0, 49.5)], BASELINE_NS)
    assert (learnt.last_ns, learnt.latency_ns) == (ns(9.9), ns(2))
    assert (known.first_ns, known.last_ns, known.latency_ns) == (ns(9.9), ns(49.5), ns(0.2))
    (unknown_normal,) = answers_of([up(0, 49.5)], None)
    assert unknown_normal.latency_ns == ns(2)


def test_late_answer_proves_nothing() -> None:
    """Its request was sent again when the link was there again."""
    assert blind([gateway(10, 15)], slow(14, 14.9)) == [(9.8, 15.2)]


def test_answer_of_which_it_is_not_known_how_soon_it_came_proves_nothing() -> None:
    """Held up ourselves, we can't tell that it was not late."""
    held_up = up(14, 14.5, causes="stall")
    assert blind([gateway(10, 15)], held_up) == [(9.8, 15.2)]
    waited = reference(up(0, 10, every=0.2), down(10.2, 15, every=0.2), held_up, up(15.2, 100, every=0.2))
    assert blind([waited]) == [(10, 15.2)]
    assert blind([reference(replace(held_up, last_sent_ns=UNTIL_NS)), gateway(10, 15)]) == [(9.8, 15.2)]


def test_late_answers_of_a_reference_do_not_end_the_time_either() -> None:
    """They waited for the link; what was sent after them may have been lost for want of room."""
    waited = reference(
        up(0, 10, every=0.2),
        down(10.2, 14, every=0.2),
        slow(14.2, 14.8, every=0.2),
        down(14.9, 15, every=0.1),
        up(15.1, 100, every=0.2),
    )
    assert blind([waited]) == [(10, 15.1)]


def test_without_references_nobody_is_blind() -> None:
    assert blind([], down(10, 20)) == []


def test_reference_that_never_answered_is_none() -> None:
    assert blind([reference(down(0, 100))]) == []
    assert blind([reference(down(0, 100)), gateway(10, 15)]) == [(9.8, 15.2)]


def test_before_its_first_answer_a_reference_does_not_count() -> None:
    late = reference(down(0, 50), up(50.2, 100, every=0.2))
    assert blind([late]) == []
    assert blind([late, gateway(10, 15)]) == [(9.8, 15.2)]
    assert blind([late, gateway(70, 75)]) == []


def test_one_of_several_references_is_enough_to_prove_the_link() -> None:
    assert blind([gateway(10, 15), reference(up(0, 100, every=0.2))]) == []
    assert blind([gateway(10, 15), gateway(12, 20)]) == [(11.8, 15.2)]
    assert blind([gateway(10, 15), gateway(15.2, 20)]) == []


def test_all_failed_only_where_each_did() -> None:
    """Each of them fails for reasons of its own before or after."""
    assert blind([gateway(10, 15), gateway(12, 20)], lost(12.5, 14.5)) == [(11.8, 15.2)]


def test_single_lost_echo_of_a_reference_is_its_own_if_most_were_well() -> None:
    once = gateway(10, 10)
    well = [up(0, 100, every=0.2) for _ in range(4)]
    assert blind([once], lost(10, 10)) == [(9.8, 10.2)]
    assert blind([once], lost(10, 10), lost(10.1, 10.1), lost(10, 10), *well) == [(9.8, 10.2)]
    assert blind([once], lost(10, 10), lost(10.1, 10.1), *well) == []
    assert blind([once, reference(up(0, 100, every=0.2))], lost(10, 10)) == []
    assert blind([once, reference(up(0, 100, every=0.2))], lost(10, 10), lost(10.1, 10.1)) == [(9.8, 10.2)]
    assert blind([once], lost(5, 10), lost(10, 10), *well) == []  # the one had begun to fail before


def test_what_is_probed_seldom_counts_less_where_it_was_well() -> None:
    assert blind([gateway(10, 10)], lost(10, 10), up(0, 100), up(0, 100)) == [(9.8, 10.2)]
    assert blind([gateway(10, 10)], lost(10, 10), up(0, 100), up(0, 100), up(0, 100)) == []


def test_echoes_lost_one_by_one_are_no_long_failure_of_the_link() -> None:
    """The one that was answered between two of them proves that it was up."""
    lossy = reference(
        up(0, 9.8, every=0.2), down(10, 10), up(10.2, 10.2), down(10.4, 10.4), up(10.6, 100, every=0.2)
    )
    assert blind([lossy], lost(9.9, 40)) == [(9.8, 10.2), (10.2, 10.6)]
    assert blind([lossy], lost(9.9, 10), lost(10.4, 10.4)) == [(9.8, 10.2), (10.2, 10.6)]
    assert attributed(lost(9.9, 40), (9.8, 10.2), (10.2, 10.6))[0][0] == "down"


def test_link_that_is_not_back_at_the_end_is_blind_to_the_end() -> None:
    assert blind([reference(up(0, 10, every=0.2), down(10.2, 99, every=0.2))]) == [(10, 100)]


def test_blind_times_less_than_a_second_apart_are_one() -> None:
    again = reference(
        up(0, 9.8), down(10, 12), up(12.5, 13), down(13.5, 15), up(15.5, 20), down(20.5, 22), up(22.5, 100)
    )
    assert blind([again]) == [(9.8, 15.5), (20, 22.5)]


def test_gap_without_probes_is_no_failure_and_our_own_missing_route_is_one() -> None:
    assert blind([reference(up(0, 10), up(20, 100))]) == []
    assert blind([reference(up(0, 10), unknown(10.5, 19, causes="stall"), up(20, 100))]) == []
    assert blind([reference(up(0, 10), unknown(10.5, 19, causes="no-route"), up(20, 100))]) == [(10, 20)]


def test_reference_that_loses_echoes_now_and_then_is_refuted_each_time() -> None:
    flapping, at = [up(0, 0.9, every=0.1)], 1.0
    while at < 90:
        flapping += [down(at, at + 1, every=0.5), up(at + 1.1, at + 2.9, every=0.1)]
        at += 3
    everything = [up(0, 100, every=0.5), up(0, 45, every=0.3), up(45.3, 100, every=0.3)]
    assert blind([reference(*flapping)], *everything) == []
    assert len(blind([reference(*flapping)], up(50, 100))) == 17  # those that were over before 50


# --- what is for that ---


def attributed(
    one: Span, *blind_times: tuple[float, float]
) -> list[tuple[str, float, float, int, dict[str, int]]]:
    """Return what becomes of a span: verdict, first, last, probes, causes."""
    times = [(ns(start), ns(end)) for start, end in blind_times]
    return [
        (
            part.verdict.value,
            part.first_sent_ns / 1e9,
            part.last_sent_ns / 1e9,
            part.probes,
            dict(part.causes),
        )
        for part in attribute([one], times, BASELINE_NS)
    ]


@pytest.mark.parametrize("verdict", [Verdict.UP, Verdict.SLOW, Verdict.UNKNOWN])
def test_only_failures_are_judged_anew(verdict: Verdict) -> None:
    one = span(verdict, 10, 20)
    assert list(attribute([one], [(0, ns(100))], BASELINE_NS)) == [one]


def test_failures_within_blind_time_are_unknown() -> None:
    assert attributed(lost(10, 14), (9.9, 15)) == [("unknown", 10, 14, 9, {"vantage": 9})]


def test_what_was_under_way_when_the_link_went_is_judged_with_it() -> None:
    assert attributed(lost(9.8, 14), (10, 15)) == [("unknown", 9.8, 14, 9, {"vantage": 9})]
    assert attributed(lost(9.9, 9.9), (10, 15)) == [("unknown", 9.9, 9.9, 1, {"vantage": 1})]
    assert attributed(lost(9.7, 9.7), (10, 15)) == [("down", 9.7, 9.7, 1, {"no-reply": 1})]


def test_what_goes_on_for_a_second_after_it_is_judged_with_it() -> None:
    assert attributed(lost(10, 16), (9.9, 15)) == [("unknown", 10, 16, 13, {"vantage": 13})]


def test_target_that_was_down_before_and_after_is_known_to_be_so_only_there() -> None:
    """The probes next to blind time may have been as far from it as they are from each other."""
    assert attributed(lost(0, 40), (10, 15)) == [
        ("down", 0, 9.3, 19, {"no-reply": 19}),
        ("unknown", 9.8, 16, 13, {"vantage": 13}),
        ("down", 16.5, 40, 48, {"no-reply": 48}),
    ]


def test_other_sides_own_word_is_excused_by_nothing() -> None:
    for cause in ("refused", "http-503", "tls", "malformed"):
        assert attributed(down(10, 14, causes=cause), (9.9, 15)) == [("down", 10, 14, 9, {cause: 9})]
    for cause in ("unreachable", "reset", "closed", "timeout-connect"):
        assert attributed(down(10, 14, causes=cause), (9.9, 15))[0][0] == "unknown"


def test_failures_most_of_which_are_the_other_sides_word_are_not_excused() -> None:
    assert attributed(down(10, 14, causes={"refused": 6, "reset": 3}), (9.9, 15))[0][0] == "down"
    assert attributed(down(10, 14, causes={"refused": 3, "reset": 6}), (9.9, 15))[0][0] == "unknown"


def test_short_failure_of_the_link_excuses_only_what_failed_and_recovered_with_it() -> None:
    assert attributed(lost(10, 10.5), (9.8, 10.4)) == [("unknown", 10, 10.5, 2, {"vantage": 2})]
    assert attributed(lost(10, 11.5), (9.8, 10.4)) == [("down", 10, 11.5, 4, {"no-reply": 4})]
    assert attributed(lost(9.5, 10.5), (9.8, 10.4)) == [("down", 9.5, 10.5, 3, {"no-reply": 3})]


def test_several_blind_times_in_one_outage() -> None:
    found = attributed(lost(0, 40), (10, 13), (20, 25), (50, 60))
    assert [part[0] for part in found] == ["down", "unknown", "down", "unknown", "down"]
    assert [part[1:3] for part in found] == [(0, 9.3), (9.8, 14), (14.5, 19.3), (19.8, 26), (26.5, 40)]


def test_failure_that_begins_after_blind_time_counts() -> None:
    assert attributed(lost(15.1, 20), (10, 15)) == [("down", 15.1, 20, 11, {"no-reply": 11})]


# --- how much is looked at ---


def test_nothing_is_looked_at_without_a_suspicion() -> None:
    def fail(*_: object) -> NoReturn:
        raise AssertionError

    assert find_blind([reference(up(0, 100, every=0.2))], fail, fail, UNTIL_NS) == []


def test_lost_echo_is_refuted_by_the_first_who_were_well() -> None:
    """What failed with it is looked at first, all of it; then no more than is needed."""
    asked: list[Sequence[Interval]] = []
    looked_at = 0

    def around(times: Sequence[Interval]) -> list[Evidence]:
        asked.append(times)
        return list(evidence_of(_learnt([up(0, 9.9), lost(10, 12)]), BASELINE_NS))

    def others() -> Iterator[Evidence]:
        nonlocal looked_at
        for _ in range(1000):
            for one in answers_of(_learnt([up(0, 100, every=0.1)]), BASELINE_NS):
                looked_at += 1
                yield one

    assert find_blind([gateway(10, 10)], around, others, UNTIL_NS) == []
    assert asked == [[(ns(9.8), ns(10.2))]]
    assert looked_at < 10
