"""Messages: a round trip for each, and one error for whatever is none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer import clock, config, messages
from downtimer.errors import MessageError
from downtimer.model import (
    Baseline,
    Event,
    Incarnation,
    Kind,
    Mark,
    Power,
    Run,
    RunId,
    Span,
    Target,
    TargetId,
    TargetState,
    Verdict,
)

ID = TargetId("address/10.0.0.1")
TARGET = Target(id=ID, kind=Kind.ADDRESS, name="10.0.0.1", project="p\n\u00e4", project_id="1")
STATE = TargetState(target=TARGET, discovered_ns=1, listed_ns=2, baselines={"icmp": Baseline(latency_ns=3)})
SPAN = Span(
    target=ID,
    check="icmp",
    verdict=Verdict.DOWN,
    first_sent_ns=1,
    last_sent_ns=2,
    probes=2,
    causes={"no-reply": 2},
    max_gap_ns=2_000_000_000,
    incarnation=Incarnation("icmp.0"),
)
RUN = Run(id=RunId("r"), label="l", vantage="v", cloud="c", start_utc_ns=1, boot_origin_ns=2, boot_id="b")

INSTANTS = st.integers(0, 1 << 60)
SPANS = st.builds(
    Span,
    target=st.sampled_from([ID, TargetId("Ž \n")]),
    check=st.sampled_from(["icmp", ""]),
    verdict=st.sampled_from(Verdict),
    first_sent_ns=st.just(7),
    last_sent_ns=st.integers(7, 1 << 60),
    probes=INSTANTS,
    widest_ns=INSTANTS,
    causes=st.dictionaries(st.sampled_from(["no-reply", "http-503"]), INSTANTS),
    max_gap_ns=INSTANTS,
    dated_ns=st.none() | INSTANTS,
    watched_ns=st.none() | INSTANTS,
    incarnation=st.sampled_from([Incarnation("icmp.0"), Incarnation("")]),
)

UP: list[messages.Message] = [
    messages.Hello(incarnation=Incarnation("icmp.0"), pid=1),
    messages.Beat(
        counts={Kind.ADDRESS: messages.Counts(up=1)},
        turned=(messages.Turned(ID, "icmp", 5, "no-reply"),),
    ),
    messages.CannotStart(reason="no permission"),
    messages.Learnt(
        normals=(messages.Normal(ID, "icmp", Baseline(latency_ns=3)),),
        silent=(ID,),
        reached=(messages.Reached(ID, "tcp-22"),),
    ),
    messages.Took(serial=1),
    messages.MayAsk(target=ID),
    messages.Answering(target=ID, hangs=True),
    messages.Complaints(lines=("a",)),
    messages.Listing(at_ns=1, found=(TARGET,), missing=(ID,)),
    messages.Powers(at_ns=1, changed={"s": Power.STOPPED}),
    messages.Token(token="t", issued_ns=1, expires_ns=None),
    messages.TokenRejected(issued_ns=1),
    messages.Report(event=Event(at_ns=1, kind="k", text="t")),
    messages.WriterState(rows=1, size_bytes=2, influxdb="ok", backlog=0),
    messages.Done(serial=1, through_ns=2),
]
DOWN: list[messages.Message] = [
    messages.Settings(
        config=config.parse("[static]\nips=10.0.0.1\n[db]\n", "/c"),
        run=RUN,
        anchor=clock.Anchor(1, 2, "b"),
        points="ipc:///p",
        journal="/j",
    ),
    messages.Targets(serial=1, whole=True, more=True, changed=(STATE,)),
    messages.Look(),
    messages.MayAsk(target=ID),
    messages.Answering(target=ID, hangs=False),
    messages.Flush(serial=1),
    messages.Finish(serial=1, end_ns=2, ship_s=3.0),
    messages.Record(marks=(Mark(at_ns=1, text="t"),), events=(Event(at_ns=1, kind="k", text="t"),)),
]
BATCH = messages.Batch(epoch="e", serial=1)
BODY = messages.Body(
    spans=(messages.SpanRow.of(SPAN, is_open=True),),
    samples=(messages.Sample(target=ID, check="answers", sent_ns=1, up=None, cause="send"),),
    latencies=(
        messages.LatencyWindow(
            target=ID, check="answers", start_ns=0, answers=1, min_ns=1, median_ns=1, max_ns=1
        ),
    ),
    addresses=(messages.AddressWindow(target=ID, start_ns=0, sent=1, lost=1),),
    progress=(messages.Progress(Incarnation("icmp.0"), "icmp", 1, 2, 3),),
)


@pytest.mark.parametrize("message", UP, ids=lambda message: type(message).__name__)
def test_what_a_child_says_arrives_as_it_was(message: messages.Message) -> None:
    assert messages.BUS_UP.decode(messages.encode(message)) == message


@pytest.mark.parametrize("message", DOWN, ids=lambda message: type(message).__name__)
def test_what_the_supervisor_says_arrives_as_it_was(message: messages.Message) -> None:
    assert messages.BUS_DOWN.decode(messages.encode(message)) == message


def test_only_the_whole_list_or_the_next_difference_follows() -> None:
    difference = messages.Targets(serial=3, whole=False, changed=(STATE,))
    assert difference.follows(2)
    assert not difference.follows(1)
    assert not difference.follows(3)
    assert messages.Targets(serial=3, whole=True, changed=()).follows(0)


def test_a_batch_and_its_acknowledgement_arrive_as_they_were() -> None:
    assert messages.POINTS_UP.decode(messages.encode(BATCH)) == BATCH
    assert messages.BODY.decode(messages.encode(BODY)) == BODY
    ack = messages.Ack(epoch="e", serial=1)
    assert messages.POINTS_DOWN.decode(messages.encode(ack)) == ack


@given(SPANS, st.booleans())
def test_span_that_has_travelled_is_as_it_was(span: Span, is_open: bool) -> None:  # noqa: FBT001 - drawn
    row = messages.SpanRow.of(span, is_open=is_open)
    (came,) = messages.BODY.decode(messages.encode(messages.Body(spans=(row,)))).spans
    assert (came.span(), came.is_open) == (span, is_open)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\xc1",
        b"hello",
        msgspec.msgpack.encode({"kind": "nonsense"}),
        msgspec.msgpack.encode({"kind": "hello"}),
        msgspec.msgpack.encode({"kind": "hello", "incarnation": 1, "pid": "x"}),
        messages.encode(messages.Look()),  # the other direction's
        messages.encode(BATCH)[:-1],
    ],
)
def test_what_is_no_message_of_this_direction_is_our_error(frame: bytes) -> None:
    with pytest.raises(MessageError, match="not a message of ours"):
        messages.BUS_UP.decode(frame)


def test_token_is_in_no_representation() -> None:
    assert "s3cret" not in repr(messages.Token(token="s3cret", issued_ns=1))
