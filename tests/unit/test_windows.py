"""Windows of addresses: the more there are the longer, and each probe is in one of them."""

import pytest

from downtimer.messages import AddressWindow
from downtimer.model import SECOND_NS, TargetId
from downtimer.workers.records import WINDOW_NS, AddressRecord
from downtimer.workers.talk import Result
from downtimer.workers.window_length import window_ns
from tests.engines import RecordingOutbox

T = TargetId("address:10.0.0.1")


@pytest.mark.parametrize(
    ("addresses", "configured_s", "length_s"),
    [
        (0, None, 10),
        (1_000, None, 10),
        (1_001, None, 60),
        (20_000, None, 60),
        (20_001, None, None),
        (100_000, None, None),
        (100_000, 30.0, 30),
        (5, 600.0, 600),
        (5, 0.0, None),
    ],
)
def test_windows_widen_with_the_number_of_addresses(
    addresses: int, configured_s: float | None, length_s: int | None
) -> None:
    expected = None if length_s is None else length_s * SECOND_NS
    assert window_ns(addresses, configured_s) == expected


def _record(length_ns: int | None, windows: int) -> list[AddressWindow]:
    """Return what is on record of an address that answered once in each of so many windows of services."""
    outbox = RecordingOutbox()
    record = AddressRecord(outbox, lambda: length_ns)
    for number in range(windows):
        start_ns = number * (WINDOW_NS + SECOND_NS)  # they are never quite on time
        record.take([T], start_ns, Result(None), start_ns + number + 1)
        record.end_window([T], start_ns, is_last=number == windows - 1)
    return outbox.addresses


def test_window_of_an_address_that_is_probed_by_tcp_is_several_of_services() -> None:
    """What is left at the end is a shorter one."""
    found = _record(6 * WINDOW_NS, 8)
    assert [(window.start_ns, window.sent) for window in found] == [(0, 6), (6 * (WINDOW_NS + SECOND_NS), 2)]
    assert (found[0].rtt_min_ns, found[0].rtt_max_ns) == (1, 6)


def test_window_that_is_as_long_is_told_each_time() -> None:
    assert [window.sent for window in _record(WINDOW_NS, 3)] == [1, 1, 1]


def test_nothing_is_told_where_nothing_is_wanted() -> None:
    assert _record(None, 3) == []
