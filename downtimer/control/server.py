"""The daemon's end of the control socket. Runs in the supervisor's event loop.

Each client has its own task, five seconds to ask and five to take the answer, so one that never writes or
never reads holds up nobody, nor the end. Whatever is wrong with a request, it changes nothing.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from downtimer.control import protocol
from downtimer.control.protocol import REQUEST_MAX
from downtimer.errors import ConfigError, ControlError, DowntimerError

log = logging.getLogger(__name__)

PATIENCE_S: Final = 5.0
CLIENTS_MAX: Final = 800
"""Most clients at a time. Children need descriptors, too, and some systems allow 1,024 in all."""

QUEUE_MAX: Final = 1024
"""Most that have not been let in yet; the kernel has a limit of its own, net.core.somaxconn."""

SHOWN_MAX: Final = 100
"""So many characters of a command that there is not are enough to know it again."""

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Obeys one command: arguments → result."""


class ControlServer:
    """Serves the control socket with a table of commands.

    Args:
        path: Of the socket.
        handlers: Obey the commands.
        group: Whose members may connect, too; None: the user alone.

    Attributes:
        refused: How many clients had no request that makes sense, or were one too many.
    """

    def __init__(self, path: str, handlers: Mapping[str, Handler], group: int | None = None) -> None:
        self.refused = 0
        self._path = path
        self._handlers = handlers
        self._group = group
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._asking: set[asyncio.Task[None]] = set()  # those of them that have not asked yet

    async def open(self) -> None:
        """Listen. A socket file left behind is replaced: the lock tells that nobody owns it.

        Raises:
            ControlError: There can be no socket.
        """
        listening = socket.socket(socket.AF_UNIX)
        try:
            self._bind(listening)
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listening, limit=REQUEST_MAX + 2, backlog=QUEUE_MAX
            )
        except OSError as exc:
            listening.close()
            raise ControlError("failed", f"cannot listen on {self._path}: {exc.strerror}") from exc

    def _bind(self, listening: socket.socket) -> None:
        """Make the socket's file. There is no moment at which more may use it than should."""
        path = Path(self._path)
        path.unlink(missing_ok=True)
        os.fchmod(listening.fileno(), 0o600)  # what the file begins with, see unix(7)
        listening.bind(self._path)
        if self._group is not None:
            os.chown(self._path, -1, self._group)
            path.chmod(0o660)

    async def close(self) -> None:
        """Listen no more, let the answers under way leave, and remove the socket."""
        if self._server is not None:
            self._server.close()
            Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240 - a local unlink does not wait
        for task in self._asking:
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=PATIENCE_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        is_one_too_many = len(self._clients) >= CLIENTS_MAX
        self._clients.add(task)
        try:
            frame = self._turn_away() if is_one_too_many else await self._answer(task, reader)
            if frame is not None:
                writer.write(frame)
                writer.close()
                async with asyncio.timeout(PATIENCE_S):
                    await writer.wait_closed()
        except OSError as exc:  # a TimeoutError, too
            log.debug("control: a client went away, or does not read: %r", exc)
        finally:
            writer.transport.abort()
            self._clients.discard(task)

    def _turn_away(self) -> bytes:
        self.refused += 1
        return protocol.encode(protocol.error("busy", f"{CLIENTS_MAX} clients are here already; try again"))

    async def _answer(self, task: asyncio.Task[None], reader: asyncio.StreamReader) -> bytes | None:
        """Return the frame for a client; None if it has not asked for anything."""
        try:
            request = protocol.decode_request(await self._read(task, reader))
            handler = self._handler(request.command)
        except ControlError as exc:
            self.refused += 1
            return protocol.encode(protocol.error(exc.code, str(exc)))
        except (EOFError, OSError):  # a TimeoutError, too
            self.refused += 1
            return None
        return await self._obey(handler, request.arguments)

    async def _read(self, task: asyncio.Task[None], reader: asyncio.StreamReader) -> bytes:
        self._asking.add(task)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as exc:
            raise ControlError("too-large", f"a request is at most {REQUEST_MAX} bytes") from exc
        finally:
            self._asking.discard(task)

    def _handler(self, command: str) -> Handler:
        handler = self._handlers.get(command)
        if handler is None:
            known = ", ".join(self._handlers)
            raise ControlError("unknown-command", f"no command {command[:SHOWN_MAX]!r}; there are {known}")
        return handler

    async def _obey(self, handler: Handler, arguments: Mapping[str, Any]) -> bytes:
        try:
            return protocol.encode_result(await handler(arguments))
        except ControlError as exc:
            self.refused += exc.code == "bad-request"
            reply = protocol.error(exc.code, str(exc))
        except ConfigError as exc:
            reply = protocol.error("configuration", str(exc))
        except DowntimerError as exc:
            reply = protocol.error("failed", str(exc))
        except Exception:
            log.exception("control: a defect of downtimer")
            reply = protocol.error("failed", "a defect of downtimer; its log has the traceback")
        return protocol.encode(reply)
