"""A worker's connection to the writer: facts go out from the outbox until they are acknowledged."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from downtimer import messages, wire
from downtimer.errors import DowntimerError, MessageError
from downtimer.messages import Ack, Knock, Ready
from downtimer.model import SECOND_NS
from downtimer.workers.outbox import Outbox
from downtimer.workers.worker import Child

log = logging.getLogger(__name__)

PUMP_S: Final = 1.0
"""What is to be delivered leaves once a second; it would be committed no sooner."""

PROGRESS_S: Final = 0.4
"""Of those that probe it leaves more often, with the progress: what came later is lost if they are killed.

The writer commits once a second, and no more than eight batches wait for that.
"""

SPANS_S: Final = 0.2
"""A span that has opened or ended leaves sooner: if this process is killed, it is known how far it was."""

KNOCK_S: Final = 0.2
"""Until a writer has answered."""

ACKNOWLEDGED_S: Final = 20.0
"""How long the end waits for the writer; what it lacks then is lost, and said."""


WAITING_MAX: Final = 256 << 20
"""Bytes. If more wait, for the disk has been full for long, all is given up, lest the host run out of it.

A part must not be: of an open span that the journal has, nobody could tell then where it ended. So this
process ends, and its successor begins anew; what was not committed is unobserved.
"""


class Delivery:
    """Delivers what is put into its outbox.

    Attributes:
        outbox: Where facts are put.
    """

    def __init__(self, child: Child) -> None:
        self._clock = child.clock
        self._report = child.report
        self._socket = wire.dealer(child.context, child.settings.points, child.incarnation)
        self._has_spans = asyncio.Event()
        self.outbox = Outbox(self._send, self._has_spans.set)

    async def run(self, note_progress: Callable[[], None], *, every_s: float = PUMP_S) -> None:
        """Send and listen, until cancelled.

        Args:
            note_progress: Is called whenever something may leave, to put the progress into the outbox.
            every_s: So often something may.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump(note_progress, every_s))
            tasks.create_task(self._listen())

    async def flush(self) -> None:
        """Wait until the writer has all that is in the outbox now.

        What comes meanwhile does not count: a target that fails is probed faster than the writer commits.
        """
        last_serial = self.outbox.last_serial()
        deadline_ns = self._clock.now_ns() + int(ACKNOWLEDGED_S * SECOND_NS)
        while not self.outbox.has_delivered(last_serial) and self._clock.now_ns() < deadline_ns:
            self._pump_once()
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    async def _pump(self, note_progress: Callable[[], None], every_s: float) -> None:
        while True:
            self._bound()
            note_progress()
            self._has_spans.clear()
            wait_s = every_s if self._pump_once() else KNOCK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._has_spans.wait()
                    await asyncio.sleep(SPANS_S)

    def _bound(self) -> None:
        """See that what waits does not outgrow the host's memory.

        Raises:
            DowntimerError: It does.
        """
        if self.outbox.size > WAITING_MAX:
            text = f"more than {WAITING_MAX >> 20} MiB wait for the writer; they are given up"
            self._report("dropped", text)
            raise DowntimerError(text)

    def _pump_once(self) -> bool:
        """Send what may be sent, or knock; return whether there is a writer that answers."""
        if self.outbox.pump(self._clock.now_ns()):
            return True
        self._send([messages.encode(Knock())])
        return False

    async def _listen(self) -> None:
        while True:
            frame, *_ = await self._socket.receive()
            now_ns = self._clock.now_ns()
            try:
                message = messages.POINTS_DOWN.decode(frame)
            except MessageError as exc:
                log.warning("points: %s", exc)
                continue
            match message:
                case Ready():
                    self.outbox.ready(message, now_ns)
                    self._pump_once()
                case Ack():
                    self.outbox.ack(message, now_ns)

    def _send(self, frames: Sequence[bytes]) -> bool:
        return self._socket.send(frames)
