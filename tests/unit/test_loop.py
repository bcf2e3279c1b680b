"""The loop of a child, watched: it tells what holds it up, and rests where nothing does."""

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable

import pytest

from downtimer import clock
from downtimer.clock import RunClock
from downtimer.model import SECOND_NS
from downtimer.workers import loop
from downtimer.workers.loop import WatchedSelector
from downtimer.workers.stalls import LoopWatch

HELD_UP_S = 0.2

Events = list[tuple[selectors.SelectorKey, int]]


class CountingWatch(LoopWatch):
    """Counts turns, too."""

    def __init__(self, clock: RunClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.turns = 0

    def is_back(self) -> None:
        """Count it."""
        self.turns += 1
        super().is_back()


def run(body: Callable[[CountingWatch], Awaitable[None]]) -> CountingWatch:
    watch = CountingWatch(RunClock(clock.tie()))

    async def main(selector: WatchedSelector) -> None:
        selector.watch = watch
        await body(watch)

    loop.run(main)
    return watch


def test_a_callback_that_holds_the_loop_up_is_noticed_by_the_next() -> None:
    late_ns: list[int] = []

    async def body(watch: CountingWatch) -> None:
        running = asyncio.get_running_loop()
        running.call_soon(time.sleep, HELD_UP_S)
        running.call_soon(lambda: late_ns.append(watch.late_ns(watch.clock.now_ns())))
        await asyncio.sleep(0)

    assert run(body).take_worst_ns() >= HELD_UP_S * SECOND_NS
    assert late_ns[0] >= HELD_UP_S * SECOND_NS


def test_an_idle_loop_rests_but_for_a_sharp_one() -> None:

    async def idle(_: CountingWatch) -> None:
        await asyncio.sleep(0.5)

    async def sharp(watch: CountingWatch) -> None:
        watch.be_sharp()
        await asyncio.sleep(0.5)

    assert run(idle).turns < run(sharp).turns


def test_a_look_of_the_watch_does_not_bring_the_loop_round(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    select = WatchedSelector.select

    def counted(selector: WatchedSelector, timeout: float | None = None) -> Events:
        waits.append(timeout)
        return select(selector, timeout)

    async def sharp(watch: CountingWatch) -> None:
        watch.be_sharp()
        waits.clear()
        before = watch.turns
        await asyncio.sleep(0.5)
        assert watch.turns - before > 2 * len(waits)

    monkeypatch.setattr(WatchedSelector, "select", counted)
    run(sharp)


def test_a_timer_is_not_put_off_by_the_looks_before_it() -> None:
    late_s: list[float] = []

    async def sharp(watch: CountingWatch) -> None:
        watch.be_sharp()
        for _ in range(3):
            began_s = time.monotonic()
            await asyncio.sleep(0.42)
            late_s.append(time.monotonic() - began_s - 0.42)

    run(sharp)
    assert 0 <= min(late_s) < 0.01
