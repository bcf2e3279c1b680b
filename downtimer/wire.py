"""ZeroMQ sockets, made in one place so that each has its limits set.

One context per process; one reader per socket. The addresses are ``ipc://`` paths in the runtime
directory, which only the daemon's user may enter.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import zmq
import zmq.asyncio

FRAME_MAX: Final = 64 * 1024 * 1024
"""Largest frame taken; a portion of the target list has about 1 MiB."""

_QUEUE: Final = 10_000


def router(context: zmq.asyncio.Context, address: str) -> zmq.asyncio.Socket:
    """Return a bound ROUTER. Sending to a peer that is gone raises instead of being lost in silence."""
    socket = _socket(context, zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.bind(address)
    return socket


def dealer(context: zmq.asyncio.Context, address: str, identity: str) -> zmq.asyncio.Socket:
    """Return a DEALER that connects, and connects again by itself, under `identity`."""
    socket = _socket(context, zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, identity.encode("ascii"))
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
    socket.connect(address)
    return socket


def _socket(context: zmq.asyncio.Context, kind: int) -> zmq.asyncio.Socket:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, _QUEUE)
    socket.setsockopt(zmq.RCVHWM, _QUEUE)
    socket.setsockopt(zmq.MAXMSGSIZE, FRAME_MAX)
    return socket


def send_now(socket: zmq.asyncio.Socket, frames: Sequence[bytes]) -> bool:
    """Send without ever waiting; return False if the peer's queue is full.

    Goes through the asyncio socket rather than past it, because that looks for messages that came
    in meanwhile; ZeroMQ signals those on its descriptor only once.

    Raises:
        zmq.ZMQError: From a ROUTER: the peer is not there (EHOSTUNREACH).
    """
    sending = socket.send_multipart(frames, zmq.DONTWAIT)
    assert isinstance(sending, asyncio.Future)  # noqa: S101 - and done: without waiting it is sent or not
    error = sending.exception()
    if error is None:
        return True
    if isinstance(error, zmq.Again):
        return False
    raise error
