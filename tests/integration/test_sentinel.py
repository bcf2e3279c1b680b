"""The kept connection: what it tells, when it is not believed, and where there is none."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.model import MILLISECOND_NS, Span, TargetId, Verdict
from downtimer.workers.api import ApiEngine
from tests import engines
from tests.engines import Bench
from tests.integration import faults
from tests.integration.faults import Server

KEPT, CLOSED = "neutron", "glance"  # a service that keeps connections, and one that does not
ENOUGH = 5


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    """Both, as processes that can be killed."""
    with SimulatedCloud(CloudConfig(services=(KEPT, CLOSED), addresses=(), network="none")) as running:
        yield running


def kill(cloud: SimulatedCloud, name: str, text: str = "") -> tuple[Bench, Span, tuple[int, int]]:
    """Kill a service while it is measured.

    Returns:
        The engine's findings, the span of the outage, and between which instants it really began.
    """

    async def scenario(bench: Bench) -> None:
        target = bench.service(name, f"{cloud.service(name).url}/")
        await bench.until(lambda: bench.probes(target) >= ENOUGH)
        cloud.service(name).kill()
        await bench.until(lambda: bench.causes(target).get("refused", 0) >= ENOUGH)
        cloud.service(name).start()
        await bench.until(lambda: bench.spans(target)[-1].verdict is Verdict.UP)

    bench = engines.work(lambda: Bench(ApiEngine, text), scenario)
    down = next(span for span in bench.spans() if span.verdict is Verdict.DOWN)
    start = cloud.truth.of(name)[-1].start
    origin_ns = bench.child.settings.anchor.boot_origin_ns
    return bench, down, (start.earliest_ns - origin_ns, start.latest_ns - origin_ns)


def test_death_of_the_process_is_known_at_once_and_dated(cloud: SimulatedCloud) -> None:
    """The kernel closes the connection; the probe that this triggers is refused."""
    _, down, (earliest_ns, latest_ns) = kill(cloud, KEPT)
    assert down.dated_ns is not None
    assert earliest_ns <= down.dated_ns <= latest_ns + 20 * MILLISECOND_NS
    assert down.first_sent_ns <= latest_ns + 50 * MILLISECOND_NS


def test_a_server_that_closes_has_no_sentinel(cloud: SimulatedCloud) -> None:
    """There the start is known to half an interval."""
    _, down, _ = kill(cloud, CLOSED)
    assert down.dated_ns is None


def test_the_sentinel_can_be_turned_off(cloud: SimulatedCloud) -> None:
    """By the configuration."""
    _, down, _ = kill(cloud, KEPT, "[api]\nsentinel = no\n")
    assert down.dated_ns is None


class KeepAlive:
    """Answers, and closes the connection itself after a while.

    Attributes:
        open: Connections that are open now.
        most: Connections that were open at a time.
    """

    def __init__(self, closes_after_s: float, answers_after_s: float = 0.0) -> None:
        self.open = self.most = 0
        self._closes_after_s = closes_after_s
        self._answers_after_s = answers_after_s

    async def __call__(
        self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection."""
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            server.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(self._answers_after_s)
            writer.write(faults.OK)
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._closes_after_s):
                    await reader.read()
        finally:
            self.open -= 1


def measure(manners: KeepAlive, seconds: float, text: str = "") -> tuple[Bench, Server]:
    """Measure a server for a while."""
    server = Server(manners)

    async def scenario(bench: Bench) -> None:
        async with server.running() as url:
            bench.service("it", url)
            await asyncio.sleep(seconds)
            await bench.engine.finish()

    return engines.work(lambda: Bench(ApiEngine, text), scenario), server


def test_one_connection_is_kept_until_the_next_probe_has_replaced_it() -> None:
    """Never two of them, but for the moment of the exchange."""
    manners = KeepAlive(closes_after_s=60)
    measure(manners, 3)
    assert manners.most == 2
    assert manners.open == 0


def test_after_three_false_alarms_there_is_no_sentinel_for_a_minute() -> None:
    """Each has cost an extra probe, which the intervals after it pay back."""
    manners = KeepAlive(closes_after_s=0.05)
    bench, server = measure(manners, 12)
    (span,) = bench.spans()
    assert span.verdict is Verdict.UP
    assert len(server.requests) <= 2 * 12 + 2
    assert manners.most == 1  # what is not kept is closed at once


def test_false_alarms_count_that_come_faster_than_answers() -> None:
    """No alarm is raised before the probe of the last one has told whether it was right."""
    _, server = measure(KeepAlive(closes_after_s=0, answers_after_s=0.6), 12)
    assert len(server.requests) <= 2 * 12 + 3


def test_no_connection_is_kept_on_which_nothing_was_answered() -> None:
    """A prefork server gives one of its few workers to each."""
    open_now = []

    async def never(server: Server, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        open_now.append(server)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.read()
        open_now.remove(server)

    async def scenario(bench: Bench) -> None:
        server = Server(never)
        async with server.running() as url:
            target = bench.service("it", url)
            await bench.until(lambda: bench.causes(target).get("timeout-answer", 0) >= ENOUGH)
            assert 0 < len(open_now) <= 4
            await bench.engine.finish()
            await bench.until(lambda: not open_now)

    engines.work(lambda: Bench(ApiEngine, "[api]\ntimeout = 0.4\n"), scenario)


def test_a_service_that_answers_badly_has_no_sentinel() -> None:
    """What fails without the process having ended is no end of a process later."""
    server = Server(faults.answers(faults.OK))

    async def scenario(bench: Bench) -> None:
        async with server.running() as url:
            server.serve = KeepAlive(closes_after_s=1.2)
            target = bench.service("it", url)
            await bench.until(lambda: bench.probes(target) >= ENOUGH)
            server.serve = faults.answers(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")
            await asyncio.sleep(2.5)
            await bench.engine.finish()

    bench = engines.work(lambda: Bench(ApiEngine), scenario)
    up, down = bench.spans(TargetId("it"))
    assert (up.verdict, down.verdict, down.dated_ns) == (Verdict.UP, Verdict.DOWN, None)
