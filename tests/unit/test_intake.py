"""What waits in the writer: each batch once, decoded when it is written, and details may go."""

import pytest

from downtimer import messages
from downtimer.messages import Body, Record, Sample, SpanRow
from downtimer.model import Event, TargetId
from downtimer.store.facts import Delivered
from downtimer.workers.intake import EVENTS_MAX, Intake, Received
from tests.unit.runs import service, up

SAMPLE = Sample(target=TargetId("service:nova"), check="answers", sent_ns=5, up=True)


def spans(*seconds: int) -> Received:
    """Return a batch of spans that begin then."""
    rows = tuple(SpanRow.of(up(second, second + 1), is_open=False) for second in seconds)
    return Received(messages.encode(Body(spans=rows)))


def details(count: int) -> Received:
    """Return a batch of samples."""
    return Received(messages.encode(Body(samples=(SAMPLE,) * count)), details=count)


def test_parts_come_in_order_those_of_the_supervisor_first() -> None:
    intake = Intake()
    intake.add_batch((b"icmp", 1), spans(3))
    intake.add_batch((b"api", 1), details(2))
    intake.add_states([service("nova")])
    (_, own), (first, three), (second, two) = intake.parts()
    assert list(own.states) == ["service:nova"]
    assert (first, second) == ((b"icmp", 1), (b"api", 1))
    assert [row.span() for row in three.spans if isinstance(row, SpanRow)] == [up(3, 4)]
    assert two.samples == [SAMPLE, SAMPLE]


def test_batch_that_comes_again_takes_no_room() -> None:
    intake, newer = Intake(), Intake()
    for _ in range(2):
        intake.add_batch((b"icmp", 1), spans(3))
    newer.add_batch((b"icmp", 1), spans(3))
    newer.add_batch((b"icmp", 2), spans(4))
    intake.absorb(newer)
    assert list(intake.batches) == [(b"icmp", 1), (b"icmp", 2)]
    assert intake.size == 2 * len(spans(3).body)


def test_details_are_given_up_and_their_senders_need_not_send_them_again() -> None:
    intake = Intake()
    intake.add_batch((b"api", 1), details(7))
    intake.add_batch((b"api", 2), spans(3, 4))
    before = intake.size
    assert intake.drop_details() == 7
    assert intake.drop_details() == 0
    assert intake.size < before
    _, (first, nothing), (second, both) = intake.parts()
    assert ((first, nothing.count()), (second, both.count())) == (((b"api", 1), 0), ((b"api", 2), 2))


def test_malformed_batch_is_dropped_once_and_the_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake()
    intake.add_batch((b"icmp", 1), Received(b"\xc1"))
    intake.add_batch((b"icmp", 2), spans(3))
    for _ in range(2):  # a commit that fails is tried again
        assert [facts.count() for _, facts in intake.parts()] == [0, 0, 1]
    assert len(caplog.records) == 1


def test_what_the_supervisor_told_is_kept_and_bounded() -> None:
    intake, newer = Intake(), Intake()
    assert intake.is_empty()
    newer.own.delivered = Delivered(through_id=5)
    intake.absorb(newer)
    assert not intake.is_empty()
    events = tuple(Event(at_ns=number, kind="k", text="t") for number in range(EVENTS_MAX + 1))
    intake.add_record(Record(events=events))
    assert [event.at_ns for event in intake.own.events][:: EVENTS_MAX - 1] == [1, EVENTS_MAX]
