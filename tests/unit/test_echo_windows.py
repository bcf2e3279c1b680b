"""The windows of addresses as columns: the same figures as those that are kept one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from downtimer.model import TargetId
from downtimer.workers.echo_windows import EchoWindows
from downtimer.workers.windows import RoundTrips

ROWS = 3
ID = [TargetId(f"address/10.0.0.{row}") for row in range(ROWS)]
PROBES = st.lists(st.tuples(st.integers(0, ROWS - 1), st.none() | st.integers(0, 10**10)), max_size=30)


@given(PROBES, PROBES)
def test_figures_are_those_of_each_address_alone(
    before: list[tuple[int, int | None]], after: list[tuple[int, int | None]]
) -> None:
    """In a first window and in the next, which begins anew; whoever was not probed has none."""
    windows = EchoWindows()
    windows.make_room(ROWS)
    for start_ns, probes in ((0, before), (7, after)):
        alone = [RoundTrips() for _ in range(ROWS)]
        for row, latency_ns in probes:
            if latency_ns is None:
                windows.failed(row)
                alone[row].failed()
            else:
                windows.answered(np.array([row]), np.array([latency_ns]))
                alone[row].answered(latency_ns)
        expected = [trips.message(ID[row], start_ns) for row, trips in enumerate(alone) if trips.sent]
        assert list(windows.take(ID, start_ns)) == expected


def test_row_that_is_given_free_leaves_nothing_to_its_successor() -> None:
    """Also if there is none by the end of the window."""
    windows = EchoWindows()
    windows.make_room(ROWS)
    windows.answered(np.array([0, 1]), np.array([5, 6]))
    windows.forget(0)
    windows.failed(0)
    windows.failed(2)
    told = list(windows.take([ID[0], ID[1], None], 0))
    assert [(window.sent, window.lost) for window in told] == [(1, 1), (1, 0)]


def test_room_grows_and_keeps_what_was_counted() -> None:
    """For addresses that are found later."""
    windows = EchoWindows()
    windows.make_room(1)
    windows.failed(0)
    windows.make_room(ROWS)
    windows.make_room(1)
    windows.failed(2)
    assert [window.target for window in windows.take(ID, 0)] == [ID[0], ID[2]]
