"""A writer that acknowledges at once what it gets, and keeps the newest word on each span."""

import secrets
import threading
from types import TracebackType
from typing import Final, Self

import zmq

from downtimer import messages
from downtimer.messages import VERDICTS, Ack, Batch, Ready, SpanRow
from downtimer.model import Span, Verdict

_EPOCH: Final = "bench"
_POLL_MS: Final = 50
_JOIN_S: Final = 10.0


class Drain:
    """Listens as long as the context lasts.

    Attributes:
        address: Where.
    """

    def __init__(self) -> None:
        self.address = f"ipc://@downtimer-{secrets.token_hex(8)}"
        self._rows: dict[tuple[str, str, int], SpanRow] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._ending.set()
        self._thread.join(_JOIN_S)

    def spans(self) -> list[Span]:
        """Return all spans, as was last told of each."""
        return [row.span() for row in list(self._rows.values())]

    def probes(self, verdict: Verdict) -> int:
        """Return the probes in spans of this verdict."""
        index = VERDICTS.index(verdict)
        return sum(row.probes for row in list(self._rows.values()) if row.verdict == index)

    def _serve(self) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(self.address)
            while not self._ending.is_set():
                if socket.poll(_POLL_MS):
                    identity, frame, *bodies = socket.recv_multipart()
                    message = messages.POINTS_UP.decode(frame)
                    answer: Ready | Ack = Ready(epoch=_EPOCH)
                    if isinstance(message, Batch):
                        for row in messages.BODY.decode(bodies[0]).spans:
                            self._rows[row.target, row.check, row.first_ns] = row
                        answer = Ack(epoch=_EPOCH, serial=message.serial)
                    socket.send_multipart([identity, messages.encode(answer)])
