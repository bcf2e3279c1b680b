"""Our own stalls while a service is measured: what was answered counts, what may be our fault does not."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.serviceprocess import SimulatedService
from downtimer.model import SECOND_NS, Span, Verdict
from downtimer.workers.api import ApiEngine
from tests import engines
from tests.engines import Bench

ENOUGH = 5


@pytest.fixture(scope="module")
def service() -> Iterator[SimulatedService]:
    """A service in a process of its own, which goes on while we stand still."""
    with SimulatedCloud(CloudConfig(services=("glance",), addresses=(), network="none")) as cloud:
        yield cloud.service("glance")


def stall(service: SimulatedService, seconds: float, *, hung: bool = False) -> list[Span]:
    """Stand still while probes are under way; return what is found."""

    async def scenario(bench: Bench) -> None:
        target = bench.service("glance", f"{service.url}/")
        await bench.until(lambda: bench.probes(target) >= ENOUGH)
        if hung:
            service.stop_signal()
            await asyncio.sleep(0.8)  # some probes hang
        time.sleep(seconds)  # noqa: ASYNC251 - that is the stall
        if hung:
            service.continue_signal()
        else:
            more = bench.probes(target) + ENOUGH
            await bench.until(lambda: bench.probes(target) >= more)

    return engines.work(lambda: Bench(ApiEngine, "[api]\ninterval = 0.2\ntimeout = 1\n"), scenario).spans()


def test_answers_count_that_we_were_late_to_read(service: SimulatedService) -> None:
    """They are never slow; the time in which nothing was sent is a gap."""
    spans = stall(service, 3)
    assert {span.verdict for span in spans} == {Verdict.UP}
    assert len(spans) == 2
    assert spans[1].first_sent_ns - spans[0].last_sent_ns > 2 * SECOND_NS


def test_what_hung_while_we_stood_still_says_nothing(service: SimulatedService) -> None:
    """It might have been answered, had we been there to go on with it."""
    spans = stall(service, 1.5, hung=True)
    causes = {cause for span in spans for cause in span.causes}
    assert causes == {"stall"}
    assert Verdict.DOWN not in {span.verdict for span in spans}
