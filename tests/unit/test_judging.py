"""A run is judged by what its probes prove: pass, fail, or undecided, with the reason in one line."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downtimer.assertions import Judgement, Result, parse
from downtimer.intervals import measure, unite
from downtimer.model import SECOND_NS, Event, Span, TargetId, TargetState
from downtimer.outages import summarize
from downtimer.pauses import PAUSE, UNPAUSE
from downtimer.report.cases import Scene, hold
from downtimer.report.summary import build
from tests.unit.runs import MemoryReader, address, down, ns, service, slow, unknown, up
from tests.unit.sampled import CHECKS, NOVA, Sampled, is_down

NINETY_FIVE: Final = [up(0, 10), down(10.5, 20), up(20.5, 100)]
"""Nova, down for 10 s (9.5-10.5) of 100."""


def judge(text: str, spans: Sequence[Span], *states: TargetState) -> Judgement:
    """Hold one assertion against a run."""
    reader = MemoryReader(states=states or [service("nova")], the_spans=spans)
    (judgement,) = build(reader, [parse(text)]).judgements
    return judgement


def ping(name: str, *spans: Span) -> list[Span]:
    """Return these spans as an address's."""
    return [of(each, f"address:{name}", "icmp") for each in spans]


def of(one: Span, target: str, check: str = "answers") -> Span:
    """Return a span as another target's."""
    return Span(
        target=TargetId(target),
        check=check,
        verdict=one.verdict,
        first_sent_ns=one.first_sent_ns,
        last_sent_ns=one.last_sent_ns,
        probes=one.probes,
        widest_ns=one.widest_ns,
        causes=one.causes,
        max_gap_ns=one.max_gap_ns,
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("service:nova <= 10.5s", Result.PASS),
        ("service:nova < 10.5s", Result.UNDECIDED),
        ("service:nova <= 10s", Result.UNDECIDED),
        ("service:nova <= 9.5s", Result.UNDECIDED),
        ("service:nova < 9.5s", Result.FAIL),
        ("service:nova <= 9499ms", Result.FAIL),
        ("longest <= 10.5s", Result.PASS),
        ("longest <= 10s", Result.UNDECIDED),
        ("longest <= 9s", Result.FAIL),
        ("service:* <= 10.5%", Result.PASS),
        ("service:* <= 10%", Result.UNDECIDED),
        ("service:* < 9.5%", Result.FAIL),
        ("outages <= 1", Result.PASS),
        ("outages < 1", Result.FAIL),
        ("observed >= 100%", Result.PASS),
        ("zero-downtime", Result.FAIL),
    ],
)
def test_limit_is_held_against_the_bounds(text: str, result: Result) -> None:
    assert judge(text, NINETY_FIVE).result is result


def test_failure_names_the_target_the_second_and_the_cause() -> None:
    assert judge("service:nova <= 5s", NINETY_FIVE).why == (
        "nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20"
    )
    assert judge("zero-downtime", NINETY_FIVE).why == (
        "nova was down 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20; "
        "a shorter outage than 0.50 s (answers) can have been missed"
    )
    assert judge("longest <= 1s", NINETY_FIVE).why == (
        "nova was down at a stretch for 10.0 s (9.5–10.5) from 2026-11-22 16:37:15.373 UTC: refused 20"
    )
    assert judge("outages <= 0", NINETY_FIVE).why == (
        "nova was down once from 2026-11-22 16:37:15.373 UTC: refused 20"
    )
    assert judge("<= 1%", NINETY_FIVE).why == (
        "nova was down 10.00 % (9.50–10.50) of 100.0 s from 2026-11-22 16:37:15.373 UTC: refused 20"
    )


def test_undecided_names_the_limit() -> None:
    assert judge("<= 10s", NINETY_FIVE).why.endswith("; the limit of 10s lies between the bounds")


def test_worst_target_speaks_for_all_and_the_others_are_counted() -> None:
    spans = [
        *NINETY_FIVE,
        *(of(one, "service:glance") for one in (up(0, 10), down(10.5, 50), up(50.5, 100))),
        *(of(one, "service:heat") for one in (up(0, 100),)),
    ]
    states = [service("nova"), service("glance"), service("heat")]
    failed = judge("service:* <= 1s", spans, *states)
    assert failed.why.startswith("glance was down 40.0 s")
    assert failed.why.endswith("; 1 more fails (nova)")
    assert [(case.target, case.result) for case in failed.cases] == [
        ("glance", Result.FAIL),
        ("heat", Result.PASS),
        ("nova", Result.FAIL),
    ]
    passed = judge("service:* <= 1min", spans, *states)
    assert passed.why.startswith("3 services; the worst: glance was down 40.0 s (39.5–40.5) from ")
    assert judge("service:h* <= 0s", spans, *states).why == "heat was not down"


def test_episodes_are_counted_of_all_targets_together() -> None:
    spans = [
        *(
            of(one, "service:glance")
            for one in (up(0, 10), down(10.5, 50), up(50.5, 70), down(71, 72), up(73, 99))
        ),
        *(of(one, "service:heat") for one in (up(0, 100),)),
        *NINETY_FIVE,
    ]
    states = [service("nova"), service("glance"), service("heat")]
    failed = judge("outages <= 2", spans, *states)
    assert failed.result is Result.FAIL
    assert failed.why.startswith("3 episodes in all; glance was down 2 times, first from ")
    assert [case.result for case in failed.cases] == [Result.FAIL]
    assert judge("service:* outages <= 3", spans, *states).result is Result.PASS
    assert judge("service:h* outages <= 0", spans, *states).why == "heat was not down"
    unseen = [one for one in spans if one.target != "service:heat"]
    unseen += [of(one, "service:heat") for one in (up(0, 20), unknown(20.5, 99.5), up(100, 100))]
    undecided = judge("outages <= 3", unseen, *states)
    assert undecided.result is Result.UNDECIDED
    assert undecided.why.startswith("heat was observed for 20")


def test_nothing_down_is_said_once_for_many() -> None:
    states = [service("nova"), address("10.0.0.5")]
    spans = [up(0, 60), *ping("10.0.0.5", up(0, 60))]
    assert judge("<= 0s", spans, *states) == replace(
        judge("<= 0s", spans, *states), result=Result.PASS, why="1 service and 1 address: none was down"
    )


def test_selector_that_fits_nothing_fails_with_a_hint() -> None:
    judgement = judge("service:nvoa <= 5s", NINETY_FIVE)
    assert judgement.result is Result.FAIL
    assert judgement.why == "no target fits service:nvoa; did you mean nova?"
    assert [case.target for case in judgement.cases] == [None]
    assert judge("accessible", NINETY_FIVE).result is Result.FAIL
    assert judge("accessible", NINETY_FIVE).why == "there is nothing to judge: no address was measured"
    assert judge("project:shpo <= 1%", ping("10.0.0.5", up(0, 60)), address("10.0.0.5")).why == (
        "no target fits project:shpo; did you mean shop?"
    )


def test_too_little_observed_is_never_a_pass_but_may_be_a_failure() -> None:
    spans = [up(0, 10), down(10.5, 20), up(20.5, 60), unknown(60.5, 80), up(80.5, 100)]
    judgement = judge("<= 30s", spans)
    assert judgement.result is Result.UNDECIDED
    assert judgement.why == "nova was observed for 79.50 % of its time only, 90% is needed"
    assert judge("<= 5s", spans).result is Result.FAIL
    assert judge("<= 1%", spans).result is Result.UNDECIDED
    assert judge("outages <= 0", spans).result is Result.FAIL


def test_coverage_is_exact_and_its_causes_are_named() -> None:
    spans = [up(0, 60), unknown(60.5, 80), up(80.5, 100)]
    assert judge("observed >= 79.5%", spans).result is Result.PASS
    failed = judge("observed >= 79.6%", spans)
    assert failed.result is Result.FAIL
    assert failed.why == "nova was observed for 79.50 % of its time: send 20.5 s"


def test_target_that_was_not_probed_to_the_end_was_not_observed_then() -> None:
    spans = [up(0, 30), *(of(one, "service:glance") for one in (up(0, 100),))]
    judgement = judge("service:nova <= 5s", spans, service("nova"), service("glance"))
    assert judgement.result is Result.UNDECIDED
    assert judgement.why == "nova was observed for 32.08 % of its time only, 90% is needed"


def test_probes_that_end_seconds_before_the_others_are_missed() -> None:
    spans = [up(0, 80), *(of(one, "service:glance") for one in (up(0, 100),))]
    states = (service("nova"), service("glance"))
    assert judge("zero-downtime", spans, *states).result is Result.UNDECIDED
    assert judge("observed >= 99%", spans, *states).result is Result.FAIL
    spans[0] = up(0, 93.5)
    assert judge("observed >= 100%", spans, *states).result is Result.PASS
    spans[0] = up(0, 80, every=5)
    assert judge("observed >= 100%", spans, *states).result is Result.PASS


@pytest.mark.parametrize(("paused", "resumed"), [(20.2, None), (20.2, 90)])
def test_pause_after_the_last_probe_is_time_that_was_not_observed(
    paused: float, resumed: float | None
) -> None:
    events = [Event(at_ns=ns(paused), kind=PAUSE, text="")]
    if resumed is not None:
        events.append(Event(at_ns=ns(resumed), kind=UNPAUSE, text=""))
    reader = MemoryReader(states=[service("nova")], the_spans=[up(0, 20)], the_events=events)
    texts = ["zero-downtime", "<= 5s", "observed >= 99%", "outages <= 0"]
    results = {one.assertion: one for one in build(reader, [parse(text) for text in texts]).judgements}
    assert {text: one.result for text, one in results.items()} == {
        "zero-downtime": Result.UNDECIDED,
        "<= 5s": Result.UNDECIDED,
        "observed >= 99%": Result.FAIL,
        "outages <= 0": Result.UNDECIDED,
    }
    rested = "79.8" if resumed is None else "69.8"
    assert results["observed >= 99%"].why.endswith(f": paused {rested} s")


def test_pause_before_the_first_probe_is_time_that_was_not_observed() -> None:
    events = [Event(at_ns=ns(1), kind=PAUSE, text=""), Event(at_ns=ns(21), kind=UNPAUSE, text="")]
    reader = MemoryReader(states=[service("nova")], the_spans=[up(22, 100)], the_events=events)
    (judgement,) = build(reader, [parse("observed >= 90%")]).judgements
    assert judgement.why == "nova was observed for 79.59 % of its time: paused 20.0 s"


def test_pause_outside_a_retired_target_is_not_held_against_it() -> None:
    events = [Event(at_ns=ns(60.2), kind=PAUSE, text="")]
    gone = address("10.0.0.5", missing=60, retired=60)
    reader = MemoryReader(states=[gone], the_spans=ping("10.0.0.5", up(0, 60)), the_events=events)
    (judgement,) = build(reader, [parse("observed >= 99%")]).judgements
    assert judgement.result is Result.PASS


def test_target_without_probes_is_undecided() -> None:
    assert judge("<= 5s", []).why == "nothing of nova was observed"
    assert judge("observed >= 1%", []).result is Result.UNDECIDED


def test_addresses_that_never_answered_are_left_out_and_counted() -> None:
    states = [address("10.0.0.5"), address("10.0.0.6")]
    spans = [*ping("10.0.0.5", up(0, 60)), *ping("10.0.0.6", down(0, 60))]
    judgement = judge("address:* <= 1%", spans, *states)
    assert judgement.result is Result.PASS
    assert judgement.why == "10.0.0.5 was not down; 1 address that never answered is left out"
    alone = judge("address:10.0.0.6 <= 1%", spans, *states)
    assert alone.result is Result.UNDECIDED
    assert alone.why == "there is nothing to judge: 1 address never answered"


def test_address_that_was_found_just_before_the_end_is_left_out() -> None:
    new = replace(address("10.0.0.6"), discovered_ns=ns(59))
    spans = ping("10.0.0.5", up(0, 60))
    assert judge("address:* <= 1%", spans, address("10.0.0.5"), new).result is Result.PASS
    old = replace(new, discovered_ns=ns(20))
    assert judge("address:* <= 1%", spans, address("10.0.0.5"), old).result is Result.UNDECIDED


def test_service_that_never_answered_is_judged() -> None:
    assert judge("service:* <= 1%", [down(0, 60)]).result is Result.FAIL


def test_zero_downtime_allows_late_answers_and_states_the_resolution() -> None:
    judgement = judge("zero-downtime", [up(0, 30), slow(30.5, 60), up(60.5, 100)])
    assert judgement.result is Result.PASS
    assert judgement.why == (
        "no probe of nova failed; a shorter outage than 0.50 s (answers) can have been missed"
    )


def test_zero_downtime_wants_nearly_all_observed() -> None:
    spans = [up(0, 95), unknown(95.5, 97), up(97.5, 100)]
    assert judge("<= 5s", spans).result is Result.PASS
    judgement = judge("zero-downtime", spans)
    assert judgement.result is Result.UNDECIDED
    assert judgement.why.startswith("nova was observed for 97.50 % of its time only, 99% is needed")


def test_zero_downtime_wants_each_check_to_have_seen_most() -> None:
    blind = [of(one, "service:nova", "works") for one in (up(0, 10), unknown(12, 98), up(100, 100))]
    judgement = judge("zero-downtime", [up(0, 100), *blind])
    assert judgement.result is Result.UNDECIDED
    assert judgement.why.startswith("less than 90% of its time was nova observed by works")
    assert judge("service:* <= 5s", [up(0, 100), *blind]).result is Result.PASS


def test_accessible_allows_losses_that_stand_alone_and_counts_them() -> None:
    spans = ping("10.0.0.5", up(0, 10), down(10.5, 10.5), up(11, 20), down(20.5, 20.5), up(21, 60))
    judgement = judge("accessible", spans, address("10.0.0.5"))
    assert judgement.result is Result.PASS
    assert judgement.why == "no two probes of 10.0.0.5 in a row failed; 2 isolated losses"


def test_accessible_forbids_two_losses_in_a_row() -> None:
    spans = ping("10.0.0.5", up(0, 10), down(10.5, 10.5), up(11, 20), down(20.5, 21.5), up(22, 60))
    judgement = judge("accessible", spans, address("10.0.0.5"))
    assert judgement.result is Result.FAIL
    assert judgement.why == (
        "3 probes of 10.0.0.5 in a row failed from 2026-11-22 16:37:25.373 UTC: refused 3; 1 isolated loss"
    )


def test_losses_with_a_long_time_unobserved_between_them_are_in_a_row() -> None:
    spans = ping("10.0.0.5", up(0, 1000), down(1000.5, 1000.5), down(1070, 1070), up(1070.5, 7200))
    judgement = judge("accessible", spans, address("10.0.0.5"))
    assert judgement.result is Result.FAIL
    assert judgement.why.startswith("2 probes of 10.0.0.5 in a row failed from 2026-11-22 16:53:45")
    assert judgement.why.endswith("; 0 isolated losses")


def test_longest_is_not_proven_by_time_in_which_nobody_looked() -> None:
    spans = [up(0, 10), down(10.5, 10.5), unknown(11, 59), down(60, 60), up(60.5, 3600)]
    judgement = judge("longest <= 30s", spans)
    assert judgement.result is Result.UNDECIDED
    assert judgement.why.startswith("nova was down at a stretch for 50.0 s (0.0–50.5) from ")
    assert judge("longest <= 50.5s", spans).result is Result.PASS


@given(CHECKS)
@settings(max_examples=300, deadline=None)
def test_failures_in_a_row_are_those_with_no_good_answer_between(checks: Sequence[Sampled]) -> None:
    check = checks[0]
    target = summarize(NOVA, check.spans())
    rows = [len(list(row)) for failed, row in groupby(check.known(), key=is_down) if failed]
    finding = hold(
        parse("accessible"), target, "nova", Scene(0, check.probes[-1].sent_ns, lambda one: one.name)
    )
    assert finding.isolated == rows.count(1)
    assert finding.case is not None
    if target.observed_ns:
        assert (finding.case.result is Result.FAIL) == (max(rows, default=0) > 1)


def test_several_episodes_are_counted_and_the_longest_is_dated() -> None:
    spans = [up(0, 10), down(10.5, 11), up(11.5, 30), down(30.5, 35), up(35.5, 100)]
    assert judge("<= 1s", spans).why == (
        "nova was down 6.00 s (5.00–7.00) in 2 episodes, longest from 2026-11-22 16:37:35.373 UTC: refused 10"
    )
    assert judge("outages <= 1", spans).why.startswith(
        "nova was down 2 times, first from 2026-11-22 16:37:15"
    )


def test_no_name_garbles_a_reason() -> None:
    odd = service("no\x1b[31mva\n", id="service:nova")
    judgement = judge("<= 1s", NINETY_FIVE, odd)
    assert judgement.why.isprintable()
    assert judgement.cases[0].target == r"no\x1b[31mva\x0a"


@given(CHECKS, st.integers(0, 130_000), st.booleans())
@settings(max_examples=400, deadline=None)
def test_what_passes_or_fails_never_contradicts_the_truth(
    checks: Sequence[Sampled],
    limit_ms: int,
    is_strict: bool,  # noqa: FBT001
) -> None:
    sent = [probe.sent_ns for check in checks for probe in check.probes]
    truth_ns = measure(unite(part for check in checks for part in check.truth((min(sent), max(sent)))))
    target = summarize(NOVA, [span for check in checks for span in check.spans()])
    scene = Scene(0, max(sent), lambda target: target.name)
    op = "<" if is_strict else "<="
    case = hold(parse(f"service:nova {op} {limit_ms}ms"), target, "nova", scene).case
    assert case is not None
    limit_ns = limit_ms * SECOND_NS // 1000
    is_kept = truth_ns < limit_ns if is_strict else truth_ns <= limit_ns
    assert case.result is Result.UNDECIDED or (case.result is Result.PASS) == is_kept


@given(CHECKS, st.integers(0, 100))
@settings(max_examples=300, deadline=None)
def test_share_passes_or_fails_as_the_truth_does(checks: Sequence[Sampled], percent: int) -> None:
    sent = [probe.sent_ns for check in checks for probe in check.probes]
    truth_ns = measure(unite(part for check in checks for part in check.truth((min(sent), max(sent)))))
    target = summarize(NOVA, [span for check in checks for span in check.spans()])
    case = hold(
        parse(f"service:nova <= {percent}%"), target, "nova", Scene(0, max(sent), lambda target: target.name)
    ).case
    assert case is not None
    if case.result is not Result.UNDECIDED:
        share = min(Fraction(truth_ns, target.observed_ns), Fraction(1))
        assert (case.result is Result.PASS) == (share <= Fraction(percent, 100))
