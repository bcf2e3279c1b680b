"""One HTTP request on one fresh connection: a state machine on a non-blocking socket.

Used by the api worker only. Written as a generator that yields what it waits for, and driven by the
event loop's reader and writer callbacks instead of transports and tasks: what the kernel has is read,
parsed and judged in the very callback that learns of it, before any timer that is due as well. So an
answer that came in time counts, even when our own loop was late to look.

The socket is open until `close`, also after the answer, so that its owner may keep it.
"""

import asyncio
import enum
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

import h11

from downtimer.model import Verdict
from downtimer.source import Source
from downtimer.verdicts import cause_of_errno, verdict_of
from downtimer.workers.http_request import Prepared
from downtimer.workers.names import Endpoint

log = logging.getLogger(__name__)

BODY_MAX: Final = 64 * 1024
"""After so much of a body, in bytes, it counts as complete."""

_CHUNK: Final = 64 * 1024
_T = TypeVar("_T")


class Phase(enum.StrEnum):
    """How far a probe has come; completes the cause ``timeout-…``."""

    CONNECT = "connect"
    TLS = "tls"
    ANSWER = "answer"
    BODY = "body"


class Result(NamedTuple):
    """What came of a probe.

    Attributes:
        cause: Why it failed; None if the answer is good.
        status: Of the answer's head; None if none came.
    """

    cause: str | None
    status: int | None = None


class Judge(Protocol):
    """Judges the status of an answer; returns the cause if it is no good one."""

    def __call__(self, status: int) -> str | None:
        """Judge it."""


class _Want(enum.Enum):
    READ = enum.auto()
    WRITE = enum.auto()


_Talk = Generator[_Want, None, _T]


class _FailureError(Exception):
    """Ends a probe with a cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Probe:
    """One request and its answer.

    `done` is called once, with the result, unless the probe is closed first.
    """

    def __init__(
        self, prepared: Prepared, source: Source, judge: Judge, done: Callable[["Probe", Result], None]
    ) -> None:
        self.phase = Phase.CONNECT
        self.status: int | None = None
        self._prepared = prepared
        self._source = source
        self._judge = judge
        self._done: Callable[[Probe, Result], None] | None = done
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._watched: _Want | None = None
        self._talk: _Talk[None] | None = None
        self._heard = b""  # the first bytes of the answer

    def start(self, endpoints: Sequence[Endpoint]) -> None:
        """Begin; may end at once."""
        self._talk = self._converse(endpoints)
        self._step()

    def expire(self) -> None:
        """The deadline has come."""
        self._finish(f"timeout-{self.phase}")

    def close(self) -> None:
        """Let go of the connection; nothing is called after this."""
        self._done = self._talk = None
        self._unwatch()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # --- driving ---

    def _step(self) -> None:
        """Go on as far as the kernel lets us."""
        if self._talk is None:
            return
        try:
            want = next(self._talk)
        except StopIteration:
            self._finish(None)
        except _FailureError as exc:
            self._finish(exc.cause)
        except ssl.SSLError as exc:
            self._finish(_cause_of_tls(exc))
        except OSError as exc:
            self._finish(self._cause_of(exc))
        except Exception as exc:  # noqa: BLE001 - the one broad except: a bug of ours must not read as down
            _log_bug(exc, self._prepared)
            self._finish("bug")
        else:
            self._watch(want)

    def _finish(self, cause: str | None) -> None:
        self._unwatch()
        self._talk = None
        done, self._done = self._done, None
        if done is not None:
            done(self, Result(cause, self.status))

    def _watch(self, want: _Want) -> None:
        if want is self._watched or self._socket is None:
            return
        self._unwatch()
        add = self._loop.add_reader if want is _Want.READ else self._loop.add_writer
        add(self._socket.fileno(), self._step)
        self._watched = want

    def _unwatch(self) -> None:
        if self._watched is None or self._socket is None:
            return
        remove = self._loop.remove_reader if self._watched is _Want.READ else self._loop.remove_writer
        remove(self._socket.fileno())
        self._watched = None

    def _cause_of(self, exc: OSError) -> str:
        if exc.errno == errno.ETIMEDOUT:
            return f"timeout-{self.phase}"
        return cause_of_errno(exc.errno, remote=self.phase is not Phase.CONNECT)

    # --- the conversation ---

    def _converse(self, endpoints: Sequence[Endpoint]) -> _Talk[None]:
        yield from self._connect(endpoints)
        if self._prepared.tls is not None:
            self.phase = Phase.TLS
            yield from self._shake_hands(self._prepared.tls)
        self.phase = Phase.ANSWER
        http = h11.Connection(h11.CLIENT)
        asked = http.send(self._prepared.head) or b""
        yield from self._send(asked + (http.send(h11.EndOfMessage()) or b""))
        yield from self._receive(http)

    def _connect(self, endpoints: Sequence[Endpoint]) -> _Talk[None]:
        """Connect to the first endpoint that lets us, as a client does.

        If none does, the cause is that of the first whose failure is its own rather than ours.
        """
        causes = []
        for endpoint in endpoints:
            cause = yield from self._try(endpoint)
            if cause is None:
                return
            causes.append(cause)
        raise _FailureError(next((cause for cause in causes if verdict_of(cause) is Verdict.DOWN), causes[0]))

    def _try(self, endpoint: Endpoint) -> _Talk[str | None]:
        """Connect to one endpoint; return the cause if that fails."""
        try:
            sock = socket.socket(endpoint.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as exc:
            return self._cause_of(exc)
        self._socket = sock
        try:
            self._source.bind(sock)
            error = sock.connect_ex(endpoint.address)
            is_remote = error == errno.EINPROGRESS
            if is_remote:
                yield _Want.WRITE
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error == 0 and sock.getsockname() != sock.getpeername():
                return None
        except OSError as exc:
            error, is_remote = exc.errno or 0, False
        self._unwatch()
        sock.close()
        self._socket = None
        if error == errno.ETIMEDOUT:
            return f"timeout-{Phase.CONNECT}"
        # No error is left over if the port is free and was given to this very socket as its own.
        return cause_of_errno(error, remote=is_remote) if error else "refused"

    def _shake_hands(self, context: ssl.SSLContext) -> _Talk[None]:
        assert self._socket is not None  # noqa: S101 - connected before this
        self._unwatch()  # the wrapped socket takes the descriptor over
        wrapped = context.wrap_socket(
            self._socket, server_hostname=self._prepared.host, do_handshake_on_connect=False
        )
        self._socket = wrapped
        yield from self._patiently(wrapped.do_handshake)

    def _send(self, data: bytes) -> _Talk[None]:
        assert self._socket is not None  # noqa: S101 - connected before this
        sock = self._socket
        while data:
            sent = yield from self._patiently(partial(sock.send, data), _Want.WRITE)
            data = data[sent:]

    def _receive(self, http: h11.Connection) -> _Talk[None]:
        """Read the answer until it is complete, or known to be no good one."""
        size = 0
        is_over = False
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as exc:
                raise _FailureError(self._cause_of_break(is_over=is_over)) from exc
            if event is h11.NEED_DATA:
                is_over = yield from self._feed(http)
            elif isinstance(event, h11.Response):
                self._take_head(event)
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size >= BODY_MAX:
                    return
            elif isinstance(event, h11.EndOfMessage):
                return
            elif not isinstance(event, h11.InformationalResponse):
                raise _FailureError("malformed")  # an upgrade that nobody asked for

    def _take_head(self, head: h11.Response) -> None:
        self.status = head.status_code
        cause = self._judge(head.status_code)
        if cause is not None:
            raise _FailureError(cause)
        self.phase = Phase.BODY

    def _feed(self, http: h11.Connection) -> _Talk[bool]:
        """Give the parser what comes next; return whether that was the end."""
        assert self._socket is not None  # noqa: S101 - connected before this
        sock = self._socket
        data = yield from self._patiently(partial(sock.recv, _CHUNK))
        if len(self._heard) < len(b"HTTP/"):
            self._heard += data[: len(b"HTTP/")]
        http.receive_data(data)
        return not data

    def _cause_of_break(self, *, is_over: bool) -> str:
        """Tell an answer that was cut off from one that is not HTTP."""
        looks_like_http = b"HTTP/".startswith(self._heard[: len(b"HTTP/")])
        return "closed" if is_over and looks_like_http else "malformed"

    def _patiently(self, call: Callable[[], _T], want: _Want = _Want.READ) -> _Talk[_T]:
        """Call until the kernel is ready for it, or TLS, which may want the other direction first."""
        while True:
            try:
                return call()
            except BlockingIOError:
                yield want
            except ssl.SSLWantReadError:
                yield _Want.READ
            except ssl.SSLWantWriteError:
                yield _Want.WRITE


def _cause_of_tls(exc: ssl.SSLError) -> str:
    """Map what OpenSSL says; an SSLError is an OSError whose errno is none."""
    if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed"
    return "reset" if isinstance(exc, ssl.SSLSyscallError) else "tls"


def _log_bug(exc: Exception, prepared: Prepared) -> None:
    """Log a defect, with its traceback the first time."""
    kind = type(exc).__name__
    log.error(
        "probe of %s port %d broke: %s",
        prepared.host,
        prepared.port,
        kind,
        exc_info=exc if kind not in _bugs else None,
    )
    _bugs.add(kind)


_bugs: set[str] = set()
