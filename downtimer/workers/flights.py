"""What the icmp worker remembers: the addresses it probes, and the echo requests that are under way.

A request is known by the cookie in its payload. A router's error may quote less than that; then its
sequence number has to do.
"""

import os
from collections import deque
from collections.abc import Iterator
from typing import Final

from downtimer.model import SECOND_NS, Target
from downtimer.series import Series
from downtimer.workers.packets import COOKIE_SIZE, Quote, canonical
from downtimer.workers.windows import RoundTrips

LATE_NS: Final = 5 * SECOND_NS
"""How long after its deadline a reply is still recognised, as a late one."""

_COOKIES: Final = 512
_SEQUENCES: Final = 1 << 16


class Address:
    """An address that is probed.

    Attributes:
        silent_from_ns: If it has not answered by then it is told to be silent; None if it is known to
            answer, or that was told.
        is_silent: TCP is tried, too, and the first that answers is its method.
        wake_ns: Its entry in the schedule that counts; None: it has none.
        is_gone: It is probed no more.
    """

    __slots__ = (
        "family",
        "id",
        "is_gone",
        "is_reference",
        "is_silent",
        "series",
        "silent_from_ns",
        "text",
        "wake_ns",
        "window",
    )

    def __init__(self, target: Target, series: Series) -> None:
        self.family, self.text = canonical(target.name)
        self.id = target.id
        self.is_reference = target.reference
        self.series = series
        self.silent_from_ns: int | None = None
        self.is_silent = False
        self.wake_ns: int | None = None
        self.is_gone = False
        self.window = RoundTrips()


class Flight:
    """A request under way, or past its deadline and still recognised. `is_over`: answered or failed."""

    __slots__ = ("address", "cookie", "is_over", "sent_ns", "sequence")

    def __init__(self, address: Address, sent_ns: int, sequence: int, cookie: bytes) -> None:
        self.address = address
        self.sent_ns = sent_ns
        self.sequence = sequence
        self.cookie = cookie
        self.is_over = False


class Flights:
    """All requests under way, by when they were sent."""

    def __init__(self) -> None:
        self._by_cookie: dict[bytes, Flight] = {}
        self._by_sequence: list[Flight | None] = [None] * _SEQUENCES
        self._flying: deque[Flight] = deque()
        self._young: deque[Flight] = deque()  # sent a moment ago
        self._late: deque[Flight] = deque()  # failed by their deadline
        self._sequence = int.from_bytes(os.urandom(2), "big")
        self._cookies: list[bytes] = []

    def begin(self, address: Address, sent_ns: int) -> Flight:
        """Return a new request, with a cookie and a sequence number of its own."""
        self._sequence = (self._sequence + 1) % _SEQUENCES
        flight = Flight(address, sent_ns, self._sequence, self._draw_cookie())
        self._flying.append(flight)
        self._young.append(flight)
        self._by_cookie[flight.cookie] = self._by_sequence[flight.sequence] = flight
        return flight

    def answered_by(self, cookie: bytes, source: str) -> Flight | None:
        """Return the request that a reply answers, the first time; None if it answers none of ours."""
        flight = self._by_cookie.get(cookie)
        if flight is None or flight.address.text != source:
            return None  # a duplicate, another program's, or from somebody else
        del self._by_cookie[cookie]
        return flight

    def quoted_by(self, quote: Quote) -> Flight | None:
        """Return the request that an ICMP error quotes; None if it is none of ours."""
        if quote.cookie is not None:
            flight = self._by_cookie.get(quote.cookie)
        else:
            flight = self._by_sequence[quote.sequence]
        if flight is None or quote.destination not in (None, flight.address.text):
            return None
        return flight

    def oldest_ns(self) -> int | None:
        """Return when the oldest of those was sent that are under way; None if there is none."""
        return next((flight.sent_ns for flight in self._flying if not flight.is_over), None)

    def next_deadline_ns(self, timeout_ns: int) -> int | None:
        """Return when to look for what is overdue; None if nothing is under way."""
        return self._flying[0].sent_ns + timeout_ns if self._flying else None

    def next_grown_ns(self, youth_ns: int) -> int | None:
        """Return when the oldest of the young ones that are under way has been so for so long."""
        young = self._young
        while young and young[0].is_over:
            young.popleft()
        return young[0].sent_ns + youth_ns if young else None

    def take_grown(self, now_ns: int, youth_ns: int) -> Iterator[Flight]:
        """Yield, once each, what has been under way for so long."""
        young = self._young
        while young and (young[0].is_over or young[0].sent_ns + youth_ns <= now_ns):
            flight = young.popleft()
            if not flight.is_over:
                yield flight

    def take_overdue(self, now_ns: int, timeout_ns: int) -> Iterator[Flight]:
        """Yield what has passed its deadline; forget what is resolved, and what is long past."""
        flying, late = self._flying, self._late
        while flying and (flying[0].is_over or flying[0].sent_ns + timeout_ns <= now_ns):
            flight = flying.popleft()
            if not flight.is_over:
                yield flight
            if flight.cookie in self._by_cookie:
                late.append(flight)
        while late and late[0].sent_ns + timeout_ns + LATE_NS <= now_ns:
            self._by_cookie.pop(late.popleft().cookie, None)

    def _draw_cookie(self) -> bytes:
        """Return a random cookie; they are drawn from the kernel by the hundred."""
        if not self._cookies:
            drawn = os.urandom(_COOKIES * COOKIE_SIZE)
            self._cookies = [drawn[at : at + COOKIE_SIZE] for at in range(0, len(drawn), COOKIE_SIZE)]
        return self._cookies.pop()
