"""Addresses that answer no echo: which port reaches them, and how they are measured by it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

from downtimer.messages import Learnt
from downtimer.model import TCP, Kind, Target, TargetId, TargetState, Verdict
from downtimer.workers.api import ApiEngine
from tests import engines
from tests.engines import Bench
from tests.ports import free_port

HOST = "127.0.0.1"
ADDRESS = Target(id=TargetId("address/127.0.0.1"), kind=Kind.ADDRESS, name=HOST)
QUICK = "[api]\ninterval = 0.1\ntimeout = 0.4\n"
ENOUGH = 3


def state(*, method: str | None = None, silent: bool = True, retired: bool = False) -> TargetState:
    """Return the address as the supervisor has it."""
    return TargetState(
        target=ADDRESS,
        discovered_ns=0,
        listed_ns=0,
        silent_ns=1 if silent else None,
        method=method,
        retired_ns=1 if retired else None,
    )


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port that accepts."""
    with socket.create_server((HOST, free_port()), backlog=100) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def filtered() -> Iterator[int]:
    """A port that answers nothing: its queue is full, so the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, free_port()))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]


def methods(bench: Bench) -> list[str]:
    """Return what the engine said of methods."""
    return [each.method for message in bench.said(Learnt) for each in message.reached]


def search(*ports: int) -> Bench:
    """Have a silent address tried on these ports until it is reached."""

    async def scenario(bench: Bench) -> None:
        bench.engine.update(state())
        await bench.until(lambda: methods(bench))

    fallback = f"{QUICK}[icmp]\ntcp_fallback = {','.join(map(str, ports))}\n"
    return engines.work(lambda: Bench(ApiEngine, fallback), scenario)


def test_the_first_port_that_accepts_is_the_method() -> None:
    """A port that is filtered is no answer, and no downtime of the address."""
    with filtered() as first, listening() as second, listening() as third:
        bench = search(first, second, third)
    assert methods(bench) == [f"tcp-{second}"]
    assert bench.spans() == []


def test_a_refused_connection_is_an_answer() -> None:
    """Whoever refuses is there."""
    port = free_port()
    assert methods(search(port)) == [f"tcp-{port}"]


def test_an_address_is_tried_only_while_it_is_silent() -> None:
    """Not before it is known to be, not if it is retired, not with an empty list of ports."""
    port = free_port()

    async def scenario(bench: Bench) -> None:
        for each in (state(silent=False), state(retired=True), state(method="icmp")):
            bench.engine.update(each)
            await asyncio.sleep(0.3)
        bench.engine.update(state())
        bench.engine.keep_only([])
        await asyncio.sleep(0.3)

    bench = engines.work(lambda: Bench(ApiEngine, f"{QUICK}[icmp]\ntcp_fallback = {port}\n"), scenario)
    assert methods(bench) == []

    async def without(bench: Bench) -> None:
        bench.engine.update(state())
        await asyncio.sleep(0.3)

    assert methods(engines.work(lambda: Bench(ApiEngine, "[icmp]\ntcp_fallback =\n"), without)) == []


def test_the_port_that_answered_is_probed_from_then_on() -> None:
    """Accepted or refused is up; silence is down; with InfluxDB its round trips are told by the window."""

    async def scenario(bench: Bench) -> None:
        with listening() as port:
            bench.engine.update(state(method=f"tcp-{port}"))
            await bench.until(lambda: bench.probes() >= ENOUGH)
            assert bench.engine.counts()[Kind.ADDRESS].up == 1
        reached = bench.probes()
        await bench.until(lambda: bench.probes() >= reached + ENOUGH)  # refused
        bench.engine.update(state(retired=True))
        with filtered() as port:
            bench.engine.update(state(method=f"tcp-{port}"))
            await bench.until(lambda: bench.causes().get("timeout-connect", 0) >= ENOUGH)
            await bench.engine.finish()

    bench = engines.work(lambda: Bench(ApiEngine, f"{QUICK}[db]\n"), scenario)
    assert {span.check for span in bench.spans()} == {TCP}
    up, unlisted, down = bench.spans()
    assert (up.verdict, down.verdict) == (Verdict.UP, Verdict.DOWN)
    assert unlisted.causes == {"unlisted": 1}
    windows = [(window.sent, window.lost) for window in bench.outbox.addresses]
    assert windows == [(up.probes, 0), (down.probes, down.probes)]
    assert bench.outbox.samples == []
