"""A worker's facts on their way to the writer: kept until the writer has committed them.

Owned by the loop of a probing worker; does no I/O itself (frames go out through `send`), so tests
drive it with a list. At most eight batches are unacknowledged; after two seconds without an
acknowledgement, or when the writer says that it is new, all of them are sent again in order.
Spans are never given up; details (samples, windows) are, oldest first, and counted.
"""

from collections import deque
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from downtimer import messages
from downtimer.messages import Ack, AddressWindow, Batch, LatencyWindow, Progress, Ready, Sample, SpanFact
from downtimer.model import SECOND_NS, Span

IN_FLIGHT_MAX: Final = 8
RESEND_NS: Final = 2 * SECOND_NS
BATCH_MAX: Final = 5_000
DETAILS_MAX: Final = 50_000

_Key = tuple[str, str, int]
_T = TypeVar("_T")


@dataclass(slots=True)
class _Details:
    """Facts that may be given up."""

    samples: deque[Sample] = field(default_factory=deque)
    latencies: deque[LatencyWindow] = field(default_factory=deque)
    addresses: deque[AddressWindow] = field(default_factory=deque)


class Outbox:
    """Delivers facts to the writer, each at least once."""

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        """`send` hands a frame to the socket without blocking and tells whether it was taken."""
        self.dropped = 0
        self._send = send
        self._spans: dict[_Key, SpanFact] = {}
        self._details = _Details()
        self._progress: tuple[Progress, ...] = ()
        self._in_flight: dict[int, Batch] = {}
        self._serial = 0
        self._epoch: str | None = None
        self._last_heard_ns = 0

    # --- facts in ---

    def span(self, span: Span, *, is_open: bool) -> None:
        """Deliver a span as it stands; a later word on the same span replaces an earlier one."""
        self._spans[(span.target, span.check, span.first_sent_ns)] = SpanFact(span, is_open)

    def sample(self, sample: Sample) -> None:
        """Deliver a detail."""
        self._details.samples.append(sample)
        self._bound(self._details.samples)

    def latency(self, window: LatencyWindow) -> None:
        """Deliver a detail."""
        self._details.latencies.append(window)
        self._bound(self._details.latencies)

    def address(self, window: AddressWindow) -> None:
        """Deliver a detail."""
        self._details.addresses.append(window)
        self._bound(self._details.addresses)

    def progress(self, *progress: Progress) -> None:
        """Deliver, for every check, with the batch that holds the last of the spans known now."""
        self._progress = progress

    @property
    def backlog(self) -> int:
        """Spans that are not acknowledged."""
        return len(self._spans) + sum(len(batch.spans) for batch in self._in_flight.values())

    def last_serial(self) -> int:
        """Return the serial of the batch that will hold the last of what is known now."""
        waiting = max(len(queue) for queue in (self._spans, *self._queues()))
        batches = -(-waiting // BATCH_MAX) or bool(self._progress)
        return self._serial + batches

    def has_delivered(self, serial: int) -> bool:
        """Tell whether this batch and all before it are acknowledged, whatever has come since."""
        return self._serial >= serial and all(other > serial for other in self._in_flight)

    # --- the link ---

    def ready(self, message: Ready, now_ns: int) -> None:
        """The writer takes batches of this epoch: send again whatever it may lack."""
        self._epoch = message.epoch
        self._resend(now_ns)

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
            self._resend(now_ns)
            return False
        while len(self._in_flight) < IN_FLIGHT_MAX and (self._spans or self._progress or self._has_details()):
            if not self._in_flight:
                self._last_heard_ns = now_ns
            batch = self._next_batch(self._epoch)
            self._in_flight[batch.serial] = batch
            self._send(messages.encode(batch))
        return True

    def _resend(self, now_ns: int) -> None:
        self._last_heard_ns = now_ns
        assert self._epoch is not None  # noqa: S101 - both callers have checked
        for serial, batch in self._in_flight.items():
            self._in_flight[serial] = again = msgspec.structs.replace(batch, epoch=self._epoch)
            self._send(messages.encode(again))

    def _next_batch(self, epoch: str) -> Batch:
        self._serial += 1
        spans = _take_spans(self._spans)
        progress: tuple[Progress, ...] = ()
        if not self._spans:
            progress, self._progress = self._progress, ()
        return Batch(
            epoch=epoch,
            serial=self._serial,
            spans=spans,
            samples=_take(self._details.samples),
            latencies=_take(self._details.latencies),
            addresses=_take(self._details.addresses),
            progress=progress,
        )

    def _has_details(self) -> bool:
        return any(self._queues())

    def _queues(self) -> tuple[Sized, ...]:
        return self._details.samples, self._details.latencies, self._details.addresses

    def _bound(self, queue: "deque[_T]") -> None:
        if len(queue) > DETAILS_MAX:
            queue.popleft()
            self.dropped += 1


def _take_spans(spans: dict[_Key, SpanFact]) -> tuple[SpanFact, ...]:
    keys = list(spans)[:BATCH_MAX]
    return tuple(spans.pop(key) for key in keys)


def _take(queue: "deque[_T]") -> "tuple[_T, ...]":
    return tuple(queue.popleft() for _ in range(min(len(queue), BATCH_MAX)))
