"""A writer that acknowledges all it is told and keeps of it only what a benchmark asks for."""

import threading
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import zmq

from downtimer import messages
from downtimer.messages import VERDICTS, Ack, Batch, Body, Ready

if TYPE_CHECKING:
    from downtimer.model import Verdict

_EPOCH: Final = "bench"
_POLL_MS: Final = 50


class Drain:
    """Listens as long as the context lasts.

    Attributes:
        address: Where.
        spans: Messages on spans, by verdict.
        probes: In spans that have ended, by verdict.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: Counter[Verdict] = Counter()
        self.probes: Counter[Verdict] = Counter()
        self._ending = threading.Event()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        assert self._bound.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._ending.set()
        self._thread.join(10)

    def _serve(self) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(self.address)
            self._bound.set()
            while not self._ending.is_set():
                if socket.poll(_POLL_MS):
                    identity, frame, *bodies = socket.recv_multipart()
                    message = messages.POINTS_UP.decode(frame)
                    answer: Ready | Ack = Ready(epoch=_EPOCH)
                    if isinstance(message, Batch):
                        self._take(messages.BODY.decode(bodies[0]))
                        answer = Ack(epoch=_EPOCH, serial=message.serial)
                    socket.send_multipart([identity, messages.encode(answer)])

    def _take(self, body: Body) -> None:
        for row in body.spans:
            verdict = VERDICTS[row.verdict]
            self.spans[verdict] += 1
            if not row.is_open:
                self.probes[verdict] += row.probes
