"""A cloud that may answer anything: real processes of downtimer, and a server that misbehaves on the wire.

What comes is bounded in memory, in time and in what is asked; no process ends of it; and what was listed
before stands.
"""

import asyncio
import contextlib
import gzip
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from downtimer.config import Config
from downtimer.messages import CannotStart, Listing, Look, Targets, Token, TokenRejected
from downtimer.model import SECOND_NS, Kind, Target, TargetId
from downtimer.printable import printable
from downtimer.workers.discovery import ODDITIES_MAX
from tests.bench.apiworker import ApiWorker
from tests.bench.drain import Drain
from tests.bench.processes import peak_mb
from tests.configured import configured
from tests.fake_supervisor import FakeSupervisor, as_known
from tests.hostile_cloud import (
    CATALOG,
    FLOATING,
    PROJECTS,
    SERVERS,
    SIGN_IN,
    Answer,
    Handler,
    HostileCloud,
    floating,
    says,
    service,
)
from tests.integration.command import Command
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

MODULE = "downtimer.workers.discovery"
MIB = 1024 * 1024
PEAK_MB = 400.0
"""Most memory of a process, whatever comes; it has about 50 MB when nothing does."""

POURED_MAX = 2048 * MIB
"""So much is sent at most where the other side should have hung up."""


@pytest.fixture
def cloud() -> Iterator[HostileCloud]:
    """A cloud that is well, as yet."""
    with HostileCloud() as running:
        yield running


def configure(url: str, extra: str = "") -> Config:
    """Return a configuration that sends nothing beyond this host, and reads no agents: there is no writer."""
    text = (
        f"[global]\nkeystone_endpoint={url}\nuser=admin\npassword=secret\n{extra}\n"
        "[targets]\nagents=no\n[vantage]\nreference=none\n"
    )
    return configured(text)


def list_first(supervisor: FakeSupervisor) -> None:
    """Wait for the first list, and tell that its targets are known."""
    supervisor.wait(lambda: bool(supervisor.complete()), "complete list")
    known = as_known(list(supervisor.targets().values()))
    supervisor.send(Targets(serial=2, whole=False, changed=tuple(known)))


def relist(supervisor: FakeSupervisor, *, timeout_s: float = 90.0) -> Listing:
    """Tell it to look, and return the last part of what it then lists."""
    before = len(supervisor.of_kind(Listing))
    supervisor.send(Look())
    return supervisor.wait_for(Listing, before + 1, timeout_s=timeout_s)[-1]


# --- answers without sense or end -----------------------------------------------------------------


def named(handler: Handler, items: bytes) -> bytes:
    """Return a list of the name that belongs to what was asked."""
    last = handler.path.partition("?")[0].rpartition("/")[2]
    if last == "tokens":
        return b'{"token": {"catalog": [' + items + b"]}}"
    return b'{"' + {"detail": "servers"}.get(last, last).encode() + b'": [' + items + b"]}"


def lists(items: bytes) -> Answer:
    """Return what answers with a list of these."""
    return lambda handler: handler.send(named(handler, items))


def pours(*parts: bytes, again: bytes = b"") -> Answer:
    """Return what sends bytes as they are, and the last of them again and again until nobody takes them."""
    times = POURED_MAX // len(again) if again else 0
    return lambda handler: handler.pour(*parts, again=itertools.repeat(again, times))


def packs_twice(handler: Handler) -> None:
    """Send a gigabyte in a few kilobytes."""
    inner = gzip.compress(b"[" + b" " * (MIB - 1)) * 1024
    handler.send(gzip.compress(inner), Content_Encoding="gzip, gzip")


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = b"x" * MIB

RUBBISH: dict[str, Answer] = {
    "nothing": says(b""),
    "null": says(b"null"),
    "no list": lambda handler: handler.send(
        b'{"token": 5, "floatingips": {}, "servers": "", "projects": null}'
    ),
    "items that are none": lists(b'null, 5, "", [], {}, {"id": {}}, NaN'),
    "cut off": lambda handler: handler.send(named(handler, b"{}")[:-3]),
    "deep": lists(b"[" * 10_000_000),
    "great numbers": lists(b'{"id": 1e999999}, {"id": ' + b"9" * 400 + b'}, {"id": -' + b"9" * 10_000 + b"}"),
    "no number": lists(b'{"id": NaN}'),
    "half characters": lists(b'{"id": "\\ud800", "name": "\\udc00"}'),
    "no characters": lists(b'{"id": "\xff\xfe"}'),
    "twice": lambda handler: handler.send(
        b'{"token": {}, "token": {"catalog": []}, "floatingips": 1, "servers": 1, "projects": 1}'
    ),
    "a long string": lists(b'{"id": "' + b"x" * (60 * MIB) + b'"}'),
    "a longer string": lists(b'{"id": "' + b"x" * (100 * MIB) + b'"}'),
    "as many values as Keystone may give": lists(b",".join([b"{}"] * 2_700_000)),
    "many values": lists(b",".join([b"{}"] * 2_900_000)),
    "more values": lists(b",".join([b"{}"] * 20_000_000)),
    "many short items": lists(b",".join([b'{"id":"","name":"","floating_ip_address":""}'] * 900_000)),
    "a bomb": packs_twice,
    "a token of a megabyte": says(b"{}", X_Subject_Token="x" * MIB),
    "a hundred cookies": pours(
        OK, *(b"Set-Cookie: c%d=%s\r\n" % (number, b"x" * 60_000) for number in range(90)), b"\r\n{}"
    ),
    "endless cookies": pours(OK, again=b"Set-Cookie: a=b\r\n" * 1000),
    "a hundred thousand headers": pours(OK, b"X-Filler: x\r\n" * 100_000, b"\r\n{}"),
    "an endless header": pours(OK, b"X-Filler: ", again=LONG),
    "endless interim answers": pours(b"", again=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "an endless chunk extension": pours(CHUNKED, b"1;", again=LONG),
    "an endless trailer": pours(CHUNKED, b"2\r\n{}\r\n0\r\nX-Filler: ", again=LONG),
    "endless chunks": pours(CHUNKED, again=b"1\r\n \r\n" * 1000),
    "chunks that are none": pours(CHUNKED, b"-5\r\n{}\r\nzz\r\n"),
    "an endless body": pours(OK, b"\r\n[", again=LONG),
    "a body that is cut off": pours(OK, b"Content-Length: 1000000\r\n\r\n{"),
    "a length that is none": pours(OK, b"Content-Length: 1e9\r\n\r\n{}"),
    "no HTTP": pours(b"\x00\xff" * 1000),
    "an endless status": pours(b"HTTP/1.1 200 ", again=LONG),
    "an unknown status": pours(b"HTTP/1.1 999 So\r\nContent-Length: 2\r\n\r\n{}"),
    "a redirect": says(b"", status=302, Location="http://127.0.0.1:9/\x1b[2J"),
    "a redirect to a file": says(b"", status=301, Location="file:///etc/passwd"),
    "an error": says(b"<html>" + b"\xff" * (8 * MIB), status=500, Content_Type="application/json"),
    "a refusal": says(b"\xff" * (8 * MIB), status=401, Content_Type="text/html"),
}


PARTS = [dict(list(RUBBISH.items())[number::4]) for number in range(4)]
"""At the same time, since most of it is waiting."""


def in_parts(play: Callable[[HostileCloud, dict[str, Answer]], dict[str, float]]) -> None:
    """Play all rubbish, each part on a cloud of its own; see how much memory it took."""

    def play_part(part: dict[str, Answer]) -> dict[str, float]:
        with HostileCloud() as cloud:
            return play(cloud, part)

    with ThreadPoolExecutor() as pool:
        peaks = {kind: peak for part in pool.map(play_part, PARTS) for kind, peak in part.items()}
    assert peaks.keys() == RUBBISH.keys()
    assert {kind: peak for kind, peak in peaks.items() if peak > PEAK_MB} == {}


def forget_peak(pid: int) -> None:
    """Count the most memory of a process from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def ask_for_lists(cloud: HostileCloud, part: dict[str, Answer]) -> dict[str, float]:
    """Have discovery list one kind of rubbish after the other, and then as before; return its peaks."""
    peaks: dict[str, float] = {}
    with FakeSupervisor(MODULE, configure(cloud.url)) as supervisor:
        list_first(supervisor)
        for kind, answer in part.items():
            cloud.answers = dict.fromkeys((CATALOG, PROJECTS, FLOATING, SERVERS), answer)
            forget_peak(supervisor.process.pid)
            told = relist(supervisor)
            peaks[kind] = peak_mb(supervisor.process.pid)
            assert (told.found, told.missing) == ((), ()), kind
        cloud.answers = {}
        told = relist(supervisor)
        assert (told.found, told.missing, told.complete) == ((), (), True)
        assert all(text.isprintable() for text in supervisor.events())
        assert supervisor.finish() == 0
    assert "Traceback" not in supervisor.log
    return peaks


def sign_in(cloud: HostileCloud, part: dict[str, Answer]) -> dict[str, float]:
    """Have discovery sign in, in a run that has targets already; return its peaks."""
    known = [Target(id=TargetId("address/127.7.0.1"), kind=Kind.ADDRESS, name="127.7.0.1")]
    peaks: dict[str, float] = {}
    for kind, answer in part.items():
        cloud.answers = {SIGN_IN: answer}
        with FakeSupervisor(MODULE, configure(cloud.url), known=as_known(known)) as supervisor:
            (told,) = supervisor.wait_for(Listing, timeout_s=90.0)
            peaks[kind] = peak_mb(supervisor.process.pid)
            assert (told.missing, told.complete) == ((), False), kind
            (event,) = supervisor.events()
            assert event.isprintable(), kind
            assert "eystone at http://127.0.0.1" in event, (kind, event)
            assert supervisor.of_kind(Token) == [], kind
            assert supervisor.finish() == 0, kind
        assert "Traceback" not in supervisor.log, kind
        assert "secret" not in supervisor.log, kind
    return peaks


def test_no_answer_to_a_question_for_a_list_harms_discovery() -> None:
    in_parts(ask_for_lists)


def test_no_answer_to_signing_in_harms_discovery() -> None:
    in_parts(sign_in)


# --- how often we sign in -------------------------------------------------------------------------

MINUTE_S = 60.0
SIGN_INS_MAX = 8
"""In a minute, the first among them, and two more on a machine that takes its time."""


def refuse_all(cloud: HostileCloud) -> None:
    """Refuse every token at once."""
    refusing = says(b"{}", status=401)
    cloud.answers = dict.fromkeys((CATALOG, PROJECTS, FLOATING, SERVERS), refusing)


def expire_at_once(cloud: HostileCloud) -> None:
    """Give tokens that have no life."""
    cloud.lifetime_s = 0.0


def expire_before(cloud: HostileCloud) -> None:
    """Give tokens that expired an hour ago."""
    cloud.lifetime_s = -3600.0


def fail(status: int) -> Callable[[HostileCloud], None]:
    """Return what gives no token."""

    def spoil(cloud: HostileCloud) -> None:
        cloud.answers = {SIGN_IN: says(b"{}", status=status)}

    return spoil


def hang_up(cloud: HostileCloud) -> None:
    """Close the connection instead of giving a token."""
    cloud.answers = {SIGN_IN: pours(b"")}


SPOILT: dict[str, Callable[[HostileCloud], None]] = {
    "refuses all tokens": refuse_all,
    "tokens expire at once": expire_at_once,
    "tokens expired before": expire_before,
    **{f"answers {status}": fail(status) for status in (401, 403, 429, 500, 503)},
    "hangs up": hang_up,
}


def test_keystone_is_not_hammered() -> None:
    """In a minute in which no token is any good, and somebody says every second that it was refused."""

    def count(spoil: Callable[[HostileCloud], None]) -> int:
        known = [Target(id=TargetId("address/127.7.0.1"), kind=Kind.ADDRESS, name="127.7.0.1")]
        with HostileCloud() as cloud:
            spoil(cloud)
            with FakeSupervisor(MODULE, configure(cloud.url), known=as_known(known)) as supervisor:
                until_s = time.monotonic() + MINUTE_S
                while time.monotonic() < until_s:
                    for token in supervisor.of_kind(Token)[-1:]:
                        supervisor.send(TokenRejected(issued_ns=token.issued_ns))
                    supervisor.send(Look())
                    time.sleep(1)
                assert supervisor.process.poll() is None
                counted = cloud.count(SIGN_IN)
                cloud.answers, cloud.lifetime_s = {}, 3600.0
                supervisor.send(Look())
                supervisor.wait(lambda: bool(supervisor.complete()), "complete list", timeout_s=2 * MINUTE_S)
            return counted

    with ThreadPoolExecutor(len(SPOILT)) as pool:
        counts = dict(zip(SPOILT, pool.map(count, SPOILT.values()), strict=True))
    assert {what: count for what, count in counts.items() if not 1 < count <= SIGN_INS_MAX} == {}, counts


# --- lists without end ----------------------------------------------------------------------------


def page_of(handler: Handler, ids: Iterable[str], link: str) -> None:
    """Send a page of floating IPs that says that there is another."""
    items = [{"id": id_, "floating_ip_address": "127.7.0.1", "port_id": "p"} for id_ in ids]
    handler.say({"floatingips": items, "floatingips_links": [{"rel": "next", "href": link}]})


def same_page(handler: Handler) -> None:
    """Say again and again that the next page is this one."""
    page_of(handler, ["a", "b"], f"{handler.cloud.url}{handler.path}")


def two_pages(handler: Handler) -> None:
    """Go round in a circle."""
    is_second = "marker=b" in handler.path
    page_of(handler, ["c", "d"] if is_second else ["a", "b"], f"{handler.cloud.url}/v2.0/floatingips")


def empty_pages(handler: Handler) -> None:
    """Have nothing, and ever more of it."""
    page_of(handler, [], f"{handler.cloud.url}/v2.0/floatingips?marker=x")


@pytest.mark.parametrize("answer", [same_page, two_pages, empty_pages])
def test_pages_that_loop_are_no_list_and_soon_left(cloud: HostileCloud, answer: Answer) -> None:
    with FakeSupervisor(MODULE, configure(cloud.url)) as supervisor:
        list_first(supervisor)
        cloud.answers = {FLOATING: answer}
        asked = cloud.count(FLOATING)
        told = relist(supervisor)
        assert (told.found, told.missing, told.complete) == ((), (), False)
        (event,) = supervisor.events()
        assert "the pages of floatingips loop; the last list stands" in event
        assert cloud.count(FLOATING) - asked <= 4


@pytest.mark.parametrize("link", ["http://127.0.0.1:{}/v2.0/floatingips", "file:///etc/passwd", "//[", ""])
def test_a_link_to_the_next_page_is_never_followed(cloud: HostileCloud, link: str) -> None:
    """It says that there is one; who is asked for it is who was asked before."""

    def first_page(handler: Handler) -> None:
        if "marker=" in handler.path:
            handler.say({"floatingips": [floating("127.7.0.9")]})
        else:
            page_of(handler, ["a"], link.format(elsewhere.url.rpartition(":")[2]))

    with HostileCloud() as elsewhere, FakeSupervisor(MODULE, configure(cloud.url)) as supervisor:
        cloud.answers = {FLOATING: first_page}
        supervisor.wait(lambda: bool(supervisor.complete()), "complete list")
        assert {"address/127.7.0.1", "address/127.7.0.9"} <= supervisor.targets().keys()
        assert elsewhere.asked == []


def test_pages_for_ever_are_left_at_the_limit_of_a_list(cloud: HostileCloud) -> None:
    """A million items, each new and none malformed, are more than is believed, and take no great memory."""
    numbers = itertools.count()

    def more(handler: Handler) -> None:
        page_of(handler, [f"{next(numbers):032}" for _ in range(10_000)], "http://127.0.0.1:9/")

    with FakeSupervisor(MODULE, configure(cloud.url)) as supervisor:
        list_first(supervisor)
        cloud.answers = {FLOATING: more}
        told = relist(supervisor, timeout_s=180.0)
        assert (told.found, told.missing, told.complete) == ((), (), False)
        assert "there are more than 1000000 floatingips; the last list stands" in supervisor.events()[0]
        assert peak_mb(supervisor.process.pid) < PEAK_MB
        assert cloud.count(FLOATING) < 150


# --- tokens that are odd --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expires",
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "2999-01-01T00:00:00", "2001-01-01T00:00:00Z"],
)
def test_a_token_is_passed_on_whenever_it_expires(cloud: HostileCloud, expires: str) -> None:
    """As far as it goes: 64 bits hold no such instant."""
    cloud.answers = {SIGN_IN: lambda handler: handler.say({"token": cloud.token() | {"expires_at": expires}})}
    with FakeSupervisor(MODULE, configure(cloud.url)) as supervisor:
        (token,) = supervisor.wait_for(Token)
        assert token.expires_ns is not None
        assert token.issued_ns <= token.expires_ns <= token.issued_ns + 366 * 86_400 * SECOND_NS
        supervisor.wait(lambda: bool(supervisor.complete()), "complete list")


@pytest.mark.parametrize("expires", ["soon", "", None, 5, [], "9" * 400, float("inf")])
def test_a_token_of_which_it_is_not_known_when_it_expires_is_none(
    cloud: HostileCloud, expires: object
) -> None:
    cloud.answers = {SIGN_IN: lambda handler: handler.say({"token": cloud.token() | {"expires_at": expires}})}
    with FakeSupervisor(MODULE, configure(cloud.url)) as supervisor:
        (said,) = supervisor.wait_for(CannotStart)
        assert "there is no Keystone at" in said.reason
        assert supervisor.of_kind(Token) == []


# --- catalogs ---------------------------------------------------------------------------------------

ODD_URLS = [
    "/v2.1",
    "//127.0.0.1/v2",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/",
    "unix:///run/downtimer/control.sock",
    "http+unix://%2Frun%2Fdowntimer%2Fcontrol.sock/",
    "http://[::1",
    "http://user:hush@127.0.0.1/",
    "http://127.0.0.1/\r\nX-Evil: 1",
    "http://127.0.0.1/\x1b[2J",
    "http://127.0.0.1/\u202e",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://" + "a" * 64 + "/",
    "http://a..b/",
    "http://127.0.0.1/" + "a" * 100_000,
    "",
    None,
    5,
]


def test_urls_that_cannot_be_probed_are_told_and_spoil_no_others(cloud: HostileCloud) -> None:
    """Whatever they are of; even that of Neutron."""
    cloud.catalog += [
        service(f"odd{number}", kind, url)
        for number, url in enumerate(ODD_URLS)
        for kind in ("network", "compute", "identity", "x")
    ]
    good = cloud.url.removeprefix("http://")
    alike = [f"HTTP://{good}/v9", f"http://{good}/v9/", f"http://{good}//V9?x#y", f"http://{good}/%76/.."]
    cloud.catalog.append(service("alike", "y", *alike))
    with FakeSupervisor(MODULE, configure(cloud.url)) as supervisor:
        supervisor.wait(lambda: bool(supervisor.complete()), "complete list")
        assert supervisor.finish() == 0
    names = {target.name for target in supervisor.targets().values() if target.kind is Kind.SERVICE}
    assert names == {"keystone", "neutron", "nova", "alike"}
    assert [target.name for target in supervisor.targets().values()].count("alike") == 1
    events = supervisor.events()
    assert len(events) == ODDITIES_MAX + 1
    assert all(text.isprintable() and len(text) < 400 for text in events)
    assert "hush" not in " ".join(events) + supervisor.log
    assert "Traceback" not in supervisor.log


def test_ten_thousand_endpoints_are_measured_within_the_budget(cloud: HostileCloud, tmp_path: Path) -> None:
    """All of them, in as much time as it takes; the memory of each process stays small."""
    with Counting() as counting:
        cloud.catalog += [
            service(f"s{number}", f"t{number}", f"{counting.url}/s{number}/v1") for number in range(MANY)
        ]
        command = Command(tmp_path, prefix=(), sections=sections_of(cloud))
        started_s = time.monotonic()
        try:
            assert f"measuring {MANY + 3} services" in command.ok("start")
            wait_until(lambda: len(counting.paths) == MANY, timeout_s=180, what="all to be asked")
            asked, took_s = counting.asked, time.monotonic() - started_s
            processes = command.status()["processes"]
            assert {process["name"]: process["restarts"] for process in processes} == dict.fromkeys(
                ("discovery", "api", "icmp", "writer"), 0
            )
            assert {name: mb for name, pid in command.pids().items() if (mb := peak_mb(pid)) > 200} == {}
            assert peak_mb(command.supervisor()) < 200
        finally:
            command.end()
    assert MANY <= asked <= BUDGET * (took_s + 1)
    lines = command.report_file.read_text().partition("\n\n")[0].splitlines()
    assert len(lines) == MANY + 3 + 3


MANY = 10_000
BUDGET = 500


class Counting:
    """A server that answers everything, and counts.

    Attributes:
        paths: That were asked for.
        asked: How many requests there were.
        url: Where it is.
    """

    def __init__(self) -> None:
        self.paths: set[bytes] = set()
        self.asked = 0
        self.url = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._begun = threading.Event()
        self._end: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._thread.join(10)

    async def _run(self) -> None:
        ending, loop = asyncio.Event(), asyncio.get_running_loop()
        self._end = lambda: loop.call_soon_threadsafe(ending.set)
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._begun.set()
            await ending.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.paths.add(head.split(b" ", 2)[1])
            self.asked += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()


def sections_of(cloud: HostileCloud) -> dict[str, dict[str, str]]:
    """Return the configuration of the whole daemon."""
    return {
        "global": {"keystone_endpoint": cloud.url, "user": "admin", "password": "secret"},
        "targets": {"agents": "no"},
        "vantage": {"reference": "none"},
    }


# --- names ------------------------------------------------------------------------------------------

NAMES = [
    'quo"te',
    "apo'strophe",
    "comma, space=equals",
    "line\nService x was down approximately 5 seconds which is 9.0% of total uptime",
    "return\rx",
    "back\\slash\\",
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "\x9b31m",
    "nul\0",
    "<script>alert(1)</script>&amp;",
    "bidi\u202egnp.exe\u2066x\u2069",
    "zero\u200bwidth\u2060\ufeff",
    "para\u2029line\u2028next\u0085",
    "Ž-Прага-中-\U0001f600-e\u0301",
    "tag\U000e0041",
    "percent%s%n{0}%(x)s",
    "; DROP TABLE runs",
    "surro\ufffdgate",
    " spaces ",
    "-option",
    "x" * 255,
]


def test_names_of_any_kind_forge_and_garble_nothing(cloud: HostileCloud, tmp_path: Path) -> None:
    """Of services, regions, projects and servers: in the report of each kind, the status and the log."""
    cloud.catalog += [
        service(name, f"type {name}"[:255], f"{cloud.url}/s{number}", region=name)
        for number, name in enumerate(NAMES)
    ]
    cloud.catalog.append(service("bad\n", "network\x1b[2J", "http://[\x1b[2J", region="bad\u202e"))
    cloud.catalog.append(service("neutron", "network", "http://127.0.0.1:9/", region="gone\n\x1b[2J\u202e"))
    cloud.projects = [{"id": f"p{number}", "name": name} for number, name in enumerate(NAMES)]
    cloud.servers = [{"id": f"s{number}", "name": name} for number, name in enumerate(NAMES)]
    cloud.floatingips = [
        floating(f"127.7.1.{number}", project=f"p{number}", server=f"s{number}")
        for number in range(len(NAMES))
    ]
    command = Command(tmp_path, prefix=(), sections=sections_of(cloud))
    try:
        command.ok("start", "--label", NAMES[3])
        wait_until(
            lambda: command.status()["targets"]["service"]["up"] >= len(NAMES),
            timeout_s=60,
            what="all to be up",
        )
        status = command.ok("status")
        found = command.report()
        text = command.ok("stop")
    finally:
        command.end()
    services = [target for target in found["targets"] if target["kind"] == "service"]
    assert {target["name"] for target in services} == {"keystone", "nova", "neutron", *NAMES}
    assert {target["region"] for target in services} >= set(NAMES)
    addresses = [target for target in found["targets"] if target["kind"] == "address"]
    assert {(target["project"], target["server"]) for target in addresses} == {(name, name) for name in NAMES}
    lines = text.partition("\n\n")[0].split("\n")
    assert len(lines) == len(services) + len(addresses)
    assert all(LINE.fullmatch(line) for line in lines)
    for shown in (text, status, command.log()):
        assert {char for char in shown if char != "\n" and printable(char) != char} == set()
    assert "gone\\x0a" in command.log()


LINE = re.compile(
    r"(Service .* was down approximately \d+ seconds"
    r"|Address \S+ was unreachable approximately \d+\.\d second) which is \d+\.\d% of total uptime"
)


# --- what is probed ---------------------------------------------------------------------------------


def test_no_answer_to_a_probe_takes_more_memory(cloud: HostileCloud) -> None:
    """Heads, bodies and framing without end, each asked for twice a second and more."""
    poured = {
        kind: answer
        for kind, answer in RUBBISH.items()
        if "endless" in kind or "long" in kind or "bomb" in kind
    }
    cloud.answers = {f"GET /r{number}": answer for number, answer in enumerate(poured.values())}
    with (
        Drain() as drain,
        ApiWorker(drain, [f"{cloud.url}/r{number}" for number in range(len(poured))], "") as worker,
    ):
        worker.wait(lambda: len(cloud.asked) >= 20 * len(poured), "probes", timeout_s=120)
        assert worker.peak_mb() < 100
        assert worker.finish() == 0
    assert "Traceback" not in worker.log
