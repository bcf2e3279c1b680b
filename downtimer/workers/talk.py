"""One conversation over one fresh TCP connection: what every probe of the api worker is at its core.

A conversation is written as a generator that yields when it has to wait, and driven by the reactor instead
of transports and tasks: what the kernel has is read, parsed and judged in the very callback that learns of
it, before any timer that is due as well. So an answer that came in time counts, even when our own loop was
late to look. Before it yields it must have gone on until the kernel has nothing more, unless it only waits to
be told of the answer (see the reactor).

The socket is open until `close`, also after the end, unless its owner takes it.
"""

import enum
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from downtimer.model import Verdict
from downtimer.source import Source
from downtimer.verdicts import cause_of_errno, verdict_of
from downtimer.workers.names import Endpoint
from downtimer.workers.reactor import Reactor

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_KEEP_ALIVE: Final = ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3))


@dataclass(frozen=True, slots=True)
class Ground:
    """What conversations stand on.

    Attributes:
        reactor: Drives them.
        source: Where they leave from.
    """

    reactor: Reactor
    source: Source


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


Talk = Generator[None, None, _T]
"""Yields when the kernel has nothing; to be resumed when it may have."""

AGAIN: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""The kernel has nothing now."""


Done = Callable[["Conversation", Result], None]
"""Is told of the end of a conversation, once, and what came of it."""


class FailureError(Exception):
    """Ends a conversation with a cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Conversation:
    """One connection and what is said on it; subclasses say what that is.

    `done` is called once, with the result, unless the conversation is closed first.

    Attributes:
        phase: How far it has come.
        status: Of the answer's head; None if none came.
        is_kept_alive: The answer is whole, and the other side keeps the connection.
    """

    def __init__(self, ground: Ground, done: Done) -> None:
        self.phase = Phase.CONNECT
        self.status: int | None = None
        self.is_kept_alive = False
        self._reactor = ground.reactor
        self._source = ground.source
        self._done: Done | None = done
        self._socket: socket.socket | None = None
        self._is_watched = False
        self._talk: Talk[None] | None = None

    def converse(self, endpoints: Sequence[Endpoint]) -> Talk[None]:
        """Say what is to be said; returning means that the answer is good.

        Raises:
            FailureError: It is not, and why.
            OSError: The connection broke.
        """
        raise NotImplementedError

    def start(self, endpoints: Sequence[Endpoint]) -> None:
        """Begin; may end at once."""
        self._talk = self.converse(endpoints)
        self._step()

    @property
    def is_hanging(self) -> bool:
        """Whether the other side has been asked and owes us an answer."""
        return self.phase in (Phase.ANSWER, Phase.BODY)

    def watch(self) -> None:
        """Have the kernel ask every second whether the other side still knows of this connection.

        One that has failed over to another host, or is off, would else be waited for in vain.
        """
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEP_ALIVE:
                self._socket.setsockopt(socket.IPPROTO_TCP, option, value)

    def expire(self) -> None:
        """The deadline has come."""
        self._finish(f"timeout-{self.phase}")

    def close(self) -> None:
        """Let go of the connection; nothing is called after this."""
        self._done = self._talk = None
        self._hang_up()

    def take_connection(self) -> socket.socket | None:
        """Return the connection of a conversation that has ended, which is the caller's from now on.

        The reactor watches it, and has to be told who wants to know.
        """
        taken, self._socket = self._socket, None
        return taken

    # --- driving ---

    def _step(self) -> None:
        """Go on as far as the kernel lets us."""
        if self._talk is None:
            return
        try:
            next(self._talk)
        except StopIteration:
            self._finish(None)
        except FailureError as exc:
            self._finish(exc.cause)
        except ssl.SSLError as exc:
            self._finish(_cause_of_tls(exc))
        except OSError as exc:
            self._finish(self._cause_of(exc))
        except Exception as exc:  # noqa: BLE001 - the one broad except: a bug of ours must not read as down
            _log_bug(exc)
            self._finish("bug")

    def _finish(self, cause: str | None) -> None:
        self._talk = None
        done, self._done = self._done, None
        try:
            if done is not None:
                done(self, Result(cause, self.status))
        except BaseException:
            self._hang_up()  # nobody would, and what comes from the other side would call us for ever
            raise

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._reactor.forget(self._socket.fileno())
            self._socket.close()
            self._socket, self._is_watched = None, False

    def _cause_of(self, exc: OSError) -> str:
        if exc.errno == errno.ETIMEDOUT:
            return f"timeout-{self.phase}"
        return cause_of_errno(exc.errno, remote=self.phase is not Phase.CONNECT)

    # --- what any conversation may need ---

    @property
    def _connection(self) -> socket.socket:
        """The socket of a conversation that is connected."""
        assert self._socket is not None  # noqa: S101 - for the type checker
        return self._socket

    def _watch(self) -> None:
        """Go on whenever something changes for the connection, from now on; before there is any answer."""
        if not self._is_watched:
            self._is_watched = True
            self._reactor.watch(self._connection.fileno(), self._step)

    def _watch_answer(self) -> None:
        """Go on whenever something has come, from now on."""
        self._is_watched = True
        self._reactor.watch_answer(self._connection.fileno(), self._step)

    def _connect(self, endpoints: Sequence[Endpoint]) -> Talk[None]:
        """Connect to the first endpoint that lets us, as a client does.

        If none does, the cause is that of the first whose failure is its own rather than ours.
        """
        causes = []
        for endpoint in endpoints:
            cause = yield from self._try(endpoint)
            if cause is None:
                return
            causes.append(cause)
        raise FailureError(next((cause for cause in causes if verdict_of(cause) is Verdict.DOWN), causes[0]))

    def _try(self, endpoint: Endpoint) -> Talk[str | None]:
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
                if not _is_connected(sock):
                    self._watch()
                    yield
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error == 0 and not _is_to_itself(sock, endpoint):
                return None
        except OSError as exc:
            error, is_remote = exc.errno or 0, False
        self._hang_up()
        if error == errno.ETIMEDOUT:
            return f"timeout-{Phase.CONNECT}"
        return cause_of_errno(error, remote=is_remote) if error else "refused"

    def _shake_hands(self, context: ssl.SSLContext, host: str) -> Talk[None]:
        # The wrapped socket takes the descriptor over, which the reactor goes on watching.
        wrapped = context.wrap_socket(self._connection, server_hostname=host, do_handshake_on_connect=False)
        self._socket = wrapped
        self._watch()
        while True:
            try:
                wrapped.do_handshake()
            except AGAIN:
                yield
            else:
                return


def _is_connected(sock: socket.socket) -> bool:
    """Tell whether the other side has accepted a connection already: a near one often does at once."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _is_to_itself(sock: socket.socket, endpoint: Endpoint) -> bool:
    """Tell whether a free port of this host was given to this very socket as its own: nobody listens."""
    own: tuple[object, ...] = sock.getsockname()
    return own[1] == endpoint.address[1] and bool(own == sock.getpeername())


def _cause_of_tls(exc: ssl.SSLError) -> str:
    """Map what OpenSSL says; an SSLError is an OSError whose errno is none."""
    if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed"
    return "reset" if isinstance(exc, ssl.SSLSyscallError) else "tls"


def _log_bug(exc: Exception) -> None:
    """Log a defect, with its traceback the first time."""
    kind = type(exc).__name__
    log.error("a probe broke: %s", kind, exc_info=exc if kind not in _bugs else None)
    _bugs.add(kind)


_bugs: Final[set[str]] = set()
