"""The supervisor's end of the bus: a ROUTER on which every child has the name of its incarnation."""

import contextlib
import logging

import zmq

from downtimer import messages, wire
from downtimer.errors import MessageError
from downtimer.messages import BusDown, BusUp, Hello
from downtimer.model import Incarnation

log = logging.getLogger(__name__)


class Bus:
    """Receives from all children and sends to one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = wire.router(self._context, address)

    async def receive(self) -> tuple[Incarnation, BusUp]:
        """Return the next message and who sent it; what is malformed is logged and passed over."""
        while True:
            identity, *frames = await self._socket.receive()
            incarnation = Incarnation(identity.decode("ascii", "replace"))
            try:
                if len(frames) != 1:
                    raise MessageError(f"{len(frames)} frames where one is due")  # noqa: TRY301 - one mend for both
                message = messages.BUS_UP.decode(frames[0])
            except MessageError as exc:
                log.warning("bus: from %s: %s", incarnation, exc)
                continue
            if isinstance(message, Hello) and message.incarnation != incarnation:
                log.warning("bus: %s says that it is %s", incarnation, message.incarnation)
                continue
            return incarnation, message

    def has_more(self) -> bool:
        """Tell whether something is here that was not received yet."""
        return self._socket.has_more()

    def send(self, to: Incarnation, message: BusDown) -> bool:
        """Send to one child without blocking; False if it is not there, or does not read."""
        with contextlib.suppress(zmq.ZMQError):  # EHOSTUNREACH: gone; its successor gets all at hello
            return self._socket.send([to.encode("ascii"), messages.encode(message)])
        return False

    def close(self) -> None:
        """Close the bus; nothing is left to say."""
        self._socket.close()
        self._context.term()
