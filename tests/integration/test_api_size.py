"""The api engine with many URLs: what is kept of them, and what the benchmark measures."""

import asyncio

from downtimer.messages import Counts
from downtimer.model import ANSWERS, MILLISECOND_NS, SECOND_NS, Kind, TargetId, Verdict
from downtimer.workers.api import ApiEngine
from tests import engines
from tests.bench.apiworker import LATENESS, ApiWorker
from tests.bench.drain import Drain
from tests.engines import Bench
from tests.integration import faults
from tests.integration.faults import Server

URLS = 250  # more than are gone through at a time
FAST = "[api]\ninterval = 0.2\ntimeout = 1\nbudget = 5000\n"


def test_counts_are_those_of_the_newest_probes() -> None:
    """Each target once, as the worst of its checks; those that are gone are not counted."""
    well, ill = Server(faults.answers()), Server(faults.close)

    async def scenario(bench: Bench) -> None:
        def counts() -> Counts:
            return bench.engine.counts()[Kind.SERVICE]

        async with well.running() as well_url, ill.running() as ill_url:
            for number in range(10):
                bench.service(f"w{number}", f"{well_url}{number}")
                bench.service(f"i{number}", f"{ill_url}{number % 5}")
            assert counts() == Counts(unseen=20)
            await bench.until(lambda: counts() == Counts(up=10, down=10))
            bench.retire(TargetId("w0"), Kind.SERVICE)
            bench.retire(TargetId("i0"), Kind.SERVICE)  # its URL is still another's
            assert counts() == Counts(up=9, down=9)
            ill.serve = faults.answers()
            await bench.until(lambda: counts() == Counts(up=18))
            bench.engine.keep_only([TargetId("w1")])
            assert counts() == Counts(up=1)

    engines.work(lambda: Bench(ApiEngine, FAST), scenario)


def test_progress_stops_at_the_oldest_probe_under_way() -> None:
    """However many others have been answered since."""
    well, silent = Server(faults.answers()), Server(faults.silent)

    async def scenario(bench: Bench) -> None:
        async with well.running() as well_url, silent.running() as silent_url:
            for number in range(20):
                bench.service(f"w{number}", f"{well_url}{number}")
            await bench.until(lambda: bench.probes() >= 40)
            lag_ns = bench.child.clock.now_ns() - bench.engine.reach()[ANSWERS].through_ns
            assert lag_ns < SECOND_NS
            bench.service("silent", silent_url)
            await bench.until(lambda: silent.connections)
            await asyncio.sleep(0.3)  # what was sent before is answered
            through_ns = bench.engine.reach()[ANSWERS].through_ns
            await asyncio.sleep(0.3)
            assert bench.engine.reach()[ANSWERS].through_ns == through_ns
            await bench.until(lambda: bench.spans(TargetId("silent")))
            (span,) = bench.spans(TargetId("silent"))
            assert span.first_sent_ns == through_ns + 1
            assert span.verdict is Verdict.DOWN
            assert bench.engine.reach()[ANSWERS].through_ns > through_ns

    engines.work(lambda: Bench(ApiEngine, FAST), scenario)


def test_each_of_many_has_its_window_of_latencies() -> None:
    """Also those that are put on record after others had their turn."""
    server = Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with server.running() as url:
            for number in range(URLS):
                bench.service(f"s{number}", f"{url}{number}")
            await bench.until(lambda: bench.engine.counts()[Kind.SERVICE].up == URLS, 60.0)
            await bench.engine.finish()

    bench = engines.work(lambda: Bench(ApiEngine, "[api]\ninterval = 2\nbudget = 5000\n"), scenario)
    assert len({window.target for window in bench.outbox.latencies}) == URLS
    assert len({window.start_ns for window in bench.outbox.latencies}) == 1


def test_a_real_worker_probes_many_and_says_how_late_it_was() -> None:
    """As the benchmark has it."""

    async def serve() -> None:
        async with Server(faults.answers()).running() as url:
            await asyncio.to_thread(probe, [f"{url}{number}" for number in range(URLS)])

    def probe(urls: list[str]) -> None:
        text = "[api]\ninterval = 2\nbudget = 5000\n"
        with Drain() as drain, ApiWorker(drain, urls, text, LATENESS) as worker:
            worker.wait_until_all_are_seen()
            before = worker.standing()
            after = worker.standing()
            assert after.probes >= before.probes >= URLS
            assert after.cpu_s >= before.cpu_s > 0
            assert worker.peak_mb() > 10
            assert worker.finish() == 0
            assert {span.verdict for span in worker.spans()} <= {Verdict.UP, Verdict.UNKNOWN}
        late_ns = worker.late_ns(0)
        assert len(late_ns) >= after.probes
        assert -MILLISECOND_NS < late_ns[0] <= late_ns[-1]
        assert worker.late_ns(after.at_ns + 60 * SECOND_NS) == []

    asyncio.run(serve())


def test_when_the_budget_is_short_who_has_waited_longest_is_next() -> None:
    """None is probed again and again while others have not been at all."""
    server = Server(faults.answers())

    async def scenario(bench: Bench) -> None:
        async with server.running() as url:
            for number in range(URLS):
                bench.service(f"s{number}", f"{url}{number}")
            await bench.until(lambda: bench.engine.counts()[Kind.SERVICE].unseen == 0, 60.0)
            assert bench.probes() < 2 * URLS

    engines.work(lambda: Bench(ApiEngine, "[api]\ninterval = 0.2\ntimeout = 1\nbudget = 100\n"), scenario)
