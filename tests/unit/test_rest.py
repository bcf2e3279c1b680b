"""Discovery's HTTP: bounded in time and size, no redirects, no proxies; and how its failures are put."""

import contextlib
import gzip
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from downtimer.account import Trust
from downtimer.workers import rest
from downtimer.workers.rest import AwayError, CertificateError, RefusedError, Rest
from tests.ports import free_port

Answer = Callable[[BaseHTTPRequestHandler], object]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Return what starts a server that answers so, and returns its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            """Answers every GET."""

            def do_GET(self) -> None:
                """Answer."""
                answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client() -> Iterator[Rest]:
    """A client in the middle of a listing."""
    made = Rest(Trust())
    made.begin(10)
    yield made
    made.close()


def say(
    request: BaseHTTPRequestHandler,
    body: bytes = b"{}",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send one answer."""
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def test_a_good_answer_is_its_body(client: Rest, serve: Callable[[Answer], str]) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append((request.path, {name.lower(): value for name, value in request.headers.items()}))
        say(request, b'{"a": 1}')

    assert client.get(f"{serve(answer)}x", "token", {"limit": "1"}, {"X-More": "2"}) == b'{"a": 1}'
    ((path, headers),) = asked
    assert path == "/x?limit=1"
    assert headers["x-auth-token"] == "token"
    assert headers["x-more"] == "2"
    assert headers["user-agent"].startswith("downtimer/")


def test_an_error_is_refused_with_its_status(client: Rest, serve: Callable[[Answer], str]) -> None:
    with pytest.raises(RefusedError, match="answered 503") as caught:
        client.get(serve(lambda request: say(request, status=503)), "token")
    assert caught.value.status == 503


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(client: Rest, serve: Callable[[Answer], str], status: int) -> None:
    asked: list[str] = []
    elsewhere = serve(lambda request: asked.append(request.path))
    url = serve(lambda request: say(request, status=status, headers={"Location": elsewhere}))
    with pytest.raises(AwayError, match="redirects to") as caught:
        client.get(url, "token")
    assert elsewhere in str(caught.value)
    assert asked == []


def test_no_proxy_is_used(
    client: Rest, serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert client.get(serve(say), "token") == b"{}"


def test_a_body_has_a_largest_size(
    client: Rest, serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "BODY_MAX", 3 * 1024 * 1024)
    body = b"x" * (3 * 1024 * 1024 + 1)
    assert len(client.get(serve(lambda request: say(request, body[1:])), "token")) == 3 * 1024 * 1024
    with pytest.raises(AwayError, match="more than 3 MiB"):
        client.get(serve(lambda request: say(request, body)), "token")


def test_nothing_is_unpacked(client: Rest, serve: Callable[[Answer], str]) -> None:
    asked: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.headers["Accept-Encoding"])
        say(request, gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})

    with pytest.raises(AwayError, match="packed form that was not asked for"):
        client.get(serve(answer), "token")
    assert asked == ["identity"]


def test_a_body_has_a_largest_number_of_values(
    client: Rest, serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "VALUES_MAX", 1000)
    most = b"[" + b"{}," * 1000 + b"{}]"
    assert client.get(serve(lambda request: say(request, most)), "token") == most
    with pytest.raises(AwayError, match="more than 1000 values"):
        client.get(serve(lambda request: say(request, b"[0," + most + b"]")), "token")


def test_no_cookie_is_kept(client: Rest, serve: Callable[[Answer], str]) -> None:
    asked: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.headers["Cookie"])
        say(request, headers={"Set-Cookie": "a=b; Path=/"})

    url = serve(answer)
    for _ in range(2):
        client.get(url, "token")
    assert asked == [None, None]


@pytest.mark.parametrize(
    ("beginning", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 60_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Filler: ", b"x" * 65_536),
        (b"", b"HTTP/1.1 100 Continue\r\nX-Filler: " + b"x" * 60_000 + b"\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 65_536 + b"\r\n{\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"x" * 65_536),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
            b"X: " + b"x" * 60_000 + b"\r\n",
        ),
    ],
    ids=["headers", "header", "interim", "extension", "extensions", "trailer", "trailers"],
)
def test_neither_head_nor_framing_can_be_endless(
    client: Rest,
    serve: Callable[[Answer], str],
    monkeypatch: pytest.MonkeyPatch,
    beginning: bytes,
    again: bytes,
) -> None:
    monkeypatch.setattr(rest, "BODY_MAX", 1024 * 1024)
    sent = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.wfile.write(beginning)
        with contextlib.suppress(OSError):
            while sent < 1024 * 1024 * 1024:
                sent += request.wfile.write(again)
        request.close_connection = True

    with pytest.raises(AwayError, match=r"does not answer|more than"):
        client.get(serve(answer), "token")
    assert sent < 100 * 1024 * 1024


@pytest.mark.parametrize(
    "beginning",
    [b"HTTP/1.1 200 OK\r\nX-Filler: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"],
    ids=["head", "body"],
)
def test_what_drips_ends_with_the_listing(
    client: Rest, serve: Callable[[Answer], str], beginning: bytes
) -> None:
    ended = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(beginning)
        while not ended.wait(0.05):
            request.wfile.write(b"x")

    url = serve(drip)
    client.begin(0.5)
    with pytest.raises(AwayError, match="took too long"):
        client.get(url, "token")
    ended.set()


def test_a_dripping_body_can_be_cut(client: Rest, serve: Callable[[Answer], str]) -> None:
    ended = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        while not ended.wait(0.05):
            request.wfile.write(b"x")

    url = serve(drip)
    threading.Timer(0.3, client.cut).start()
    started = time.monotonic()
    with pytest.raises(AwayError, match=r"does not answer|took too long"):
        client.get(url, "token")
    assert time.monotonic() - started < 5
    with pytest.raises(AwayError, match="took too long"):
        client.get(url, "token")
    ended.set()


def test_a_listing_that_gets_on_has_more_time_but_not_once_it_is_over(
    client: Rest, serve: Callable[[Answer], str]
) -> None:
    def answer_late(request: BaseHTTPRequestHandler) -> None:
        threading.Event().wait(0.3)
        say(request)

    client.begin(0.2)
    client.extend(100)
    assert client.get(serve(answer_late), "token") == b"{}"
    client.cut()
    client.extend(100)
    with pytest.raises(AwayError, match="took too long"):
        client.get(serve(say), "token")


def test_a_limit_never_lengthens_a_listing(client: Rest, serve: Callable[[Answer], str]) -> None:
    client.begin(-1)
    client.limit(100)
    with pytest.raises(AwayError, match="took too long"):
        client.get(serve(say), "token")


def test_silence_is_a_timeout(
    client: Rest, serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "STEP_S", 0.2)
    ended = threading.Event()
    with pytest.raises(AwayError, match="timed out"):
        client.get(serve(lambda _: ended.wait(10)), "token")
    ended.set()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda request: request.wfile.write(b"nonsense\r\n\r\n"), "does not answer"),
        (lambda _: None, "does not answer"),
        (
            lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
            "does not answer",
        ),
        (
            lambda request: request.wfile.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n"
            ),
            "does not answer",
        ),
    ],
    ids=["no-http", "closed", "cut", "not-chunks"],
)
def test_what_is_no_answer(client: Rest, serve: Callable[[Answer], str], answer: Answer, why: str) -> None:
    with pytest.raises(AwayError, match=why) as caught:
        client.get(serve(answer), "token")
    assert not isinstance(caught.value, RefusedError)


def test_nobody_listens(client: Rest) -> None:
    with pytest.raises(AwayError, match=r"does not answer \(connection refused\)"):
        client.get(f"http://127.0.0.1:{free_port()}/", "token")


def test_certificates_that_are_none_cannot_start() -> None:
    with pytest.raises(CertificateError, match=r"^/nonexistent/ca.pem: No such file"):
        Rest(Trust(cacert="/nonexistent/ca.pem"))
    with pytest.raises(CertificateError, match="holds no certificates"):
        Rest(Trust(cacert=__file__))
    with pytest.raises(CertificateError, match="no certificate with its key"):
        Rest(Trust(cert=__file__))


def test_libraries_log_nothing(caplog: pytest.LogCaptureFixture, client: Rest) -> None:
    assert client.session.user_agent
    for name in ("keystoneauth.session", "keystoneauth.identity", "urllib3.connectionpool"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)
    assert caplog.records == []
