"""The api engine against real faults: each cause that can be made for real, made for real."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme

from downtimer.model import SECOND_NS, Kind, TargetId, Verdict
from downtimer.source import Source
from downtimer.workers.api import ApiEngine
from downtimer.workers.worker import CannotStartError
from tests import engines
from tests.engines import Bench
from tests.integration import faults
from tests.integration.faults import Serve, Server
from tests.ports import free_port

FAST = "[api]\ninterval = 0.1\ntimeout = 0.4\n"
ENOUGH = 3


def probe(url_of: "Callable[[], contextlib.AbstractAsyncContextManager[str]]", text: str = FAST) -> Bench:
    """Probe a server until a few probes are judged; return what was found."""

    async def scenario(bench: Bench) -> None:
        async with url_of() as url:
            target = bench.service("it", url)
            await bench.until(lambda: bench.probes(target) >= ENOUGH)
            await bench.engine.finish()  # while the server is there, for probes may be under way

    return engines.work(lambda: Bench(ApiEngine, text), scenario)


def probe_fault(serve: Serve, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> set[str]:
    """Probe a server with a fault; return the causes that were found."""
    bench = probe(lambda: Server(serve).running(host, tls))
    assert {span.verdict for span in bench.spans()} <= {Verdict.DOWN, Verdict.UNKNOWN, Verdict.UP}
    return set(bench.causes())


@pytest.mark.parametrize(
    ("serve", "cause"),
    [
        (faults.reset, "reset"),
        (faults.close, "closed"),
        (faults.silent, "timeout-answer"),
        (faults.drip, "timeout-body"),
        (faults.answers(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"), "http-503"),
        (faults.answers(b"HTTP/1.1 500 Broken\r\nContent-Length: 9000\r\n\r\n"), "http-500"),
        (faults.answers(b"HTTP/1.1 429 Slowly\r\nContent-Length: 0\r\n\r\n"), "throttled"),
        (faults.answers(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "malformed"),
        (faults.answers(b"garbage"), "malformed"),
        (faults.answers(b"HTTP/1.1 2"), "closed"),
        (faults.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"), "closed"),
        (faults.answers(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), "closed"),
        (faults.answers(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000), "malformed"),
        (faults.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nhi"), "malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_fault_of_a_server_has_its_cause(serve: Serve, cause: str) -> None:
    """Each row with a real fault behind it."""
    assert probe_fault(serve) == {cause}


@pytest.mark.parametrize(
    "answer",
    [
        faults.OK,
        b"HTTP/1.1 300 Choices\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\nhi",
        b"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 Nothing\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n" + faults.OK,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
    ],
)
def test_good_answers(answer: bytes) -> None:
    """A body that ends with the connection, none, in chunks, a hint, a long head, a length twice; 401."""
    assert probe_fault(faults.answers(answer)) == set()


def test_body_without_end_counts_as_complete() -> None:
    """After 64 KiB the service has shown that it answers."""
    assert probe_fault(faults.pour) == set()


@pytest.mark.parametrize(
    ("head", "again", "causes"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", {"malformed"}),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", set()),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"e" * 8_000 + b"\r\nx\r\n",
            set(),
        ),
    ],
    ids=["interim answers", "tiny chunks", "long extensions"],
)
def test_flood_holds_up_nobody_else(head: bytes, again: bytes, causes: set[str]) -> None:
    """However much is sent, the loop is never late by what another would notice."""
    well = TargetId("well")

    async def scenario(bench: Bench) -> None:
        async with (
            Server(faults.flood(head, again)).running() as url,
            Server(faults.answers()).running() as quiet,
        ):
            bench.service("flooding", url)
            bench.service(well, quiet)
            await asyncio.sleep(2)

    bench = engines.work(lambda: Bench(ApiEngine, ""), scenario)
    assert {span.verdict for span in bench.spans(well)} == {Verdict.UP}
    assert set(bench.causes()) == causes
    assert max(span.widest_ns for span in bench.spans(well)) < SECOND_NS


@contextlib.asynccontextmanager
async def nothing() -> AsyncIterator[str]:
    """Nothing listens."""
    yield f"http://127.0.0.1:{free_port()}/"


@contextlib.asynccontextmanager
async def full_backlog() -> AsyncIterator[str]:
    """A listener whose queue is full: the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@contextlib.asynccontextmanager
async def silent_handshake() -> AsyncIterator[str]:
    """A server that accepts and takes no part in the TLS handshake."""
    async with Server(faults.silent).running() as url:
        yield url.replace("http:", "https:")


@pytest.mark.parametrize(
    ("situation", "cause"),
    [
        (nothing, "refused"),
        (full_backlog, "timeout-connect"),
        (silent_handshake, "timeout-tls"),
    ],
)
def test_fault_before_the_request_has_its_cause(
    situation: Callable[[], contextlib.AbstractAsyncContextManager[str]], cause: str
) -> None:
    """No connection, or no TLS."""
    bench = probe(situation)
    assert set(bench.causes()) == {cause}


class Certificates:
    """An authority, and servers with its certificates."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.file)

    def server(self, name: str = "127.0.0.1", *, is_expired: bool = False) -> ssl.SSLContext:
        """Return the context of a server of this name."""
        now = dt.datetime.now(dt.UTC)
        end = now - dt.timedelta(hours=1) if is_expired else now + dt.timedelta(hours=1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        start = now - dt.timedelta(days=1)
        self.authority.issue_cert(name, not_before=start, not_after=end).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority."""
    return Certificates(tmp_path_factory.mktemp("ca"))


def probe_tls(context: ssl.SSLContext, extra: str) -> set[str]:
    """Probe a server that speaks TLS; return the causes."""
    return set(
        probe(lambda: Server(faults.answers()).running(tls=context), f"[global]\n{extra}\n{FAST}").causes()
    )


def test_tls(certificates: Certificates) -> None:
    """Good with our authority; without it, expired or of another name it is not, unless told so."""
    trusted = f"cacert = {certificates.file}"
    assert probe_tls(certificates.server(), trusted) == set()
    assert probe_tls(certificates.server(), "") == {"tls"}
    assert probe_tls(certificates.server(is_expired=True), trusted) == {"tls"}
    assert probe_tls(certificates.server("127.0.0.2"), trusted) == {"tls"}
    assert probe_tls(certificates.server(is_expired=True), "insecure = yes") == set()


@pytest.mark.parametrize("serve", [faults.early, faults.crumbs])
@pytest.mark.parametrize("is_secure", [False, True])
def test_answer_is_heard_whenever_its_parts_come(
    serve: Serve, certificates: Certificates, *, is_secure: bool
) -> None:
    """None is missed, and no probe waits for what is here already."""
    tls = certificates.server() if is_secure else None
    text = f"[global]\ncacert = {certificates.file}\n[api]\ninterval = 0.1\ntimeout = 3\n"

    async def scenario(bench: Bench) -> None:
        async with Server(serve).running(tls=tls) as url:
            for number in range(5):
                bench.service(f"s{number}", f"{url}{number}")
            await bench.until(lambda: bench.probes() >= 150, 30.0)
            await bench.engine.finish()

    assert engines.work(lambda: Bench(ApiEngine, text), scenario).causes() == {}


def test_tls_to_a_server_without_is_tls() -> None:
    """It speaks in plain text."""

    async def greet(_: Server, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        await asyncio.sleep(1)

    @contextlib.asynccontextmanager
    async def mail() -> AsyncIterator[str]:
        async with Server(greet).running() as url:
            yield url.replace("http:", "https:")

    assert set(probe(mail).causes()) == {"tls"}


def test_missing_authority_is_one_line() -> None:
    """And names the option."""
    with pytest.raises(CannotStartError, match=r"conf\.ini: \[global\] cacert: /nowhere/ca\.pem: No such"):
        engines.work(
            lambda: Bench(ApiEngine, "[global]\ncacert = /nowhere/ca.pem\n"), lambda _: asyncio.sleep(0)
        )


def test_404_after_200_is_down_and_back() -> None:
    """The application is gone, a web server is left."""
    server = Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with server.running() as url:
            bench.service("it", url)
            await bench.until(lambda: bench.probes() >= ENOUGH)
            server.serve = faults.answers(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")
            await bench.until(lambda: bench.causes().get("http-404", 0) >= ENOUGH)
            server.serve = faults.answers()
            await bench.until(lambda: len(bench.spans()) == 3)
            await bench.engine.finish()

    bench = engines.work(lambda: Bench(ApiEngine, FAST), scenario)
    assert [span.verdict for span in bench.spans()] == [Verdict.UP, Verdict.DOWN, Verdict.UP]
    assert len(bench.outbox.closed) == 3


def test_hang_is_down_then_slow() -> None:
    """A server that goes on after a while answers late those who were patient."""
    server = Server(faults.answers())
    gate = asyncio.Event()

    async def hold(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await faults.answers()(server, reader, writer)

    async def scenario(bench: Bench) -> None:
        gate.set()
        server.serve = hold
        async with server.running() as url:
            bench.service("it", url)
            await bench.until(lambda: bench.probes() >= 21)
            gate.clear()
            await bench.until(lambda: bench.causes().get("timeout-answer", 0) >= ENOUGH)
            gate.set()
            await bench.until(lambda: bench.spans()[-1].verdict is Verdict.UP and len(bench.spans()) > 1)
            await bench.engine.finish()

    bench = engines.work(lambda: Bench(ApiEngine, "[api]\ninterval = 0.1\ntimeout = 1\n"), scenario)
    verdicts = [span.verdict.value for span in bench.spans()]
    assert verdicts == ["up", "down", "slow", "up"], bench.spans()


def test_request_is_a_plain_get_without_redirect_or_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says; a redirect is an answer; HEAD would get a 405."""
    dead = f"http://127.0.0.1:{free_port()}"
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, dead)
    server = Server(faults.get_only)
    bench = probe(server.running)
    assert bench.causes() == {}
    request = server.requests[0].decode()
    assert request.startswith("GET / HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{server.port}\r\n" in request.lower()
    assert "user-agent: downtimer/" in request.lower()
    redirect = Server(faults.answers(f"HTTP/1.1 302 There\r\nLocation: {dead}/\r\n\r\n".encode()))
    assert probe(redirect.running).causes() == {}


def test_equal_requests_are_probed_once_and_counted_for_all() -> None:
    """As cinder and cinderv2 at one root; one that is retired leaves the other undisturbed."""
    server = Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with server.running() as url:
            cinder, cinderv2 = bench.service("cinder", url), bench.service("cinderv2", url)
            await bench.until(lambda: bench.probes(cinder) >= ENOUGH)
            bench.service("cinder", url)  # told again, as when a list changed
            bench.retire(cinderv2, Kind.SERVICE)
            retired = bench.probes(cinderv2)
            await bench.until(lambda: bench.probes(cinder) >= 3 * ENOUGH)
            assert bench.probes(cinderv2) == retired
            await bench.engine.finish()

    bench = engines.work(lambda: Bench(ApiEngine, FAST + "[db]\n"), scenario)
    assert server.connections == bench.probes(TargetId("cinder"))
    assert {span.target for span in bench.spans()} == {"cinder", "cinderv2"}
    assert {sample.target for sample in bench.outbox.samples} == {"cinder", "cinderv2"}
    (window,) = bench.outbox.latencies
    assert window.answers == server.connections
    assert window.min_ns <= window.median_ns <= window.max_ns


def test_samples_are_kept_with_influxdb_only() -> None:
    """Without, nobody would ship them."""
    assert probe(Server(faults.answers()).running).outbox.samples == []


def test_changed_url_is_a_new_series() -> None:
    """The old one is probed no more."""
    old, new = Server(faults.answers()), Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with old.running() as old_url, new.running() as new_url:
            bench.service("it", old_url)
            await bench.until(lambda: old.connections >= ENOUGH)
            bench.service("it", new_url)
            await asyncio.sleep(0.05)  # one may be on its way
            stopped = old.connections
            await bench.until(lambda: new.connections >= ENOUGH)
            assert old.connections == stopped
            bench.engine.keep_only([])
            assert bench.engine.counts()[Kind.SERVICE].up == 0

    engines.work(lambda: Bench(ApiEngine, FAST), scenario)


def test_budget_is_a_hard_cap_also_while_everything_fails() -> None:
    """Forty dead URLs want 800 a second, and get half of 50, at most."""

    async def scenario(bench: Bench) -> None:
        for number in range(40):
            bench.service(f"s{number}", f"http://127.0.0.1:{free_port()}/")
        await asyncio.sleep(3)

    bench = engines.work(lambda: Bench(ApiEngine, "[api]\ninterval=0.5\nbudget=50\n"), scenario)
    assert 60 <= bench.probes() <= 50 * 3.2


@pytest.mark.parametrize(
    ("source", "causes"),
    [
        ("127.0.0.9", set()),
        ("::1", {"send"}),
        ("192.0.2.1", {"send"}),
        ("lo", set()),
        ("nonesuch0", {"send"}),
    ],
)
def test_source(source: str, causes: set[str]) -> None:
    """An address of ours or an interface; of the other family or not ours, nothing can be sent."""
    bench = probe(Server(faults.answers()).running, f"{FAST}[targets]\nsource = {source}\n")
    assert set(bench.causes()) == causes


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_source_takes_no_port_of_its_own(address: str) -> None:
    """Of these there are few, and each rests for a minute after its connection was closed."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        Source(address).bind(sock)
        assert sock.getsockname()[:2] == (address, 0)


def test_ipv6_literal() -> None:
    """In brackets in the URL and in the Host header."""
    server = Server(faults.answers())
    bench = probe(lambda: server.running("::1"))
    assert bench.causes() == {}
    assert f"host: [::1]:{server.port}".encode() in server.requests[0].lower()
