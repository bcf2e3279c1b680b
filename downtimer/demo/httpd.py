"""A small HTTP server whose manners can be changed while it runs: what a service process answers with.

Hand-made, because the manners matter: real API servers send no Content-Length and close, or keep
alive; broken ones reset, hang or drip. A request is dealt with by the manners in force when it
arrives, whatever happens later, so that the edges of a fault are sharp.
"""

import contextlib
import http
import io
import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from downtimer.demo.truth import Bracket, now_ns

if TYPE_CHECKING:
    import ssl

NORMAL: Final = "normal"
RESET: Final = "reset"
HANG: Final = "hang"
DRIP: Final = "drip"
MODES: Final = "normal, reset, hang, drip or a status such as 503"

JSON: Final = "application/json"
HTML: Final = "text/html; charset=UTF-8"
PLAIN: Final = "text/plain; charset=UTF-8"
XML: Final = "application/xml"

_DRIP_S = 1.0
_RETRY_S = 0.01
_IDLE_S = 900.0
_BACKLOG = 512
_LONGEST_BODY = 1 << 20
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Names of headers are in lower case; `id` is what a service calls it in its answer."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool
    id: str = field(default_factory=lambda: f"req-{uuid.uuid4()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, more: Mapping[str, str]) -> Self:
        """Return the same answer with further headers."""
        return replace(self, headers={**self.headers, **more})


App = Callable[[Request], Response]


def json_response(status: int, content: object, **headers: str) -> Response:
    """Return an answer with a JSON body; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, body=json.dumps(content).encode(), headers=named)


class Manners:
    """How the server behaves at present. Written by the control thread, read by all others."""

    def __init__(self, *, keep_alive: bool) -> None:
        self.mode = NORMAL
        self.keep_alive = keep_alive
        self.delay_s = 0.0
        self.tls: ssl.SSLContext | None = None

    def set_mode(self, mode: str) -> None:
        """Change how requests are dealt with that arrive from now on.

        Raises:
            ValueError: There is no such mode.
        """
        if mode not in {NORMAL, RESET, HANG, DRIP} and not (mode.isdecimal() and 200 <= int(mode) <= 599):
            raise ValueError(f"no such mode: {mode!r}; modes are {MODES}")
        self.mode = mode


class Server:
    """Accepts connections, one thread for each.

    Args:
        app: What answers.
        manners: How.
        host: Address to listen on.
        port: Port to listen on.
        workers: How many connections are taken at a time, the others wait in the backlog: a
            prefork server has few. 0 for no limit.
    """

    def __init__(self, app: App, manners: Manners, *, host: str, port: int, workers: int = 0) -> None:
        self._app = app
        self._manners = manners
        self._address = (host, port)
        self._free = threading.Semaphore(workers) if workers else None
        self._listener: socket.socket | None = None

    def listen(self) -> Bracket:
        """Listen, answering nothing yet; return when that began."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        before_ns = now_ns()
        self._listener = socket.create_server(self._address, family=family, backlog=_BACKLOG)
        return Bracket(before_ns, now_ns())

    def serve_forever(self) -> None:
        """Answer. Never returns."""
        if self._listener is None:
            raise RuntimeError("listen() first")
        while True:
            if self._free is not None:
                self._free.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the client has gone already, or there are too many of them
                time.sleep(_RETRY_S)
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError, ValueError):
                self._converse(connection)
        finally:
            if self._free is not None:
                self._free.release()

    def _converse(self, connection: socket.socket) -> None:
        """Answer requests until one side has had enough. OSError: the client is gone."""
        if self._manners.mode == RESET:
            _reset(connection)
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_IDLE_S)
        tls = self._manners.tls
        if tls is None:
            self._serve_requests(connection)
            return
        with tls.wrap_socket(connection, server_side=True) as wrapped:
            self._serve_requests(wrapped)

    def _serve_requests(self, connection: socket.socket) -> None:
        incoming = _Incoming(connection)
        while (request := read_request(incoming)) is not None:
            mode = self._manners.mode
            if mode == RESET:
                _reset(connection)
                return
            if mode == HANG:
                _wait_until_closed(connection)
                return
            if not self._answer(connection, request, mode):
                return

    def _answer(self, connection: socket.socket, request: Request, mode: str) -> bool:
        """Answer one request; return whether the connection is kept."""
        keep = self._manners.keep_alive and request.keep_alive
        if self._manners.delay_s:
            time.sleep(self._manners.delay_s)
        response = Response(status=int(mode)) if mode.isdecimal() else self._app(request)
        head, body = encode(response, request, keep=keep)
        if mode == DRIP:
            connection.sendall(head)
            _drip(connection, body)
        else:
            connection.sendall(head + body)
        return keep


class _Incoming:
    """Buffered reading that holds no reference to the socket's file, so that close() closes it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def line(self) -> bytes:
        """Return the next line without its end; EOFError when there is no more."""
        while b"\n" not in self._buffer:
            self._fill()
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes; EOFError when there are not so many."""
        while len(self._buffer) < count:
            self._fill()
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    def _fill(self) -> None:
        more = self._connection.recv(io.DEFAULT_BUFFER_SIZE)
        if not more or len(self._buffer) > _LONGEST_BODY:
            raise EOFError
        self._buffer += more


def read_request(incoming: _Incoming) -> Request | None:
    """Read one request; None when the client has closed. ValueError if it is not HTTP."""
    try:
        method, target, version = incoming.line().decode("latin-1").split(" ")
        headers: dict[str, str] = {}
        while line := incoming.line().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = incoming.exactly(int(headers.get("content-length", "0")))
    except EOFError:
        return None
    parts = urlsplit(target)
    return Request(
        method=method,
        path=unquote(parts.path),
        query={name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
        headers=headers,
        body=body,
        keep_alive=version == "HTTP/1.1" and headers.get("connection", "").lower() != "close",
    )


def encode(response: Response, request: Request, *, keep: bool) -> tuple[bytes, bytes]:
    """Return head and body as they go over the wire: with Content-Length only if kept alive."""
    headers = {"Content-Type": JSON} | dict(response.headers)
    if keep:
        headers["Content-Length"] = str(len(response.body))
    else:
        headers["Connection"] = "close"
    phrase = http.HTTPStatus(response.status).phrase
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head, b"" if request.method == "HEAD" else response.body


def _drip(connection: socket.socket, body: bytes) -> None:
    for index in range(len(body)):
        time.sleep(_DRIP_S)
        connection.sendall(body[index : index + 1])


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def _wait_until_closed(connection: socket.socket) -> None:
    while connection.recv(io.DEFAULT_BUFFER_SIZE):
        pass
