"""Our own stalls: how late the loop was while a probe was under way, and why."""

import pytest

from downtimer import clock
from downtimer.clock import RunClock
from downtimer.model import MILLISECOND_NS, SECOND_NS, Incarnation, TargetId
from downtimer.pace import Rates
from downtimer.series import Answer, Series
from downtimer.workers.stalls import LoopWatch, note_suspension
from tests.unit import sections
from tests.unit.machine import Machine
from tests.unit.told import Told

RATES = Rates.within(sections.ICMP, checks=10, fast=0)


class Loop:
    """A loop that is in a turn: all time since it was made is time of being late, but for its rests."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.clock = RunClock(clock.tie(self.machine), self.machine)
        self.watch = LoopWatch(self.clock)

    def rest(self, most_s: float | None, passes_s: float) -> None:
        """Rest for so long, where `most_s` was meant; then go on."""
        self.watch.rests(most_s)
        self.machine.pass_s(passes_s)
        self.watch.is_back()

    @property
    def late_s(self) -> float:
        """How old at most what is learnt now may be."""
        return self.watch.late_ns(self.clock.now_ns()) / SECOND_NS


def test_a_loop_that_is_a_little_late_is_no_trouble() -> None:
    loop = Loop()
    loop.machine.pass_s(0.05)
    assert loop.late_s == 0
    assert loop.watch.trouble_since(0, 0) is None
    loop.rest(1, 1.05)
    assert loop.late_s == 0
    assert loop.watch.trouble_since(0, 0) is None


def test_a_stall_counts_from_when_the_probe_was_sent() -> None:
    """What was sent in the midst of it lived through the rest only."""
    loop = Loop()
    loop.machine.pass_s(3)
    assert loop.watch.trouble_since(0, 2 * SECOND_NS) == "stall"
    assert loop.watch.trouble_since(2 * SECOND_NS, 500 * MILLISECOND_NS) == "stall"
    assert loop.watch.trouble_since(2 * SECOND_NS, SECOND_NS) is None
    assert loop.watch.trouble_since(3 * SECOND_NS - 1, 0) == "stall"
    assert loop.watch.trouble_since(3 * SECOND_NS, 0) is None


def test_asking_twice_counts_once() -> None:
    loop = Loop()
    loop.machine.pass_s(0.3)
    assert loop.late_s == 0.3
    loop.machine.pass_s(0.1)
    assert loop.watch.trouble_since(0, 400 * MILLISECOND_NS) is None
    assert loop.watch.trouble_since(0, 399 * MILLISECOND_NS) == "stall"


def test_time_in_which_an_answer_may_have_waited_for_us() -> None:
    """All of it that has passed since the answer's request was sent."""
    loop = Loop()
    loop.machine.pass_s(0.05)
    assert loop.watch.held_up_ns(0) == 0
    loop.machine.pass_s(0.45)
    assert loop.watch.held_up_ns(0) == 500 * MILLISECOND_NS
    assert loop.watch.held_up_ns(200 * MILLISECOND_NS) == 300 * MILLISECOND_NS
    assert loop.watch.held_up_ns(500 * MILLISECOND_NS) == 0


def test_a_rest_is_no_stall_until_its_timer_is_due() -> None:
    loop = Loop()
    loop.rest(10, 9)
    loop.rest(None, 1000)
    assert loop.watch.trouble_since(0, 0) is None
    loop.rest(10, 13)
    assert loop.watch.trouble_since(0, 3 * SECOND_NS) is None
    assert loop.watch.trouble_since(0, 3 * SECOND_NS - 1) == "stall"


def test_in_the_turn_after_a_stall_what_is_learnt_may_be_old() -> None:
    """From when the loop went to rest on, for that may be when it was stopped; and by this turn's length."""
    loop = Loop()
    loop.rest(0.04, 3)
    loop.machine.pass_s(0.02)
    assert loop.late_s == 3.02
    loop.rest(0.04, 0.04)
    assert loop.late_s == 0


def test_stalls_add_up() -> None:
    loop = Loop()
    for _ in range(3):
        loop.rest(0.1, 0.2)
        loop.rest(0.1, 0.1)
    assert loop.watch.trouble_since(0, 300 * MILLISECOND_NS - 1) == "stall"
    assert loop.watch.trouble_since(0, 300 * MILLISECOND_NS) is None
    assert loop.watch.held_up_ns(0) == 600 * MILLISECOND_NS


def test_a_sharp_loop_never_rests_for_long() -> None:
    """Other loops rest for as long as they have nothing to do."""
    loop = Loop()
    wanted = (0.01, 1.0, None)
    assert [loop.watch.rests(most_s) for most_s in wanted] == [0.01, 1.0, None]
    loop.watch.be_sharp()
    assert [loop.watch.rests(most_s) for most_s in wanted] == [0.01, 0.05, 0.05]


def test_a_suspend_is_told_from_a_stall() -> None:
    """CLOCK_MONOTONIC stood still meanwhile."""
    loop = Loop()
    loop.machine.boot += 5 * SECOND_NS
    assert loop.watch.trouble_since(0, SECOND_NS) == "suspended"
    loop.machine.pass_s(1)
    assert loop.watch.trouble_since(0, SECOND_NS) == "suspended"  # the same stall, of which more has passed
    loop.watch.is_back()
    since_ns = loop.clock.now_ns()
    loop.machine.pass_s(2)
    assert loop.watch.trouble_since(since_ns, SECOND_NS) == "stall"


@pytest.mark.parametrize("cause", ["no-reply", "timeout-answer", "reset", "closed", "http-408"])
def test_a_stall_excuses_what_it_may_have_brought_about(cause: str) -> None:
    """If it took more than a tenth of the timeout, and that of the probe itself."""
    loop = Loop()
    loop.machine.pass_s(0.3)
    assert loop.watch.excuse(cause, 0, 2 * SECOND_NS) == "stall"
    assert loop.watch.excuse(cause, 0, 3 * SECOND_NS) == cause
    assert loop.watch.excuse(cause, 150 * MILLISECOND_NS, 2 * SECOND_NS) == cause


def test_being_busy_excuses_a_conversation_but_no_missing_echo() -> None:
    """The kernel stamps replies while we are at work; it is what we were kept from that counts."""
    loop = Loop()
    loop.machine.pass_s(0.5)
    loop.machine.cpu += 450 * MILLISECOND_NS
    assert loop.watch.excuse("timeout-answer", 0, SECOND_NS) == "stall"
    assert loop.watch.excuse("no-reply", 0, SECOND_NS) == "no-reply"
    loop.machine.pass_s(0.2)
    assert loop.watch.excuse("no-reply", 0, SECOND_NS) == "stall"


def test_time_at_work_counts_once() -> None:
    """What a turn ran is no excuse for the next stall of an echo, nor does it hide more than its own."""
    loop = Loop()
    loop.machine.pass_s(0.5)
    loop.machine.cpu += 500 * MILLISECOND_NS
    loop.watch.is_back()
    loop.rest(0.1, 0.4)
    assert loop.watch.excuse("no-reply", 0, 2 * SECOND_NS) == "stall"


@pytest.mark.parametrize("cause", ["refused", "unreachable", "http-503", "tls", "dns", "malformed", "send"])
def test_a_stall_excuses_nothing_that_the_other_side_has_said(cause: str) -> None:
    loop = Loop()
    loop.machine.pass_s(3)
    assert loop.watch.excuse(cause, 0, SECOND_NS) == cause


def test_a_sleep_of_the_host_is_noted_where_probes_were_missed() -> None:
    """One unknown probe, when the next was due, tells the gap's cause; an ordinary stall needs none."""
    for sleeps in (False, True):
        loop, told = Loop(), Told()
        series = Series("icmp", Incarnation("icmp.1"), told)
        series.add(TargetId("t"), None, 0, RATES)
        series.good(series.issue(0, RATES), Answer(1), 1, RATES)
        if sleeps:
            loop.machine.boot += 60 * SECOND_NS
        else:
            loop.machine.pass_s(60)
        note_suspension(series, loop.watch, loop.clock.now_ns(), RATES)
        series.good(series.issue(loop.clock.now_ns(), RATES), Answer(1), loop.clock.now_ns(), RATES)
        verdicts = [span.verdict for span in told.spans.values()]
        assert verdicts == (["up", "unknown", "up"] if sleeps else ["up", "up"])
        if sleeps:
            assert list(told.spans.values())[1].causes == {"suspended": 1}
