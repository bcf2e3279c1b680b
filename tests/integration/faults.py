"""A local server with every fault that an API may have, and what it was asked."""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Serve = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@dataclass
class Server:
    """Serves every connection in one way, which may be changed while it runs."""

    serve: Serve
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection; it is closed when served."""
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self.serve(self, reader, writer)
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def running(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve as long as the context lasts; gives the URL."""
        server = await asyncio.start_server(self.handle, host, self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            shown = f"[{host}]" if ":" in host else host
            yield f"{'https' if tls else 'http'}://{shown}:{self.port}/"
        finally:
            server.close()


def answers(answer: bytes = OK) -> Serve:
    """Answer every request with these bytes and close."""

    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()

    return serve


async def silent(server: Server, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    server.requests.append(await reader.readuntil(b"\r\n\r\n"))
    await reader.read()


def flood(head: bytes, again: bytes) -> Serve:
    """Answer with a head, and then with something again and again."""

    async def serve(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(again * (65536 // len(again)))
            await writer.drain()

    return serve


async def early(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer before anything was asked, and keep the connection."""
    writer.write(OK)
    await writer.drain()
    await reader.read()


async def crumbs(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in pieces of any length at moments of any distance, and keep the connection."""
    await reader.readuntil(b"\r\n\r\n")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    while answer:
        length = random.choice((1, 2, 40, 500))  # noqa: S311 - no secret
        writer.write(answer[:length])
        answer = answer[length:]
        await writer.drain()
        await asyncio.sleep(random.choice((0, 0, 0, 0.001, 0.005)))  # noqa: S311 - no secret
    await reader.read()


async def reset(_: Server, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection as soon as it is accepted."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def close(_: Server, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Close the connection in good order, without an answer."""
    await reader.readuntil(b"\r\n\r\n")


async def drip(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the head at once, then a byte of the body every 50 ms."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def pour(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a body without end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 16_384)
        await writer.drain()
        await asyncio.sleep(0.001)


async def get_only(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer GET; refuse HEAD, as some services of OpenStack do."""
    request = await reader.readuntil(b"\r\n\r\n")
    server.requests.append(request)
    writer.write(OK if request.startswith(b"GET ") else b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
