"""Exchanges over real sockets with servers that have no manners: all end in time."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, IncompleteRead
from typing import Final, Self

import pytest
import trustme

from downtimer.store.boundedhttp import Connection, Endpoint

SHORT_S: Final = 0.5
LONG_S: Final = 20.0
SOON_S: Final = 10.0
"""Far longer than `SHORT_S`, far shorter than for ever."""

DRIP_S: Final = 0.05
GOOD: Final = b"HTTP/1.1 204 No Content\r\n\r\n"

Serve = Callable[[socket.socket], None]


class Listener:
    """Serves connections, one after the other, each by the next of what it is given, and the last again.

    Attributes:
        served: How many connections there were.
    """

    def __init__(self, *serves: Serve) -> None:
        self.served = 0
        self._serves = serves
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; whoever serves ends when its client has hung up."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(LONG_S)
        self._socket.close()
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            serve = self._serves[min(self.served, len(self._serves) - 1)]
            self.served += 1
            with client, contextlib.suppress(OSError):
                serve(client)


def receive(client: socket.socket) -> bytes:
    """Return the headers of a request; empty if there is none."""
    content = b""
    while b"\r\n\r\n" not in content and (some := client.recv(1 << 16)):
        content += some
    return content


def drip(client: socket.socket) -> None:
    """Send a byte now and then, until nobody is there."""
    while True:
        client.sendall(b"a")
        time.sleep(DRIP_S)


def say(*parts: bytes, then: Serve | None = None) -> Serve:
    """Return what hears a request, says that, and goes on."""

    def serve(client: socket.socket) -> None:
        receive(client)
        client.sendall(b"".join(parts))
        if then is not None:
            then(client)

    return serve


def wait_for_end(client: socket.socket) -> None:
    """Say nothing until the client hangs up."""
    while client.recv(1 << 16):
        pass


def flood(client: socket.socket) -> None:
    """Send without an end."""
    while True:
        client.sendall(b"a" * (1 << 16))


@contextlib.contextmanager
def connected(listener: Listener, **more: object) -> Iterator[Connection]:
    """Return a connection to a listener; the listener's end comes first to its own."""
    made = Connection("127.0.0.1", listener.port, **more)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """Fail if what is done in it takes long."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S


def ask(connection: Connection, *, within_s: float = LONG_S, body: bytes = b"") -> tuple[int, bytes]:
    """Make an exchange."""
    answer = connection.ask("POST", "/", within_s=within_s, headers={}, body=body)
    return answer.status, connection.read(answer, 1000)


HEADERS = b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    "serve",
    [
        say(then=wait_for_end),
        say(b"HTTP/1.1 200 OK\r\nX: ", then=drip),
        say(HEADERS, then=drip),
        say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n", then=drip),
        say(b"HTTP/1.1 100 Continue\r\n\r\n" * 3, then=drip),
    ],
    ids=["silence", "headers drip", "body drips", "chunk drips", "continues and drips"],
)
def test_an_answer_that_does_not_end_is_given_up(serve: Serve) -> None:
    with Listener(serve) as listener, connected(listener) as connection:  # noqa: SIM117 - too long
        with soon(), pytest.raises(TimeoutError):
            ask(connection, within_s=SHORT_S)


def test_a_body_that_nobody_reads_is_given_up() -> None:
    ended = threading.Event()

    def be_deaf(_: socket.socket) -> None:
        ended.wait(LONG_S)

    with Listener(be_deaf) as listener, connected(listener) as connection:
        with soon(), pytest.raises(TimeoutError):
            ask(connection, within_s=SHORT_S, body=b"a" * (64 << 20))
        ended.set()


def test_of_an_endless_body_the_beginning_is_read() -> None:
    serve = say(HEADERS.replace(b"100000", b"99999999999"), then=flood)
    with Listener(serve) as listener, connected(listener) as connection:
        assert ask(connection) == (500, b"a" * 1000)


def test_endless_headers_are_no_http() -> None:
    serve = say(b"HTTP/1.1 200 OK\r\nX: ", then=flood)
    with Listener(serve) as listener, connected(listener) as connection, pytest.raises(HTTPException):
        ask(connection)


def test_a_body_that_breaks_off_is_an_error() -> None:
    serve = say(HEADERS, b"half")
    with Listener(serve) as listener, connected(listener) as connection, pytest.raises(IncompleteRead):
        ask(connection)


def test_a_connection_is_kept_and_one_that_was_closed_meanwhile_is_replaced() -> None:
    gone = threading.Event()

    def twice(client: socket.socket) -> None:
        say(GOOD)(client)
        say(b"HTTP/1.1 400 No\r\nContent-Length: 5\r\n\r\nwords")(client)
        client.close()
        gone.set()

    with Listener(twice, say(GOOD)) as listener, connected(listener) as connection:
        assert ask(connection) == (204, b"")
        assert ask(connection) == (400, b"words")
        assert listener.served == 1
        assert gone.wait(LONG_S)
        assert ask(connection) == (204, b"")
        assert listener.served == 2


def test_a_connection_that_ends_with_the_request_is_replaced() -> None:
    def deaf(client: socket.socket) -> None:
        say(GOOD)(client)
        receive(client)  # and closes

    with Listener(deaf, say(GOOD)) as listener, connected(listener) as connection:
        assert ask(connection) == (204, b"")
        assert ask(connection) == (204, b"")


def test_who_refuses_a_body_before_it_is_there_is_heard() -> None:
    def refuse(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        wait_for_end(client)

    with Listener(refuse) as listener, connected(listener) as connection:
        assert ask(connection, body=b"a" * (8 << 20)) == (413, b"")


def test_of_several_addresses_the_first_that_answers_is_taken() -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(full)
        for _ in range(4):  # the queue of connections is full from then on: there is no answer to a SYN
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        listener = stack.enter_context(Listener(say(GOOD)))
        endpoints: list[Endpoint] = [
            (socket.AF_INET, full.getsockname()),
            (socket.AF_INET, ("127.0.0.1", listener.port)),
        ]
        connection = stack.enter_context(connected(listener, look_up=lambda *_: endpoints))
        assert ask(connection, within_s=2.0) == (204, b"")


def test_a_name_that_does_not_resolve_in_time_is_waited_for_by_the_next_and_asked_for_once() -> None:
    asked: list[str] = []
    answered = threading.Event()

    def look_up(host: str, port: int) -> list[Endpoint]:
        asked.append(host)
        assert answered.wait(LONG_S)
        return [(socket.AF_INET, (host, port))]

    with Listener(say(GOOD)) as listener, connected(listener, look_up=look_up) as connection:
        for _ in range(2):
            with soon(), pytest.raises(TimeoutError):
                ask(connection, within_s=0.2)
        answered.set()
        assert ask(connection) == (204, b"")
        assert asked == ["127.0.0.1"]


def test_a_name_that_is_none_is_asked_for_again_the_next_time() -> None:
    asked: list[str] = []

    def look_up(host: str, _: int) -> list[Endpoint]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    connection = Connection("nowhere.invalid", 1, look_up=look_up)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            ask(connection)
    assert len(asked) == 2


# --- TLS ---


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the servers' certificates."""
    return trustme.CA()


def with_tls(authority: trustme.CA, serve: Serve) -> Serve:
    """Return the same behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def wrapped(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as encrypted:
            serve(encrypted)

    return wrapped


def trusting(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    """Return what makes a context that trusts it."""

    def make() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return make


def test_tls_carries_an_exchange_and_the_next(authority: trustme.CA) -> None:
    def twice(client: socket.socket) -> None:
        say(GOOD)(client)
        say(GOOD)(client)

    serve, tls = with_tls(authority, twice), trusting(authority)
    with Listener(serve) as listener, connected(listener, tls=tls) as connection:
        assert [ask(connection)[0] for _ in range(2)] == [204, 204]
        assert listener.served == 1


@pytest.mark.parametrize(
    "serve", [say(HEADERS, then=drip), say(b"HTTP/1.1 200 OK\r\nX: ", then=drip)], ids=["body", "headers"]
)
def test_what_drips_through_tls_is_given_up(authority: trustme.CA, serve: Serve) -> None:
    serve, tls = with_tls(authority, serve), trusting(authority)
    with Listener(serve) as listener, connected(listener, tls=tls) as connection:  # noqa: SIM117 - too long
        with soon(), pytest.raises(TimeoutError):
            ask(connection, within_s=SHORT_S)


def test_a_handshake_that_hangs_is_given_up(authority: trustme.CA) -> None:
    tls = trusting(authority)
    with Listener(wait_for_end) as listener, connected(listener, tls=tls) as connection:  # noqa: SIM117 - too long
        with soon(), pytest.raises(TimeoutError):
            ask(connection, within_s=SHORT_S)


def test_after_a_certificate_has_failed_trust_is_read_anew(authority: trustme.CA) -> None:
    contexts = iter([ssl.create_default_context, trusting(authority)])

    def make() -> ssl.SSLContext:
        return next(contexts)()

    serve = with_tls(authority, say(GOOD))
    with Listener(serve) as listener, connected(listener, tls=make) as connection:
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(connection)
        assert ask(connection) == (204, b"")
