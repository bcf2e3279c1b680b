"""The addresses that are followed closely, and the echo requests to them that are under way.

A request is known by its cookie. A router's error may quote less than that; then its sequence number has to
do. Those to calm addresses are kept beside these (`downtimer.workers.addresses`).
"""

import heapq
from collections.abc import Iterator
from typing import Final

from downtimer.model import SECOND_NS, TargetId
from downtimer.series import Series
from downtimer.workers.lane import Lane

LATE_NS: Final = 5 * SECOND_NS
"""How long after its deadline a reply is still recognised, as a late one."""


class Followed:
    """An address that something has happened to, or may have.

    Attributes:
        lane: The way to it.
        row: Of its lane's addresses.
        id: Of the target.
        series: Its probes.
        wake_ns: Its entry in the schedule that counts; None: it has none.
        is_gone: It is probed no more, or is calm again.
    """

    __slots__ = ("id", "is_gone", "lane", "row", "series", "wake_ns")

    def __init__(self, lane: Lane, row: int, target: TargetId, series: Series) -> None:
        self.lane = lane
        self.row = row
        self.id = target
        self.series = series
        self.wake_ns: int | None = None
        self.is_gone = False

    @property
    def is_reference(self) -> bool:
        """Whether it only tells whether our own link works."""
        return bool(self.lane.addresses.is_reference[self.row])


class Flight:
    """A request under way, or past its deadline and still recognised. `is_over`: answered or failed."""

    __slots__ = ("address", "cookie", "is_over", "sent_ns", "sequence")

    def __init__(self, address: Followed, sent_ns: int, sequence: int, cookie: bytes) -> None:
        self.address = address
        self.sent_ns = sent_ns
        self.sequence = sequence
        self.cookie = cookie
        self.is_over = False

    def __lt__(self, other: "Flight") -> bool:
        return self.sent_ns < other.sent_ns


class Flights:
    """All requests under way to followed addresses, by when they were sent."""

    def __init__(self) -> None:
        self._by_cookie: dict[bytes, Flight] = {}
        self._by_number: dict[tuple[TargetId, int], Flight] = {}  # of those that are flying
        self._flying: list[Flight] = []  # heaps
        self._young: list[Flight] = []  # sent a moment ago
        self._late: list[Flight] = []  # failed by their deadline

    def begin(self, address: Followed, sent_ns: int, sequence: int, cookie: bytes) -> Flight:
        """Return a request that has just been sent."""
        flight = self.go_on(address, sent_ns, sequence, cookie)
        heapq.heappush(self._young, flight)
        return flight

    def go_on(self, address: Followed, sent_ns: int, sequence: int, cookie: bytes) -> Flight:
        """Return a request that was sent a while ago, and that nobody waits for to have grown."""
        flight = Flight(address, sent_ns, sequence, cookie)
        heapq.heappush(self._flying, flight)
        self._by_cookie[cookie] = self._by_number[address.id, sequence] = flight
        return flight

    def known(self, cookie: bytes) -> Flight | None:
        """Return the request with this cookie; None if it is none of ours, or was answered."""
        return self._by_cookie.get(cookie)

    def answered(self, flight: Flight) -> None:
        """Note that a reply has come: another one would be a duplicate."""
        self._by_cookie.pop(flight.cookie, None)

    def of(self, address: Followed, sequence: int) -> Flight | None:
        """Return the request under way to an address with this sequence number, None if there is none."""
        return self._by_number.get((address.id, sequence))

    def oldest_ns(self) -> int | None:
        """Return when the oldest of those was sent that are under way; None if there is none."""
        self._drop_over()
        return self._flying[0].sent_ns if self._flying else None

    def next_deadline_ns(self, timeout_ns: int) -> int | None:
        """Return when to look for what is overdue; None if nothing is under way."""
        oldest_ns = self.oldest_ns()
        return None if oldest_ns is None else oldest_ns + timeout_ns

    def next_grown_ns(self, youth_ns: int) -> int | None:
        """Return when the oldest of the young ones that are under way has been so for so long."""
        while self._young and self._young[0].is_over:
            heapq.heappop(self._young)
        return self._young[0].sent_ns + youth_ns if self._young else None

    def take_grown(self, now_ns: int, youth_ns: int) -> Iterator[Flight]:
        """Yield, once each, what has been under way for so long."""
        young = self._young
        while young and (young[0].is_over or young[0].sent_ns + youth_ns <= now_ns):
            flight = heapq.heappop(young)
            if not flight.is_over:
                yield flight

    def take_overdue(self, now_ns: int, timeout_ns: int) -> Iterator[Flight]:
        """Yield what has passed its deadline; forget what is long past."""
        self._drop_over()
        while self._flying and self._flying[0].sent_ns + timeout_ns <= now_ns:
            yield self._land()
            self._drop_over()
        while self._late and self._late[0].sent_ns + timeout_ns + LATE_NS <= now_ns:
            self._by_cookie.pop(heapq.heappop(self._late).cookie, None)

    def _drop_over(self) -> None:
        """Drop what is resolved from the top."""
        while self._flying and self._flying[0].is_over:
            self._land()

    def _land(self) -> Flight:
        """Take the oldest out of those that fly; if it has no reply it is still recognised for a while."""
        flight = heapq.heappop(self._flying)
        number = (flight.address.id, flight.sequence)
        if self._by_number.get(number) is flight:
            del self._by_number[number]
        if flight.cookie in self._by_cookie:
            heapq.heappush(self._late, flight)
        return flight
