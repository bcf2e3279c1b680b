"""A worker's facts on their way to the writer: kept until the writer has committed them.

Owned by the loop of a probing worker; does no I/O itself (frames go out through `send`), so tests
drive it with a list. At most eight batches are unacknowledged; after two seconds without an
acknowledgement the writer is knocked at, and when it answers all of them are sent again in order.
Spans are never given up; details (samples, windows) are, oldest first, and counted. A batch holds
either such or others.

Facts are encoded as they come in: a hundred thousand of them, which may be told at once, take a
third of the room then. Whoever has as many to tell asks before each portion whether there is room.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from downtimer import messages
from downtimer.messages import Ack, AddressWindow, Batch, LatencyWindow, Progress, Ready, Sample, SpanRow
from downtimer.model import SECOND_NS, Span, TargetId

IN_FLIGHT_MAX: Final = 8
DETAILS_IN_FLIGHT_MAX: Final = 4
"""So that spans need not wait for the next commit because details have taken all places."""

RESEND_NS: Final = 2 * SECOND_NS
BATCH_MAX: Final = 10_000
ROOM: Final = 2 * BATCH_MAX
DETAILS_MAX: Final = 150_000

_Key = tuple[TargetId, str, int]


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A batch to which nothing is added any more."""

    serial: int
    body: bytes
    facts: int
    details: int


@dataclass(slots=True)
class _Details:
    """The batch of facts that may be given up, to which more are added, each encoded."""

    samples: list[bytes] = field(default_factory=list)
    latencies: list[bytes] = field(default_factory=list)
    addresses: list[bytes] = field(default_factory=list)

    def count(self) -> int:
        return len(self.samples) + len(self.latencies) + len(self.addresses)


class Outbox:
    """Delivers facts to the writer, each at least once.

    Attributes:
        dropped: Details given up.
    """

    def __init__(
        self, send: Callable[[Sequence[bytes]], bool], hurry: Callable[[], None] = lambda: None
    ) -> None:
        """Make an empty one.

        Args:
            send: Hands a message's frames to the socket without blocking, and tells whether it took them.
            hurry: Is told that there is a span, which should leave soon.
        """
        self.dropped = 0
        self._hurry = hurry
        self._send = send
        self._spans: dict[_Key, bytes] = {}
        self._progress: tuple[Progress, ...] = ()
        self._details = _Details()
        self._sealed: deque[_Sealed] = deque()
        self._sealed_details: deque[_Sealed] = deque()
        self._in_flight: dict[int, _Sealed] = {}
        self._serial = 0
        self._epoch: str | None = None
        self._last_heard_ns = 0
        self._resent_ns = 0

    # --- facts in ---

    def span(self, span: Span, *, is_open: bool) -> None:
        """Deliver a span as it stands; a later word on the same span replaces an earlier one."""
        self.row(SpanRow.of(span, is_open=is_open))

    def row(self, row: SpanRow) -> None:
        """Deliver a span, as it travels."""
        if not self._spans:
            self._hurry()
        self._spans[row.target, row.check, row.first_ns] = messages.encode(row)
        if len(self._spans) >= BATCH_MAX:
            self._seal_spans()

    def sample(self, sample: Sample) -> None:
        """Deliver a detail."""
        self._add_detail(self._details.samples, sample)

    def latency(self, window: LatencyWindow) -> None:
        """Deliver a detail."""
        self._add_detail(self._details.latencies, window)

    def address(self, window: AddressWindow) -> None:
        """Deliver a detail."""
        self._add_detail(self._details.addresses, window)

    def progress(self, *progress: Progress) -> None:
        """Deliver, for every check, with the batch that holds the last of the spans known now."""
        self._progress = progress

    # --- how full it is ---

    @property
    def backlog(self) -> int:
        """How many facts wait to be sent for the first time."""
        sealed = sum(batch.facts for batch in (*self._sealed, *self._sealed_details))
        return sealed + len(self._spans) + self._details.count()

    @property
    def has_room(self) -> bool:
        """Whether whoever has much to tell should go on; nothing is refused in any case."""
        return self.backlog < ROOM

    @property
    def size(self) -> int:
        """Bytes that wait for their acknowledgement, but for those to which more is added still."""
        return sum(len(batch.body) for batch in self._unacknowledged())

    def last_serial(self) -> int:
        """Return the serial of the batch that holds the last of what is known now."""
        self._seal_spans()
        self._seal_details()
        return self._serial

    def has_delivered(self, serial: int) -> bool:
        """Tell whether this batch and all before it are acknowledged, whatever has come since."""
        return all(batch.serial > serial for batch in self._unacknowledged())

    def _unacknowledged(self) -> Iterator[_Sealed]:
        return chain(self._sealed, self._sealed_details, self._in_flight.values())

    # --- the link ---

    def ready(self, message: Ready, now_ns: int) -> None:
        """The writer takes batches of this epoch: send again whatever it may lack.

        It says so once for each time that it was knocked at; when it was held up, that is many times at once.
        """
        self._last_heard_ns = now_ns
        if message.epoch == self._epoch and now_ns - self._resent_ns < RESEND_NS:
            return
        self._epoch, self._resent_ns = message.epoch, now_ns
        for batch in self._in_flight.values():
            self._send_batch(batch, message.epoch)

    def ack(self, message: Ack, now_ns: int) -> None:
        """The writer has committed a batch."""
        if message.epoch == self._epoch:
            self._in_flight.pop(message.serial, None)
            self._last_heard_ns = now_ns

    def pump(self, now_ns: int) -> bool:
        """Send what may be sent; return False if the writer is silent and should be knocked at."""
        if self._epoch is None:
            return False
        if self._in_flight and now_ns - self._last_heard_ns > RESEND_NS:
            self._last_heard_ns = now_ns
            return False
        while batch := self._next_batch():
            if not self._in_flight:
                self._last_heard_ns = now_ns
            self._in_flight[batch.serial] = batch
            self._send_batch(batch, self._epoch)
        return True

    def _send_batch(self, batch: _Sealed, epoch: str) -> None:
        head = Batch(epoch=epoch, serial=batch.serial, details=batch.details)
        self._send((messages.encode(head), batch.body))

    # --- batches ---

    def _next_batch(self) -> _Sealed | None:
        """Return what may be sent next, spans first."""
        if len(self._in_flight) >= IN_FLIGHT_MAX:
            return None
        if not self._sealed:
            self._seal_spans()
        if self._sealed:
            return self._sealed.popleft()
        if sum(1 for batch in self._in_flight.values() if batch.details) >= DETAILS_IN_FLIGHT_MAX:
            return None
        if not self._sealed_details:
            self._seal_details()
        return self._sealed_details.popleft() if self._sealed_details else None

    def _seal_spans(self) -> None:
        if self._spans or self._progress:
            progress = [messages.encode(each) for each in self._progress]
            body = _body(self._spans.values(), (), (), (), progress)
            self._serial += 1
            self._sealed.append(_Sealed(self._serial, body, len(self._spans), 0))
            self._spans, self._progress = {}, ()

    def _add_detail(self, kind: list[bytes], detail: Sample | LatencyWindow | AddressWindow) -> None:
        kind.append(messages.encode(detail))
        if self._details.count() >= BATCH_MAX:
            self._seal_details()

    def _seal_details(self) -> None:
        """Seal what there is; for want of room the oldest are given up."""
        count = self._details.count()
        if count:
            body = _body((), self._details.samples, self._details.latencies, self._details.addresses, ())
            self._serial += 1
            self._sealed_details.append(_Sealed(self._serial, body, count, count))
            self._details = _Details()
        while sum(batch.details for batch in self._sealed_details) > DETAILS_MAX:
            self.dropped += self._sealed_details.popleft().details


def _body(*parts: Collection[bytes]) -> bytes:
    """Return a `Body` of facts that are encoded: MessagePack, so an array's head and then its elements."""
    return b"".join((_array(len(parts)), *(b"".join((_array(len(part)), *part)) for part in parts)))


def _array(length: int) -> bytes:
    return b"\xdd" + length.to_bytes(4, "big")
