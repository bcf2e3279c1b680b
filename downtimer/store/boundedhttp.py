"""An HTTP connection on which every exchange is bounded in time and size, whatever the server does.

A timeout of `socket`, and so of every library above it, is one for each read: an answer that drips would
hold its thread for ever. Here one deadline holds for all of an exchange: finding the name's addresses, trying
them, TLS, sending, and waiting for the answer. No proxies, no ``.netrc``, no redirects, no compression.
"""

import contextlib
import math
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

CONNECT_S: Final = 4.0
"""At most so long one of several addresses is tried before the next."""

Endpoint = tuple[socket.AddressFamily, tuple[Any, ...]]
LookUp = Callable[[str, int], list[Endpoint]]
"""Returns the addresses of a host; raises what getaddrinfo() does."""

_BROKEN: Final = (RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Deadline:
    """An instant by which everything has to be done."""

    def __init__(self) -> None:
        self._at_s = math.inf  # on time.monotonic()

    def set(self, seconds: float) -> None:
        """Make it so long from now."""
        self._at_s = time.monotonic() + seconds

    def left_s(self) -> float:
        """Return how much is left.

        Raises:
            TimeoutError: Nothing.
        """
        left_s = self._at_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


class _Socket(socket.socket):
    """A socket whose every operation has until the deadline, however many there are."""

    deadline: Deadline

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(self.deadline.left_s())
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        self.settimeout(self.deadline.left_s())  # for all of it
        super().sendall(data, flags)


class _TlsSocket(ssl.SSLSocket):
    """The same with TLS; its `sendall` calls `send` again and again."""

    deadline: Deadline

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(self.deadline.left_s())
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        self.settimeout(self.deadline.left_s())
        return super().send(data, flags)


class Connection:
    """A connection to one server, made when it is needed, and again. One thread owns it.

    Attributes:
        deadline: Of the exchange under way. Whoever reads a long answer moves it as the answer gets on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        """Prepare it.

        Args:
            host: Name or address.
            port: Port.
            tls: Makes what certificates are verified with; called once for all connections, and again after
                one has failed. None: no TLS.
            look_up: Finds addresses; None: the system's resolver.
        """
        self.deadline = Deadline()
        self._host = host
        self._port = port
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._names = _Names(host, port, look_up or _ask_resolver)
        self._http: HTTPConnection | None = None
        self._answer: HTTPResponse | None = None

    def ask(
        self, method: str, path: str, *, within_s: float, headers: Mapping[str, str], body: bytes = b""
    ) -> HTTPResponse:
        """Send a request, and return the answer as soon as its headers are there.

        A kept connection that turns out to be broken is replaced once: the server may just have closed it.

        Args:
            method: HTTP's.
            path: With the query.
            within_s: The deadline, also for reading the body.
            headers: Beside those that every request has.
            body: Of the request.

        Raises:
            TimeoutError: It took too long.
            OSError: The server can't be reached, or TLS fails, or its name is not found.
            http.client.HTTPException: What came is no HTTP.
            UnicodeError: The host is no name.
        """
        self.deadline.set(within_s)
        if self._is_usable():
            with contextlib.suppress(*_BROKEN):
                return self._exchange(method, path, body, headers)
        self.close()
        return self._exchange(method, path, body, headers)

    def read(self, answer: HTTPResponse, most: int) -> bytes:
        """Return the body of the last answer, or, where that is longer, its first `most` bytes.

        Raises:
            OSError: It broke off, or took too long.
            http.client.HTTPException: What came is no HTTP.
        """
        body = bytearray()
        try:
            while len(body) < most and (some := answer.read1(most - len(body))):
                body += some
        except BaseException:
            self.close()
            raise
        if answer.length and len(body) < most:
            self.close()
            raise IncompleteRead(bytes(body), answer.length)
        if answer.length == 0:
            answer.close()  # which leaves the connection to the next exchange
        elif not answer.isclosed():
            self.close()
        return bytes(body)

    def close(self) -> None:
        """Close the connection, if there is one."""
        for each in (self._answer, self._http):
            if each is not None:
                each.close()
        self._answer = self._http = None

    def _is_usable(self) -> bool:
        """Tell whether there is a connection whose last answer was read whole, and nothing has come since."""
        if (
            self._http is None
            or self._http.sock is None
            or self._answer is None
            or not self._answer.isclosed()
        ):
            return False
        poll = select.poll()
        poll.register(self._http.sock, select.POLLIN)
        return not poll.poll(0)

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        try:
            if self._http is None:
                self._http = self._connect()
            try:
                self._http.request(method, path, body, dict(headers))
            except _BROKEN:
                # Who refuses a body for its size may say so and close before it has been sent.
                try:
                    self._answer = self._http.getresponse()
                except _BROKEN:
                    pass
                else:
                    return self._answer
                raise
            self._answer = self._http.getresponse()
        except BaseException:
            self.close()
            raise
        return self._answer

    def _connect(self) -> HTTPConnection:
        connection = HTTPConnection(self._host, self._port)
        connection.auto_open = 0
        connection.sock = self._open()
        return connection

    def _open(self) -> socket.socket:
        """Return a socket to the first address that takes it."""
        endpoints = self._names.find(self.deadline.left_s())
        for number, endpoint in enumerate(endpoints):
            left_s = self.deadline.left_s()
            patience_s = min(CONNECT_S, left_s / (len(endpoints) - number)) if endpoints[1:] else left_s
            try:
                plain = self._try(endpoint, patience_s)
            except OSError:
                if number == len(endpoints) - 1:
                    raise
            else:
                return plain if self._tls is None else self._secure(plain, self._tls)
        raise OSError(f"{self._host} has no address")

    def _try(self, endpoint: Endpoint, patience_s: float) -> socket.socket:
        family, address = endpoint
        made = _Socket(family, socket.SOCK_STREAM)
        try:
            made.deadline = self.deadline
            made.settimeout(patience_s)
            made.connect(address)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            made.close()
            raise
        return made

    def _secure(self, plain: socket.socket, tls: Callable[[], ssl.SSLContext]) -> socket.socket:
        try:
            if self._context is None:
                self._context = tls()
                self._context.sslsocket_class = _TlsSocket
            made = self._context.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
        except BaseException:
            plain.close()
            raise
        try:
            assert isinstance(made, _TlsSocket)  # noqa: S101 - for the type checker
            made.deadline = self.deadline
            made.settimeout(self.deadline.left_s())
            made.do_handshake()
        except BaseException as exc:
            made.close()
            if isinstance(exc, ssl.SSLCertVerificationError):
                self._context = None  # the file that it was made from may be another by then
            raise
        return made


class _Names:
    """Finds the addresses of one name. getaddrinfo() can't be cut short, so it has a daemon thread."""

    def __init__(self, host: str, port: int, look_up: LookUp) -> None:
        self._host = host
        self._port = port
        self._look_up = look_up
        self._question: Future[list[Endpoint]] | None = None

    def find(self, within_s: float) -> list[Endpoint]:
        """Return the addresses in the resolver's order.

        A question that is not answered in time is not asked a second time: the next caller waits for it.

        Raises:
            TimeoutError: There is no answer yet.
            OSError: There is no such name, or nobody who knows.
            UnicodeError: It is no name.
        """
        if self._question is None:
            question: Future[list[Endpoint]] = Future()
            threading.Thread(target=self._work, args=(question,), name="resolver", daemon=True).start()
            self._question = question
        question = self._question
        try:
            return question.result(within_s)
        finally:
            if question.done():
                self._question = None

    def _work(self, question: "Future[list[Endpoint]]") -> None:
        try:
            question.set_result(self._look_up(self._host, self._port))
        except BaseException as exc:  # noqa: BLE001 - whoever waits for it is to have it
            question.set_exception(exc)


def _ask_resolver(host: str, port: int) -> list[Endpoint]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]
