"""However the wall clock is stepped: no figure depends on it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from downtimer import clock
from downtimer.clock import STEP_NS, RunClock, Stamps
from downtimer.model import MILLISECOND_NS, SECOND_NS
from downtimer.report import json_report
from downtimer.report.summary import build
from tests.unit.machine import Machine
from tests.unit.runs import RUN, MemoryReader
from tests.unit.sampled import CHECKS, NOVA, Sampled

MICROSECOND_NS = 1_000
WAITS = st.integers(0, 2 * SECOND_NS)
STEPS = st.one_of(
    st.just(0),
    st.integers(-STEP_NS, STEP_NS),
    st.integers(-(10**6), 10**6).map(lambda value: value * MILLISECOND_NS),
)


def _pass_ns(machine: Machine, wait_ns: int, step_ns: int) -> None:
    machine.pass_ns(wait_ns)
    machine.utc += step_ns


@given(st.lists(st.tuples(WAITS, STEPS), max_size=20))
def test_instants_are_those_of_a_machine_that_is_never_stepped(course: list[tuple[int, int]]) -> None:
    machine, steady = Machine(), Machine()
    ours, theirs = RunClock(clock.tie(machine), machine), RunClock(clock.tie(steady), steady)
    for wait_ns, step_ns in course:
        _pass_ns(machine, wait_ns, step_ns)
        _pass_ns(steady, wait_ns, 0)
        assert ours.now_ns() == theirs.now_ns()
        assert ours.slept_ns() == 0


@given(st.lists(st.tuples(WAITS, WAITS, WAITS, STEPS, STEPS), min_size=1, max_size=20))
def test_stamp_of_an_answer_is_right_unless_it_is_said_to_be_doubtful(
    course: list[tuple[int, int, int, int, int]],
) -> None:
    """Right but for what slews unnoticed; and if in doubt, yet never before the send nor after now."""
    machine = Machine()
    run_clock = RunClock(clock.tie(machine), machine)
    stamps = Stamps(run_clock)
    for flight_ns, wait_ns, idle_ns, first_ns, second_ns in course:
        sent_ns = run_clock.now_ns()
        _pass_ns(machine, flight_ns, first_ns)
        came_ns, stamp_ns = run_clock.now_ns(), machine.utc
        _pass_ns(machine, wait_ns, second_ns)
        batch = stamps.batch()
        at_ns = batch.instant_ns(stamp_ns, sent_ns)
        if first_ns == second_ns == 0:
            assert at_ns == came_ns
        elif batch.is_sure and abs(first_ns) + abs(second_ns) <= STEP_NS:
            assert abs(at_ns - came_ns) <= STEP_NS
        elif not batch.is_sure:
            assert sent_ns <= at_ns <= run_clock.now_ns()
        machine.pass_ns(idle_ns)


def _report(checks: Sequence[Sampled], start_utc_ns: int) -> object:
    spans = [span for check in checks for span in check.spans()]
    reader = MemoryReader(states=[NOVA], the_spans=spans, the_run=replace(RUN, start_utc_ns=start_utc_ns))
    return json.loads("".join(json_report.render(build(reader))))


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value of a document, and where it is."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{path}/{key}")
    else:
        yield path, value


def _moved(value: object, by_us: int) -> object:
    """Return an instant so much later; anything else as it is."""
    if isinstance(value, str) and value.endswith("Z"):
        return datetime.fromisoformat(value) + timedelta(microseconds=by_us)
    return value


@given(CHECKS, st.integers(-(10**14), 10**14))
@settings(max_examples=100, deadline=None)
def test_report_of_a_run_at_another_time_differs_in_its_instants_only(
    checks: Sequence[Sampled], by_us: int
) -> None:
    here = _leaves(_report(checks, RUN.start_utc_ns))
    there = _leaves(_report(checks, RUN.start_utc_ns + by_us * MICROSECOND_NS))
    assert [(path, _moved(value, by_us)) for path, value in here] == [
        (path, _moved(value, 0)) for path, value in there
    ]
