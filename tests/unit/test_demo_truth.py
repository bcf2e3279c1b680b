"""The record of what was really done."""

import json

import pytest

from downtimer.demo.truth import Bracket, Fault, Truth, now_ns
from downtimer.model import SECOND_NS


def at(seconds: float, doubt_s: float = 0.0) -> Bracket:
    return Bracket(round(seconds * SECOND_NS), round((seconds + doubt_s) * SECOND_NS))


def test_duration_carries_the_doubt_of_both_edges() -> None:
    fault = Fault(target="nova", what="kill", start=at(10, 0.1), end=at(15, 0.2))
    assert fault.seconds(2.0) == pytest.approx((4.9, 5.2))


def test_hang_ends_one_timeout_early_for_a_patient_client() -> None:
    fault = Fault(target="nova", what="stop", start=at(0), end=at(10), accepting=at(0))
    assert fault.seconds(2.0) == pytest.approx((8.0, 8.0))


def test_hang_shorter_than_the_timeout_is_no_downtime() -> None:
    fault = Fault(target="nova", what="stop", start=at(0), end=at(1.5), accepting=at(0))
    assert fault.down(2.0) is None
    assert fault.seconds(2.0) == (0.0, 0.0)


def test_restarted_service_that_listens_before_it_answers_is_up_for_patient_clients() -> None:
    fault = Fault(target="nova", what="kill", start=at(0), end=at(8), accepting=at(5))
    assert fault.seconds(2.0) == pytest.approx((6.0, 6.0))
    assert fault.seconds(10.0) == pytest.approx((5.0, 5.0))


def test_fault_that_lasts_has_no_duration_yet() -> None:
    assert Fault(target="nova", what="kill", start=at(0)).down(2.0) is None


def test_new_fault_of_the_same_target_ends_the_old_one() -> None:
    truth = Truth()
    truth.begin(Fault(target="nova", what="mode 503", start=at(1)))
    truth.begin(Fault(target="nova", what="kill", start=at(3)))
    truth.end("nova", at(6))
    assert [(fault.what, fault.seconds(2.0)[0]) for fault in truth.faults] == [
        ("mode 503", 2.0),
        ("kill", 3.0),
    ]
    assert truth.down_s("nova", 2.0) == (5.0, 5.0)


def test_end_without_a_fault_records_nothing() -> None:
    truth = Truth()
    truth.end("nova", at(1))
    assert truth.faults == []


def test_record_shows_what_lasts() -> None:
    truth = Truth()
    truth.begin(Fault(target="nova", what="kill", start=at(1)))
    assert [fault.target for fault in truth.lasting] == ["nova"]
    assert truth.faults == truth.lasting


def test_record_is_json_with_utc() -> None:
    truth = Truth()
    instant = now_ns()
    truth.begin(Fault(target="nova", what="kill", start=Bracket(instant, instant)))
    [entry] = json.loads(json.dumps(truth.to_json()))
    assert entry["target"] == "nova"
    assert entry["start"].endswith("+00:00")
    assert entry["end"] is None


def test_fault_that_hits_only_some_requests_is_no_outage() -> None:
    fault = Fault(target="10.0.0.1", what="impair", start=at(0), end=at(5), partial=True)
    assert fault.down(1.0) is None
