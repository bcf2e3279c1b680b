"""The run's clock: one tie to UTC, untouched by steps, carried over a reboot."""

from dataclasses import replace

import pytest

from downtimer import clock
from downtimer.clock import RunClock, Stamps
from downtimer.model import SECOND_NS, Run, RunId
from downtimer.report.wording import rfc3339
from tests.unit.machine import UTC_NS, Machine


def run_of(anchor: clock.Anchor) -> Run:
    """Return a run that began at `anchor`."""
    return Run(
        id=RunId("r"),
        label="",
        vantage="v",
        cloud="",
        start_utc_ns=anchor.start_utc_ns,
        boot_origin_ns=anchor.boot_origin_ns,
        boot_id=anchor.boot_id,
    )


def test_a_run_begins_at_instant_zero() -> None:
    machine = Machine()
    assert RunClock(clock.tie(machine), machine).now_ns() == 0


def test_a_step_of_the_wall_clock_moves_no_instant_and_is_told_once() -> None:
    machine = Machine()
    run_clock = RunClock(clock.tie(machine), machine)
    machine.pass_s(5)
    machine.utc += 3_600 * SECOND_NS
    assert run_clock.now_ns() == 5 * SECOND_NS
    assert run_clock.wall_step_ns() == 3_600 * SECOND_NS
    assert run_clock.wall_step_ns() == 0


def test_a_run_goes_on_with_its_old_tie_in_the_same_boot() -> None:
    machine = Machine()
    run = run_of(clock.tie(machine))
    machine.pass_s(60)
    machine.utc += 999 * SECOND_NS  # stepped: no matter
    again = clock.tie_again(run, 30 * SECOND_NS, machine)
    assert RunClock(again, machine).now_ns() == 60 * SECOND_NS


def test_a_run_goes_on_from_utc_after_a_reboot() -> None:
    machine = Machine()
    run = run_of(clock.tie(machine))
    machine.pass_s(600)
    machine.boot, machine.name = 20 * SECOND_NS, "second"
    again = clock.tie_again(run, 500 * SECOND_NS, machine)
    assert RunClock(again, machine).now_ns() == 600 * SECOND_NS
    assert again.boot_id == "second"
    assert again.start_utc_ns == run.start_utc_ns


def test_a_run_never_goes_on_before_its_last_stored_instant() -> None:
    machine = Machine()
    run = run_of(clock.tie(machine))
    machine.boot, machine.name = 20 * SECOND_NS, "second"  # and the wall clock came up behind
    again = clock.tie_again(run, 500 * SECOND_NS, machine)
    assert RunClock(again, machine).now_ns() == 500 * SECOND_NS


def test_an_instant_of_the_run_is_shown_in_utc_to_the_microsecond() -> None:
    assert clock.to_utc(UTC_NS, 1_234_567_891).isoformat() == "2026-11-22T16:37:06.234568+00:00"


@pytest.mark.parametrize("at_ns", [1_234_567_499, 1_234_567_500, 1_234_567_999])
def test_an_instant_reads_the_same_in_answers_and_in_reports(at_ns: int) -> None:
    assert clock.format_utc(clock.to_utc(UTC_NS, at_ns)) == rfc3339(UTC_NS + at_ns)


def test_the_system_clocks_agree_with_themselves() -> None:
    anchor = clock.tie()
    run_clock = RunClock(anchor)
    first = run_clock.now_ns()
    assert 0 <= first <= run_clock.now_ns()
    assert replace(anchor) == anchor


def test_what_the_host_slept_is_what_the_clocks_differ_by() -> None:
    machine = Machine()
    run_clock = RunClock(clock.tie(machine), machine)
    machine.pass_s(5)
    assert run_clock.slept_ns() == 0
    machine.boot += 7 * SECOND_NS
    assert run_clock.slept_ns() == 7 * SECOND_NS


def test_a_stamp_of_the_kernel_becomes_an_instant() -> None:
    machine = Machine()
    run_clock = RunClock(clock.tie(machine), machine)
    stamps = Stamps(run_clock)
    machine.pass_s(2)
    stamp_ns = machine.utc
    machine.pass_s(1)
    batch = stamps.batch()
    assert batch.is_sure
    assert batch.instant_ns(stamp_ns, SECOND_NS) == 2 * SECOND_NS


@pytest.mark.parametrize(("step_s", "instant_s"), [(3600, 1), (-3600, 3), (0.0009, 1.9991), (0.0011, 1.9989)])
def test_a_stamp_from_before_a_step_of_the_wall_clock_is_held_between_send_and_now(
    step_s: float, instant_s: float
) -> None:
    """A step by less than a millisecond is slewing. After two seconds all is as usual."""
    machine = Machine()
    stamps = Stamps(RunClock(clock.tie(machine), machine))
    machine.pass_s(2)
    stamp_ns = machine.utc
    machine.utc += round(step_s * SECOND_NS)
    machine.pass_s(1)
    batch = stamps.batch()
    assert batch.is_sure == (step_s < 0.001 and step_s > 0)
    assert batch.instant_ns(stamp_ns, SECOND_NS) == round(instant_s * SECOND_NS)
    assert stamps.batch().instant_ns(machine.utc, SECOND_NS) == 3 * SECOND_NS
    machine.pass_s(1.9)
    assert stamps.batch().is_sure == batch.is_sure
    machine.pass_s(0.1)
    assert stamps.batch().is_sure


def test_a_stamp_is_never_later_than_now() -> None:
    """The two clocks are read one after the other."""
    machine = Machine()
    stamps = Stamps(RunClock(clock.tie(machine), machine))
    assert stamps.batch().instant_ns(machine.utc + 500, 0) == 0


def test_being_held_up_between_two_clocks_is_no_sleep() -> None:
    machine = Machine()

    class Held(Machine):
        """Loses a second when the clock of the boot is read, the first time."""

        def boot_ns(self) -> int:
            if machine.name == "first":
                machine.name = "held"
                machine.pass_s(1)
            return machine.boot

        def monotonic_ns(self) -> int:
            return machine.monotonic

    held = RunClock(clock.Anchor(0, UTC_NS, ""), Held())
    machine.name = "first"
    assert held.slept_ns() == 0


def test_being_held_up_between_two_clocks_is_no_step() -> None:
    machine = Machine()
    held_s = [0.4, 0.0, 0.0]

    class Held(Machine):
        """Is held up when the wall clock is read."""

        def boot_ns(self) -> int:
            return machine.boot

        def utc_ns(self) -> int:
            utc_ns = machine.utc
            if held_s:
                machine.pass_s(held_s.pop(0))
            return utc_ns

    run_clock = RunClock(clock.Anchor(0, UTC_NS, ""), Held())
    held_s[:] = [0.4, 0.4]
    assert run_clock.wall_step_ns() == 0
    held_s[:] = [0.4] * 9
    assert run_clock.wall_step_ns() == 0
