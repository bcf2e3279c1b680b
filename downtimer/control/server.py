"""The daemon's end of the control socket. Runs in the supervisor's event loop.

Each client has its own task and five seconds to ask, so one that never writes or never reads holds up
nobody. Whatever is wrong with a request, it changes nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from downtimer.control import protocol
from downtimer.control.protocol import REQUEST_MAX, Reply, Request
from downtimer.errors import ConfigError, ControlError, DowntimerError

log = logging.getLogger(__name__)

PATIENCE_S: Final = 5.0

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Obeys one command: arguments → result."""


class ControlServer:
    """Serves the control socket with a table of commands."""

    def __init__(self, path: str, handlers: Mapping[str, Handler]) -> None:
        self.refused = 0
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. A socket file left behind is replaced: the lock tells that nobody owns it.

        Raises:
            ControlError: There can be no socket.
        """
        try:
            Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240 - a local unlink does not wait
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=REQUEST_MAX + 2)
        except OSError as exc:
            raise ControlError("failed", f"cannot listen on {self._path}: {exc.strerror}") from exc

    async def close(self) -> None:
        """Listen no more, let the answers under way leave, and remove the socket."""
        if self._server is not None:
            self._server.close()
            Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240 - as above
        if self._clients:
            await asyncio.wait(self._clients, timeout=PATIENCE_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._clients.add(task)
        try:
            reply = await self._answer(reader)
            if reply is not None:
                writer.write(protocol.encode(reply))
                async with asyncio.timeout(PATIENCE_S):
                    await writer.drain()
        except (OSError, TimeoutError) as exc:
            log.debug("control: a client went away: %r", exc)
        finally:
            self._clients.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> Reply | None:
        try:
            request = protocol.decode_request(await self._read(reader))
            return protocol.result(await self._obey(request))
        except ControlError as exc:
            self.refused += exc.code in ("bad-request", "too-large", "version", "unknown-command")
            return protocol.error(exc.code, str(exc))
        except ConfigError as exc:
            return protocol.error("configuration", str(exc))
        except DowntimerError as exc:
            return protocol.error("failed", str(exc))
        except (EOFError, TimeoutError):
            self.refused += 1
            return None
        except Exception:
            log.exception("control: a defect of downtimer")
            return protocol.error("failed", "a defect of downtimer; its log has the traceback")

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as exc:
                raise ControlError("too-large", f"a request is at most {REQUEST_MAX} bytes") from exc

    async def _obey(self, request: Request) -> dict[str, Any]:
        handler = self._handlers.get(request.command)
        if handler is None:
            known = ", ".join(self._handlers)
            raise ControlError("unknown-command", f"no command {request.command!r}; there are {known}")
        return await handler(request.arguments)
