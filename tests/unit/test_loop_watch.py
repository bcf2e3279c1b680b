"""Our own stalls: how late the loop was while a probe was under way, and why."""

from downtimer import clock
from downtimer.clock import RunClock
from downtimer.model import MILLISECOND_NS, SECOND_NS
from downtimer.workers.worker import LoopWatch
from tests.unit.test_clock import Machine


class Loop:
    """A watch whose timer never comes by itself: all time since it was made is time of being late."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.clock = RunClock(clock.tie(self.machine), self.machine)
        self.watch = LoopWatch(self.clock)


def test_a_loop_that_is_a_little_late_is_no_trouble() -> None:
    loop = Loop()
    loop.machine.pass_s(0.05)
    assert not loop.watch.was_late_since(0)
    assert loop.watch.trouble_since(0, 0) is None


def test_a_stall_counts_from_when_the_probe_was_sent() -> None:
    """What was sent in the midst of it lived through the rest only."""
    loop = Loop()
    loop.machine.pass_s(3)
    assert loop.watch.trouble_since(0, 2 * SECOND_NS) == "stall"
    assert loop.watch.trouble_since(2 * SECOND_NS, 500 * MILLISECOND_NS) == "stall"
    assert loop.watch.trouble_since(2 * SECOND_NS, SECOND_NS) is None
    assert loop.watch.was_late_since(2 * SECOND_NS)
    assert not loop.watch.was_late_since(3 * SECOND_NS)


def test_asking_twice_counts_once() -> None:
    loop = Loop()
    loop.machine.pass_s(0.3)
    loop.watch.was_late_since(0)
    loop.machine.pass_s(0.1)
    assert loop.watch.trouble_since(0, 400 * MILLISECOND_NS) is None
    assert loop.watch.trouble_since(0, 399 * MILLISECOND_NS) == "stall"


def test_a_suspend_is_told_from_a_stall() -> None:
    """CLOCK_MONOTONIC stood still meanwhile."""
    loop = Loop()
    loop.machine.boot += 5 * SECOND_NS
    assert loop.watch.trouble_since(0, SECOND_NS) == "suspended"
