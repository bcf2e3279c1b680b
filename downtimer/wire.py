"""ZeroMQ sockets in asyncio's loop, made in one place so that each has its limits set.

One context per process; one reader per socket. The addresses are ``ipc://`` paths in the runtime
directory, which only the daemon's user may enter.

pyzmq's own sockets for asyncio make a future and two turns of the loop of every message, either way. What
is needed here is less: nothing is ever waited for but the next message that comes in.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import zmq

FRAME_MAX: Final = 64 * 1024 * 1024
"""Largest frame taken; a portion of the target list has about 1 MiB."""

AT_ONCE_MAX: Final = 100
"""After so many messages that had come already, others have their turn."""

_QUEUE: Final = 10_000


class Socket:
    """A socket of the loop that runs. At most one task receives."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", kind: int) -> None:
        self._socket = context.socket(kind)
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Future[None] | None = None  # who receives waits for it
        self._at_once = 0  # messages that were received without a wait
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, _QUEUE),
            (zmq.RCVHWM, _QUEUE),
            (zmq.MAXMSGSIZE, FRAME_MAX),
        ):
            self._socket.setsockopt(option, value)
        self._descriptor = self._socket.fileno()
        self._loop.add_reader(self._descriptor, self._look)

    def bind(self, address: str) -> None:
        """Be where others connect to. Sending to one that is gone raises instead of being lost in silence."""
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.bind(address)

    def connect(self, address: str, identity: str) -> None:
        """Connect, and connect again whenever that is needed, under `identity`."""
        self._socket.setsockopt(zmq.IDENTITY, identity.encode("ascii"))
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        self._socket.connect(address)

    async def receive(self) -> list[bytes]:
        """Return the frames of the next message."""
        if self._at_once == AT_ONCE_MAX:
            self._at_once = 0
            await asyncio.sleep(0)  # whoever sends without end must not keep others from their turn
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                self._at_once = 0
                self._came = self._loop.create_future()
            else:
                self._at_once += 1
                return frames
            await self._came

    def send(self, frames: Sequence[bytes]) -> bool:
        """Send without ever waiting; return False if the peer's queue is full.

        Raises:
            zmq.ZMQError: From a ROUTER: the peer is not there (EHOSTUNREACH).
        """
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        finally:
            if self._came is not None:
                self._look()
        return True

    def close(self, linger_ms: int = 0) -> None:
        """Close it; what was sent last has so long to leave."""
        self._loop.remove_reader(self._descriptor)
        self._socket.close(linger_ms)

    def has_more(self) -> bool:
        """Tell whether a message has come that was not received yet."""
        return self._look()

    def _look(self) -> bool:
        """Let the socket do its work; if a message has come, wake who waits for it, and say so.

        Called when its descriptor tells of something, which may matter to ZeroMQ alone, and after a call that
        may have taken that word from it: ZeroMQ says it only once.
        """
        has_come = bool(int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)
        if has_come and self._came is not None:
            if not self._came.done():
                self._came.set_result(None)
            self._came = None
        return has_come


def router(context: "zmq.Context[zmq.Socket[bytes]]", address: str) -> Socket:
    """Return a bound ROUTER."""
    socket = Socket(context, zmq.ROUTER)
    socket.bind(address)
    return socket


def dealer(context: "zmq.Context[zmq.Socket[bytes]]", address: str, identity: str) -> Socket:
    """Return a DEALER that connects."""
    socket = Socket(context, zmq.DEALER)
    socket.connect(address, identity)
    return socket
