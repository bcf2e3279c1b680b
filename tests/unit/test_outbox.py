"""Facts on their way to the writer: kept until committed, sent again when in doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

from downtimer import messages
from downtimer.messages import Ack, AddressWindow, Batch, Body, LatencyWindow, Progress, Ready, Sample
from downtimer.model import SECOND_NS, Incarnation, Span, TargetId, Verdict
from downtimer.workers.outbox import (
    BATCH_MAX,
    DETAILS_IN_FLIGHT_MAX,
    DETAILS_MAX,
    IN_FLIGHT_MAX,
    RESEND_NS,
    ROOM,
    Outbox,
)

T = TargetId("t")


@dataclass(frozen=True)
class Sent:
    """A batch as the writer gets it."""

    head: Batch
    body: Body

    @property
    def serial(self) -> int:
        """Of the batch."""
        return self.head.serial


def make() -> tuple[Outbox, list[Sent]]:
    """Return an outbox and the batches that it sends."""
    sent: list[Sent] = []

    def send(frames: Sequence[bytes]) -> bool:
        head, body = frames
        batch = messages.POINTS_UP.decode(head)
        assert isinstance(batch, Batch)
        sent.append(Sent(batch, messages.BODY.decode(body)))
        return True

    return Outbox(send), sent


def span(first_ns: int, probes: int = 1) -> Span:
    """Return a span."""
    return Span(
        target=T,
        check="icmp",
        verdict=Verdict.UP,
        first_sent_ns=first_ns,
        last_sent_ns=first_ns,
        probes=probes,
        max_gap_ns=2,
    )


def sample(sent_ns: int) -> Sample:
    """Return a detail."""
    return Sample(target=T, check="answers", sent_ns=sent_ns, up=True)


def test_nothing_is_sent_before_the_writer_is_ready() -> None:
    """The caller is told to knock."""
    outbox, sent = make()
    outbox.span(span(1), is_open=True)
    assert not outbox.pump(0)
    outbox.ready(Ready(epoch="a"), 0)
    assert outbox.pump(0)
    assert [row.first_ns for row in sent[0].body.spans] == [1]
    assert sent[0].head.epoch == "a"


def test_later_word_on_a_span_replaces_an_earlier_one() -> None:
    """What changes often costs one fact per batch."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    for probes in range(1, 10):
        outbox.span(span(1, probes), is_open=probes < 9)
    outbox.pump(0)
    assert [(row.probes, row.is_open) for row in sent[0].body.spans] == [(9, False)]


def test_kept_until_acknowledged() -> None:
    """An acknowledgement of another epoch means nothing."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    outbox.span(span(1), is_open=True)
    last = outbox.last_serial()
    outbox.pump(0)
    assert last == sent[0].serial
    assert not outbox.has_delivered(last)
    outbox.ack(Ack(epoch="b", serial=last), 1)
    assert not outbox.has_delivered(last)
    outbox.ack(Ack(epoch="a", serial=last), 1)
    assert outbox.has_delivered(last)


def test_what_is_known_now_is_delivered_though_more_keeps_coming() -> None:
    """Or a report would wait in vain while a target fails, and is probed faster than the writer commits."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    for number in range(BATCH_MAX + 1):
        outbox.sample(sample(number))
    last = outbox.last_serial()
    for number in range(5):
        assert outbox.has_delivered(last) == (number > 1)
        outbox.sample(sample(-number - 1))
        outbox.pump(0)
        outbox.ack(Ack(epoch="a", serial=sent[number].serial), 1)
    assert outbox.last_serial() > last


def test_nothing_is_delivered_at_once() -> None:
    outbox, _ = make()
    assert outbox.has_delivered(outbox.last_serial())
    outbox.progress(Progress(Incarnation("icmp.1"), "icmp", 9, 1, 1))
    assert not outbox.has_delivered(outbox.last_serial())


def test_new_writer_gets_everything_again() -> None:
    """In its own epoch, in the same order."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    for first_ns in (1, 2, 3):
        outbox.span(span(first_ns), is_open=True)
        outbox.pump(0)
    outbox.ready(Ready(epoch="b"), 1)
    again = sent[3:]
    assert [batch.serial for batch in again] == [batch.serial for batch in sent[:3]]
    assert {batch.head.epoch for batch in again} == {"b"}
    assert [batch.body for batch in again] == [batch.body for batch in sent[:3]]


def test_after_a_silence_of_two_seconds_it_knocks_and_sends_again_once_there_is_an_answer() -> None:
    """Whoever took the batches may be gone; whoever is only slow is not knocked at all the time."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    outbox.span(span(1), is_open=True)
    assert outbox.pump(SECOND_NS)
    assert outbox.pump(SECOND_NS + RESEND_NS)
    late_ns = SECOND_NS + RESEND_NS + 1
    assert not outbox.pump(late_ns)
    assert outbox.pump(late_ns + 1)
    assert len(sent) == 1
    assert not outbox.pump(late_ns + RESEND_NS + 1)
    outbox.ready(Ready(epoch="a"), late_ns)
    assert [batch.serial for batch in sent] == [sent[0].serial] * 2
    outbox.ready(Ready(epoch="a"), late_ns + 1)  # the answer to the other one
    assert len(sent) == 2
    outbox.ready(Ready(epoch="b"), late_ns + 2)
    assert len(sent) == 3


def test_at_most_eight_batches_are_in_flight() -> None:
    """The rest waits, and is not lost."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    total = BATCH_MAX * (IN_FLIGHT_MAX + 2)
    for first_ns in range(total):
        outbox.span(span(first_ns), is_open=False)
    last = outbox.last_serial()
    outbox.pump(0)
    assert len(sent) == IN_FLIGHT_MAX
    seen = 0
    while not outbox.has_delivered(last):
        batch = sent[seen]
        seen += 1
        outbox.ack(Ack(epoch="a", serial=batch.serial), 1)
        outbox.pump(1)
    assert sum(len(batch.body.spans) for batch in sent) == total


def test_progress_goes_with_the_last_of_the_spans() -> None:
    """It says that all is recorded, so it may not overtake any."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    for first_ns in range(BATCH_MAX + 1):
        outbox.span(span(first_ns), is_open=True)
    outbox.progress(Progress(Incarnation("icmp.1"), "icmp", 9, 1, 1))
    outbox.pump(0)
    assert [bool(batch.body.progress) for batch in sent] == [False, True]


def test_details_are_given_up_oldest_first_and_counted() -> None:
    """A batch at a time. Spans never are."""
    outbox, sent = make()
    outbox.span(span(1), is_open=True)
    for number in range(DETAILS_MAX + BATCH_MAX):
        outbox.sample(sample(number))
    assert outbox.dropped == BATCH_MAX
    outbox.ready(Ready(epoch="a"), 0)
    outbox.pump(0)
    assert [row.first_ns for row in sent[0].body.spans] == [1]
    assert sent[1].body.samples[0].sent_ns == BATCH_MAX


def test_given_up_is_as_good_as_delivered_to_whoever_waits() -> None:
    outbox, _ = make()
    outbox.sample(sample(0))
    last = outbox.last_serial()
    assert not outbox.has_delivered(last)
    for number in range(DETAILS_MAX):
        outbox.sample(sample(number))
    assert outbox.dropped == 1
    assert outbox.has_delivered(last)


def test_details_travel_apart_and_leave_room_for_spans() -> None:
    """So the writer can tell without looking what it may give up."""
    outbox, sent = make()
    outbox.ready(Ready(epoch="a"), 0)
    window = LatencyWindow(target=T, check="answers", start_ns=0, answers=1, min_ns=1, median_ns=1, max_ns=1)
    for number in range(IN_FLIGHT_MAX):
        outbox.sample(sample(number))
        outbox.latency(window)
        outbox.address(AddressWindow(target=T, start_ns=number, sent=5, lost=0))
        outbox.pump(0)
    assert [batch.head.details for batch in sent] == [3] * DETAILS_IN_FLIGHT_MAX
    outbox.span(span(1), is_open=True)
    outbox.pump(0)
    assert sent[-1].head.details == 0
    assert sent[-1].body == Body(spans=sent[-1].body.spans)
    assert (sent[0].body.samples[0], sent[0].body.latencies[0]) == (sample(0), window)


def test_there_is_room_until_much_waits_to_be_sent() -> None:
    """What has been sent and is not acknowledged does not count: it is bounded."""
    outbox, sent = make()
    for first_ns in range(ROOM):
        assert outbox.has_room
        outbox.span(span(first_ns), is_open=True)
    assert not outbox.has_room
    assert outbox.backlog == ROOM
    outbox.ready(Ready(epoch="a"), 0)
    outbox.pump(0)
    assert outbox.has_room
    assert len(sent) == ROOM // BATCH_MAX
