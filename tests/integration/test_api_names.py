"""The api engine and names: looked up in the background, kept while the resolver fails."""

import asyncio
import socket

import pytest

from downtimer.clock import RunClock, tie
from downtimer.model import MILLISECOND_NS, SECOND_NS, TargetId, Verdict
from downtimer.workers.api import ApiEngine
from downtimer.workers.names import LOOKUPS_A_SECOND, Endpoint, Names
from downtimer.workers.probing import Findings
from downtimer.workers.worker import Child
from tests import engines
from tests.engines import Bench
from tests.integration import faults
from tests.integration.faults import Server

FAST = "[api]\ninterval = 0.1\ntimeout = 0.4\n"
ENOUGH = 3


class Resolver:
    """A resolver under the control of a test."""

    def __init__(self) -> None:
        self.answer: list[Endpoint] | Exception = []
        self.asked = 0

    def __call__(self, _: str, port: int) -> list[Endpoint]:
        """Answer as told."""
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return [Endpoint(each.family, (each.address[0], port)) for each in self.answer]


NO = socket.gaierror(socket.EAI_NONAME, "no such name")
FAILURE = socket.gaierror(socket.EAI_AGAIN, "the resolver does not answer")


def at(*addresses: str) -> list[Endpoint]:
    """Return endpoints."""
    return [Endpoint(socket.AF_INET, (address,)) for address in addresses]


@pytest.fixture
def resolver() -> Resolver:
    """A resolver for all names."""
    return Resolver()


def named(resolver: Resolver) -> Bench:
    """Return a bench whose engine asks this resolver, every 100 ms."""

    def engine(child: Child, findings: Findings) -> ApiEngine:
        return ApiEngine(child, findings, Names(child.clock, resolver, refresh_ns=100 * MILLISECOND_NS))

    return Bench(engine, FAST)


def test_known_address_outlives_the_resolver(resolver: Resolver) -> None:
    """That the resolver fails is our trouble; that it says no is not."""
    server = Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with server.running():
            resolver.answer = at("127.0.0.1")
            bench.service("it", f"http://cloud.test:{server.port}/")
            await bench.until(lambda: bench.probes() >= ENOUGH)
            resolver.answer, asked = FAILURE, resolver.asked
            await bench.until(lambda: resolver.asked >= asked + 3)
            assert bench.causes() == {}
            resolver.answer = NO
            await bench.until(lambda: bench.causes().get("dns"))
            resolver.answer = at("127.0.0.1")
            await bench.until(lambda: bench.spans()[-1].verdict is Verdict.UP)
            await bench.engine.finish()

    bench = engines.work(lambda: named(resolver), scenario)
    assert set(bench.causes()) == {"dns"}
    assert b"host: cloud.test:" in server.requests[0].lower()


@pytest.mark.parametrize(("answer", "cause"), [(NO, "dns"), (FAILURE, "resolver")])
def test_name_that_was_never_known(resolver: Resolver, answer: Exception, cause: str) -> None:
    """A no is the cloud's fault, a failure ours."""
    resolver.answer = answer

    async def scenario(bench: Bench) -> None:
        bench.service("it", "http://cloud.test:9/")
        await bench.until(lambda: bench.probes() >= ENOUGH)

    assert set(engines.work(lambda: named(resolver), scenario).causes()) == {cause}


def test_second_address_is_tried_as_a_client_does(resolver: Resolver) -> None:
    """In the resolver's order, within one deadline."""
    server = Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with server.running("127.0.0.3"):
            resolver.answer = at("127.0.0.2", "127.0.0.3")
            bench.service("it", f"http://cloud.test:{server.port}/")
            await bench.until(lambda: bench.probes() >= ENOUGH)
            await bench.engine.finish()

    assert engines.work(lambda: named(resolver), scenario).causes() == {}


def test_name_is_looked_up_as_long_as_anybody_asks_for_it(resolver: Resolver) -> None:
    """Two services at one name; the first that goes leaves it to the other."""
    server = Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with server.running():
            resolver.answer = at("127.0.0.1")
            for name in ("one", "two"):
                bench.service(name, f"http://cloud.test:{server.port}/{name}")
            await bench.until(lambda: bench.probes() >= ENOUGH)
            bench.engine.keep_only([TargetId("two")])
            asked = resolver.asked
            await bench.until(lambda: resolver.asked >= asked + 3)
            bench.engine.keep_only([])
            await asyncio.sleep(0.2)  # what was under way
            asked = resolver.asked
            await asyncio.sleep(0.5)
            assert resolver.asked == asked

    assert engines.work(lambda: named(resolver), scenario).causes() == {}


def test_thousands_of_names_do_not_flood_a_resolver() -> None:
    """However fast it says no, and although each is asked for again every second; all get their turn."""
    hosts: list[str] = []

    async def look_all_up() -> float:
        done, asking = asyncio.Event(), asyncio.get_running_loop()

        def lookup(host: str, _: int) -> list[Endpoint]:
            hosts.append(host)
            if len(set(hosts)) == 300:
                asking.call_soon_threadsafe(done.set)
            raise NO

        clock = RunClock(tie())
        names, started_ns = Names(clock, lookup), clock.now_ns()
        for number in range(300):
            names.add(f"no{number}.test", 80)
        running = asyncio.create_task(names.run())
        async with asyncio.timeout(60):
            await done.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return (clock.now_ns() - started_ns) / SECOND_NS

    took_s = asyncio.run(look_all_up())
    assert 300 <= len(hosts) <= (took_s + 0.2) * LOOKUPS_A_SECOND
