"""When followed addresses are due, and what the budget allows. Owned by the icmp worker; pure.

When the budget is short, what is suspect or failing goes first, up to half of it; it gets the rest last.
"""

import heapq
import itertools
from typing import Final

from downtimer.model import NEVER_NS
from downtimer.pace import Bucket, Rates
from downtimer.workers.flights import Followed

_Entries = list[tuple[int, int, Followed]]

TURN_MAX: Final = 128
"""Followed addresses that are probed in one turn, so that under load each turn stays short."""


class Schedule:
    """Followed addresses by when they are due, and the cap on all that is sent."""

    def __init__(self, budget: int) -> None:
        self._urgent: _Entries = []
        self._regular: _Entries = []
        self._numbers = itertools.count()
        self._bucket = Bucket(budget)
        self._urgent_bucket = Bucket(max(budget // 2, 1))

    def put(self, address: Followed, rates: Rates) -> None:
        """Enter an address for when it is due, unless it is so already."""
        due_ns = None if address.is_gone else address.series.due_ns(rates)
        if due_ns == address.wake_ns:
            return
        address.wake_ns = due_ns
        if due_ns is not None:
            is_urgent = address.series.pace.is_urgent(due_ns, rates)
            entries = self._urgent if is_urgent else self._regular
            heapq.heappush(entries, (due_ns, next(self._numbers), address))

    def next_ns(self) -> int:
        """Return when the next is due."""
        return min((entries[0][0] for entries in (self._urgent, self._regular) if entries), default=NEVER_NS)

    @property
    def has_urgent(self) -> bool:
        """Whether some are suspect or failing."""
        return bool(self._urgent)

    def take_first(self, due_ns: int, now_ns: int) -> list[Followed]:
        """Return those that are due and go first: the urgent, within their half, and the others."""
        urgent = self._take(self._urgent, due_ns, now_ns, TURN_MAX, self._urgent_bucket)
        return urgent + self._take(self._regular, due_ns, now_ns, TURN_MAX - len(urgent))

    def take_last(self, due_ns: int, now_ns: int, most: int) -> list[Followed]:
        """Return the urgent ones that are due and have gone beyond their half, at most so many."""
        return self._take(self._urgent, due_ns, now_ns, most)

    def allow(self, count: int, now_ns: int) -> int:
        """Return how many of `count` others may be probed now; they are reckoned as sent."""
        return self._bucket.take(count, now_ns)

    def _take(
        self, entries: _Entries, due_ns: int, now_ns: int, most: int, half: Bucket | None = None
    ) -> list[Followed]:
        taken: list[Followed] = []
        while entries and entries[0][0] <= due_ns and len(taken) < most:
            entered_ns, _, address = entries[0]
            if entered_ns != address.wake_ns:  # it has been entered elsewhere since
                heapq.heappop(entries)
                continue
            if half is not None and half.is_empty(now_ns):
                break
            if not self._bucket.take(1, now_ns):
                break
            if half is not None:
                half.take(1, now_ns)
            heapq.heappop(entries)
            address.wake_ns = None
            taken.append(address)
        return taken
