"""What travels over ZeroMQ: one msgspec struct per message, msgpack on the wire.

Two connections. On the *bus* (ROUTER in the supervisor, DEALER in each child) go orders and signs of
life. On the *points* connection (ROUTER in the writer, DEALER in each probing worker) go facts, which
are acknowledged. Every fact is whole and has a natural key, so that a repeat is harmless.

Wrong frames raise `MessageError`; fields are checked by msgspec as they are decoded.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from downtimer.clock import Anchor
from downtimer.config import Config
from downtimer.errors import MessageError
from downtimer.model import (
    SECOND_NS,
    Baseline,
    Event,
    Incarnation,
    Kind,
    Mark,
    Power,
    Run,
    Span,
    Target,
    TargetId,
    TargetState,
    Verdict,
)

VERDICTS: Final = (Verdict.UP, Verdict.SLOW, Verdict.DOWN, Verdict.UNKNOWN)
"""A span's verdict travels, and is stored, as its index here."""

_DIGITS: Final = {verdict: digit for digit, verdict in enumerate(VERDICTS)}
_CAUSES: Final = msgspec.json.Decoder(dict[str, int])


class Message(msgspec.Struct, frozen=True, tag_field="kind"):
    """Root of all messages."""


# --- the bus, child to supervisor ---------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The first word of a child. Also its ZeroMQ identity, which ROUTER alone would not tell safely."""

    incarnation: Incarnation
    pid: int


class Turned(msgspec.Struct, frozen=True):
    """A check's verdict has just changed between good and down. `since_ns` is the probe's instant."""

    target: TargetId
    check: str
    since_ns: int
    cause: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """Checks by the verdict of their newest resolved probe; `unseen` have none yet."""

    up: int = 0
    slow: int = 0
    down: int = 0
    unknown: int = 0
    unseen: int = 0

    @classmethod
    def of(cls, verdicts: Iterable[Verdict | None]) -> "Counts":
        """Count them; None is a check without one."""
        found = Counter(verdicts)
        return cls(unseen=found.pop(None, 0), **{verdict.value: found[verdict] for verdict in Verdict})

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            *map(sum, zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True))
        )


class Standing(msgspec.Struct, frozen=True):
    """How a service stands: as the worst of its checks does; None before any has a verdict.

    Attributes:
        target: The service.
        verdict: Of the newest resolved probes.
        latency_ns: Of the last good answer of its root; None before the first.
    """

    target: TargetId
    verdict: Verdict | None
    latency_ns: int | None


class Beat(Message, frozen=True, kw_only=True, tag="beat"):
    """A sign of life from a child's loop, once a second, and sooner when something turned.

    Attributes:
        counts: How its checks stand, by kind of target; references are not counted.
        standings: Of services, at most 1,000, about once a second; empty: as last said.
        turned: What is newly down or up, each check once; at most 1,000 a beat, the rest in the next.
        late_ns: The latest that the loop was since the last beat.
        dropped: Facts given up since the start of the process.
    """

    counts: dict[Kind, Counts] = {}
    standings: tuple[Standing, ...] = ()
    turned: tuple[Turned, ...] = ()
    late_ns: int = 0
    dropped: int = 0


class CannotStart(Message, frozen=True, kw_only=True, tag="cannot-start"):
    """The child can't do its work: configuration or permission. It exits after this.

    Attributes:
        reason: One line for the user.
        by_configuration: What is to be mended stands in the configuration file.
    """

    reason: str
    by_configuration: bool = False


class Normal(msgspec.Struct, frozen=True):
    """A check's baseline, as far as it is learnt."""

    target: TargetId
    check: str
    baseline: Baseline


class Reached(msgspec.Struct, frozen=True):
    """An address that was silent has answered.

    Attributes:
        target: The address.
        method: ``icmp``, or ``tcp-22`` with the port that answered.
    """

    target: TargetId
    method: str


class Learnt(Message, frozen=True, kw_only=True, tag="learnt"):
    """What a worker has learnt of its targets since it last said so; of each kind at most 1,000.

    Attributes:
        normals: Baselines that are new, or more of what was known.
        silent: Addresses that have not answered any echo in their first 10 s of probing.
        reached: Such ones that have answered now. The first word on a target stands.
    """

    normals: tuple[Normal, ...] = ()
    silent: tuple[TargetId, ...] = ()
    reached: tuple[Reached, ...] = ()


class Took(Message, frozen=True, kw_only=True, tag="took"):
    """A portion of the target list has been taken in: there is room for another."""

    serial: int


class MayAsk(Message, frozen=True, kw_only=True, tag="may-ask"):
    """From discovery to api, by way of the supervisor: tell when a call to this service has been answered."""

    target: TargetId


class Answering(Message, frozen=True, kw_only=True, tag="answering"):
    """The answer to that: a call has just been answered, in whatever way, or hangs.

    Where none is made, or so seldom that nobody would wait for it, or where no api worker runs, it is said at
    once that none hangs, as far as is known.

    Attributes:
        target: The service.
        hangs: A call does: whatever else the service is asked may hold one more of its workers.
    """

    target: TargetId
    hangs: bool


class Unfit(Message, frozen=True, kw_only=True, tag="unfit"):
    """A check of a service turned out not to be possible, when first seen; the api worker has given it up.

    Attributes:
        target: The service.
        check: Which.
        why: A few words for the report.
    """

    target: TargetId
    check: str
    why: str


class Complaints(Message, frozen=True, kw_only=True, tag="complaints"):
    """From discovery: lines about what of the configuration has no effect, held against the catalog."""

    lines: tuple[str, ...]


class Listing(Message, frozen=True, kw_only=True, tag="listing"):
    """What discovery found, as a difference to the targets that the supervisor told it.

    Attributes:
        at_ns: When the list was asked for.
        found: Targets that are new, whose description changed, or which the list before lacked.
        missing: Addresses that the list lacks and that are not retired yet.
        lacks_most: Those that the list before had are more than half of all that it had.
        more: Another part of it follows at once.
        complete: It is told to its end, and is whole; False if a part is still to come, or could not be had.
    """

    at_ns: int
    found: tuple[Target, ...] = ()
    missing: tuple[TargetId, ...] = ()
    lacks_most: bool = False
    more: bool = False
    complete: bool = True


class Powers(Message, frozen=True, kw_only=True, tag="powers"):
    """What Nova reports of the servers behind addresses.

    Attributes:
        at_ns: When it was asked.
        changed: By server, where that is news.
        complete: All the others are as before; False if a Nova could not be asked.
    """

    at_ns: int
    changed: dict[str, Power] = {}
    complete: bool = True


class Token(Message, frozen=True, kw_only=True, tag="token"):
    """A token, from discovery by way of the supervisor to the api worker. Holds a secret: never logged.

    Attributes:
        token: The secret.
        issued_ns: When it was asked for.
        expires_ns: By our clock; None for never.
        project_id: What it is scoped to; None if that is nothing.
    """

    token: str
    issued_ns: int
    expires_ns: int | None = None
    project_id: str | None = None

    def __repr__(self) -> str:
        """Return it without the secret."""
        return f"Token(issued_ns={self.issued_ns}, expires_ns={self.expires_ns})"


class TokenRejected(Message, frozen=True, kw_only=True, tag="token-rejected"):
    """The api worker saw its token refused."""

    issued_ns: int


class Report(Message, frozen=True, kw_only=True, tag="report"):
    """Something for the run's events and the log."""

    event: Event


class WriterState(Message, frozen=True, kw_only=True, tag="writer-state"):
    """How the storage fares; told whenever that is news.

    Attributes:
        rows: Spans in the journal.
        size_bytes: Of the journal on disk.
        influxdb: ``off``, ``ok`` or ``failing``.
        backlog: Points not yet shipped.
        error: InfluxDB's, one line; None while it takes points.
        journal_error: Why the journal can't be written, one line; None while it can.
        dropped: Points given up because the outbox, or the disk, was full.
        rejected: Points that InfluxDB will never take; they are set apart.
    """

    rows: int
    size_bytes: int
    influxdb: str
    backlog: int
    error: str | None = None
    journal_error: str | None = None
    dropped: int = 0
    rejected: int = 0


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """The answer to `Flush` and `Finish`: all is recorded and acknowledged up to `through_ns`."""

    serial: int
    through_ns: int


# --- the bus, supervisor to child ---------------------------------------------------------------


class Settings(Message, frozen=True, kw_only=True, tag="settings"):
    """All that a child needs to begin. Holds secrets: never logged.

    Attributes:
        config: The configuration, with those secrets that the class has use for.
        run: The run as the journal keeps it.
        anchor: The run's clock.
        points: ZeroMQ address of the writer.
        journal: Path of the run's journal.
    """

    config: Config
    run: Run
    anchor: Anchor
    points: str
    journal: str


class Targets(Message, frozen=True, kw_only=True, tag="targets"):
    """A portion of the target list: whole after hello, then differences; what a class has use for.

    Attributes:
        serial: Counts the portions. A worker that has missed one ends, for its successor gets the whole.
        whole: A whole list begins: whatever its portions lack, up to the first without `more`, is no target.
        more: Another portion follows at once.
        changed: Targets that are new, changed or retired.
    """

    serial: int
    whole: bool
    more: bool = False
    changed: tuple[TargetState, ...]

    def follows(self, serial: int) -> bool:
        """Tell whether a worker that has seen everything up to `serial` may take this."""
        return self.whole or self.serial == serial + 1


class Look(Message, frozen=True, kw_only=True, tag="look"):
    """To discovery: something turned down, look again."""


class Flush(Message, frozen=True, kw_only=True, tag="flush"):
    """Record every open span as it stands and answer `Done`, once acknowledged."""

    serial: int


class Finish(Message, frozen=True, kw_only=True, tag="finish"):
    """Send no more probes, wait for those in flight, flush, answer `Done`, exit.

    To the writer: commit all, end the run at `end_ns` (with this `label`, if there is one), ship for at most
    `ship_s`, answer `Done`, exit.
    """

    serial: int
    end_ns: int = 0
    label: str | None = None
    ship_s: float = 0.0


class Record(Message, frozen=True, kw_only=True, tag="record"):
    """To the writer: facts of the supervisor's own."""

    marks: tuple[Mark, ...] = ()
    events: tuple[Event, ...] = ()


class Relog(Message, frozen=True, kw_only=True, tag="relog"):
    """Log no less and no more than `level` from now on, and to the file that is at `path` now.

    Attributes:
        level: As in the configuration.
        path: None: the log is no file of ours.
    """

    level: str
    path: str | None = None


# --- the points connection ----------------------------------------------------------------------


class Sample(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One API probe in detail, for InfluxDB. Key: target, check, sent_ns."""

    target: TargetId
    check: str
    sent_ns: int
    up: bool | None  # None: unknown
    latency_ns: int | None = None
    status: int | None = None
    cause: str | None = None


LATENCY_WINDOW_NS: Final = 10 * SECOND_NS


class LatencyWindow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Latency of one service check over a `LATENCY_WINDOW_NS`, for the journal.

    Key: target, check, start_ns.
    """

    target: TargetId
    check: str
    start_ns: int
    answers: int
    min_ns: int
    median_ns: int
    max_ns: int

    @classmethod
    def of(cls, target: TargetId, check: str, start_ns: int, latencies: Sequence[int]) -> "LatencyWindow":
        """Return the window of these latencies, in ns; at least one."""
        return cls(
            target=target,
            check=check,
            start_ns=start_ns,
            answers=len(latencies),
            min_ns=min(latencies),
            median_ns=int(statistics.median(latencies)),
            max_ns=max(latencies),
        )


class AddressWindow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One address over one window, for InfluxDB. Key: target, start_ns. rtt: None if none came back."""

    target: TargetId
    start_ns: int
    sent: int
    lost: int
    rtt_min_ns: int | None = None
    rtt_mean_ns: int | None = None
    rtt_max_ns: int | None = None


class SpanFact(msgspec.Struct, frozen=True):
    """A span as it stands. `is_open`: more of its probes may follow."""

    span: Span
    is_open: bool


class SpanRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `SpanFact` as it travels, as flat as a row of the journal: 100,000 of them may be told at once.

    Attributes:
        target: As in `Span`, as are all that are not named here.
        length_ns: From its first probe to its last.
        verdict: The index in `VERDICTS`.
        causes: JSON; empty for none.
    """

    target: TargetId
    check: str
    first_ns: int
    length_ns: int
    verdict: Annotated[int, msgspec.Meta(ge=0, lt=len(VERDICTS))]
    probes: int
    widest_ns: int
    max_gap_ns: int
    incarnation: Incarnation
    is_open: bool
    causes: str = ""
    dated_ns: int | None = None
    watched_ns: int | None = None

    @classmethod
    def of(cls, span: Span, *, is_open: bool) -> "SpanRow":
        """Return a span as it travels."""
        return cls(
            span.target,
            span.check,
            span.first_sent_ns,
            span.last_sent_ns - span.first_sent_ns,
            _DIGITS[span.verdict],
            span.probes,
            span.widest_ns,
            span.max_gap_ns,
            span.incarnation,
            is_open,
            msgspec.json.encode(span.causes).decode() if span.causes else "",
            span.dated_ns,
            span.watched_ns,
        )

    def span(self) -> Span:
        """Return the span."""
        return Span(
            target=self.target,
            check=self.check,
            verdict=VERDICTS[self.verdict],
            first_sent_ns=self.first_ns,
            last_sent_ns=self.first_ns + self.length_ns,
            probes=self.probes,
            widest_ns=self.widest_ns,
            causes=_CAUSES.decode(self.causes) if self.causes else {},
            max_gap_ns=self.max_gap_ns,
            dated_ns=self.dated_ns,
            watched_ns=self.watched_ns,
            incarnation=self.incarnation,
        )


class Progress(msgspec.Struct, frozen=True):
    """Every probe of this check and incarnation sent up to `through_ns` is resolved and recorded.

    An open span has then grown to through_ns - interval_ns, see `Span.grown`.
    """

    incarnation: Incarnation
    check: str
    through_ns: int
    interval_ns: int
    widest_ns: int


class Batch(Message, frozen=True, kw_only=True, tag="batch"):
    """The head of facts from a worker, which keeps them until acknowledged; a frame with a `Body` follows.

    Apart from the facts, which are encoded once for all the times that they may have to be sent, and decoded
    only when they are committed.

    Attributes:
        epoch: Of the writer as this worker last heard it. A writer takes batches of its own epoch
            only, so that within one writer's life facts are taken in the order they arose.
        serial: For the acknowledgement only.
        details: So many facts may be given up where there is no room; then there are no others in it.
    """

    epoch: str
    serial: int
    details: int = 0


class Body(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The facts of a batch.

    Attributes:
        progress: Of every check at most one.
    """

    spans: tuple[SpanRow, ...] = ()
    samples: tuple[Sample, ...] = ()
    latencies: tuple[LatencyWindow, ...] = ()
    addresses: tuple[AddressWindow, ...] = ()
    progress: tuple[Progress, ...] = ()


class Knock(Message, frozen=True, kw_only=True, tag="knock"):
    """The first word of a worker to the writer, repeated until it answers `Ready`."""


class Ready(Message, frozen=True, kw_only=True, tag="writer-ready"):
    """The writer takes batches of this epoch. Whatever is unacknowledged is sent again."""

    epoch: str


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """Batch `serial` is committed to the journal."""

    epoch: str
    serial: int


BusUp = (
    Hello
    | Beat
    | CannotStart
    | Learnt
    | Took
    | Unfit
    | MayAsk
    | Answering
    | Complaints
    | Listing
    | Powers
    | Token
    | TokenRejected
    | Report
    | WriterState
    | Done
)
"""What a child says on the bus."""

BusDown = (
    Settings | Targets | Look | MayAsk | Answering | Token | TokenRejected | Flush | Finish | Record | Relog
)
"""What the supervisor says on the bus."""

PointsUp = Knock | Batch
"""What a worker says to the writer."""

PointsDown = Ready | Ack
"""What the writer says to a worker."""

_T = TypeVar("_T")
_ENCODER = msgspec.msgpack.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """Return the frame of a message, or a part of one."""
    return _ENCODER.encode(message)


class Decoder(Generic[_T]):
    """Decodes the frames of one direction of one connection."""

    def __init__(self, types: Any) -> None:  # noqa: ANN401 - a union type is no `type`
        self._decoder: msgspec.msgpack.Decoder[_T] = msgspec.msgpack.Decoder(types)

    def decode(self, frame: bytes) -> _T:
        """Return the message in a frame.

        Raises:
            MessageError: It is none of this direction's, or malformed.
        """
        try:
            return self._decoder.decode(frame)
        except (msgspec.DecodeError, ValueError) as exc:
            raise MessageError(f"not a message of ours: {exc}") from exc


BUS_UP: Decoder[BusUp] = Decoder(BusUp)
BUS_DOWN: Decoder[BusDown] = Decoder(BusDown)
POINTS_UP: Decoder[PointsUp] = Decoder(PointsUp)
POINTS_DOWN: Decoder[PointsDown] = Decoder(PointsDown)
BODY: Decoder[Body] = Decoder(Body)
