"""The addresses of a family as columns: rows that come and go, and who is due."""

import socket
import struct

import numpy as np
import pytest

from downtimer.model import SECOND_NS, Baseline, Incarnation, TargetId
from downtimer.series import Calm
from downtimer.workers.addresses import Addresses
from downtimer.workers.packets import V4, V6, Family

MANY = 200


def made(family: Family, count: int) -> Addresses:
    """Return so many calm addresses; the first is due the last."""
    addresses = Addresses(family, Incarnation("icmp.1"), timeout_ns=SECOND_NS)
    for number in range(count):
        row = addresses.add(TargetId(str(number)), packed(family, number))
        addresses.put_back(row, Calm(Baseline(), (), count - number))
    return addresses


def packed(family: Family, number: int) -> bytes:
    """Return an address."""
    return number.to_bytes(family.packed_length, "big")


@pytest.mark.parametrize("family", [V4, V6])
def test_address_is_found_by_its_row_and_the_other_way_round(family: Family) -> None:
    """Also when there came more of them than there was room for."""
    addresses = made(family, MANY)
    for number in (0, 1, MANY - 1):
        row = addresses.row_of[TargetId(str(number))]
        assert addresses.packed(row) == packed(family, number)
        addresses.number(row, number)
        assert addresses.row_asked(number, packed(family, number)) == row
        assert addresses.row_asked(number, packed(family, MANY)) is None
        assert addresses.row_asked(number + 1, packed(family, number)) is None
    assert addresses.calm() == (0, MANY)


def test_name_is_what_the_kernel_takes() -> None:
    """With the port 0."""
    addresses = Addresses(V4, Incarnation("icmp.1"), timeout_ns=SECOND_NS)
    row = addresses.add(TargetId("one"), socket.inet_aton("10.1.2.3"))
    name = bytes(addresses.names[row, : V4.name_length])
    assert name == struct.pack("=H", socket.AF_INET) + bytes(2) + socket.inet_aton("10.1.2.3") + bytes(8)


def test_when_not_all_may_be_probed_those_are_that_are_due_for_the_longest() -> None:
    """Else the budget, when it is short, would go to the first rows for ever."""
    addresses = made(V4, MANY)
    due = addresses.due(MANY)
    assert len(due) == MANY
    chosen = addresses.longest_due(due, 10)
    assert sorted(chosen.tolist()) == list(range(MANY - 10, MANY))
    assert addresses.longest_due(due, MANY).tolist() == due.tolist()
    assert addresses.due(0).tolist() == []


def test_row_that_is_given_free_has_nothing_of_its_former_address() -> None:
    """Whoever gets it next begins anew."""
    addresses = made(V4, 2)
    row = addresses.row_of[TargetId("0")]
    rows = np.array([row])
    addresses.issue(rows, np.array([5]), np.array([7], np.uint64), interval_ns=10, gap_ns=30)
    assert addresses.answered(rows, np.array([3]), is_sure=True).opened.tolist() == [row]
    addresses.is_silent[row] = True
    span = addresses.remove(row)
    assert span is not None
    assert (span.first_sent_ns, span.probes) == (5, 1)
    assert addresses.oldest_ns() is None
    assert not addresses.has_under_way(row)
    assert addresses.add(TargetId("new"), packed(V4, 9)) == row
    addresses.put_back(row, Calm(Baseline(), (), 1))
    assert addresses.span(row) is None
    assert not addresses.is_silent[row]
    assert not addresses.has_under_way(row)
    assert addresses.take_out(row).latencies == ()


def test_only_what_was_answered_before_can_be_overdue() -> None:
    """One that never was has no last probe from which the time could be counted."""
    addresses = made(V4, 2)
    rows = np.array([0, 1])
    addresses.issue(rows, np.array([5, 5]), np.array([7, 8], np.uint64), interval_ns=10, gap_ns=30)
    addresses.answered(rows[:1], np.array([3]), is_sure=True)
    assert addresses.are_overdue(rows, 35).tolist() == [False, False]
    assert addresses.are_overdue(rows, 36).tolist() == [True, False]
