"""The icmp worker: sends echo requests to addresses, and matches what comes back.

What is due is sent in batches every few milliseconds. A reply counts if it comes from the address that
was asked and brings back the cookie of that very probe; its latency is by the kernel's receive stamp,
so it does not matter when we get round to reading it. Before a probe is judged by its deadline, all
that has come in is read.
"""

import asyncio
import heapq
import logging
import os
from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from downtimer.model import (
    ICMP,
    MILLISECOND_NS,
    SECOND_NS,
    Kind,
    Span,
    Target,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.pace import Bucket, Rates
from downtimer.series import Answer, Series
from downtimer.source import Source
from downtimer.verdicts import cause_of_errno, verdict_of
from downtimer.workers import probing
from downtimer.workers.echo import EchoSocket, EchoSockets, Reply
from downtimer.workers.packets import COOKIE_SIZE, Quote, canonical
from downtimer.workers.probing import Counts, Findings
from downtimer.workers.windows import RoundTrips
from downtimer.workers.worker import CannotStartError, Child, main

log = logging.getLogger(__name__)

BATCH_NS: Final = 4 * MILLISECOND_NS
WINDOW_NS: Final = 10 * SECOND_NS
LATE_NS: Final = 5 * SECOND_NS
"""How long after its deadline a reply is still recognised, as a late one."""

_READ_MAX: Final = 4_096
_DRAIN_MAX: Final = 1_000_000  # more than any buffer holds
_COOKIES: Final = 512
_SEQUENCE_MASK: Final = 0xFFFF
_TRIES: Final = 3


class _Address:
    """An address that is probed."""

    __slots__ = ("family", "id", "is_gone", "is_reference", "series", "text", "wake_ns", "window")

    def __init__(self, target: Target, series: Series) -> None:
        self.family, self.text = canonical(target.name)
        self.id = target.id
        self.is_reference = target.reference
        self.series = series
        self.is_gone = False
        self.wake_ns: int | None = None  # its entry in the schedule that counts; None: it has none
        self.window = RoundTrips()


class _Flight:
    """A probe under way, or past its deadline and still recognised."""

    __slots__ = ("address", "cookie", "is_over", "sent_ns", "sequence")

    def __init__(self, address: _Address, sequence: int, cookie: bytes) -> None:
        self.address = address
        self.sequence = sequence
        self.cookie = cookie
        self.sent_ns = 0
        self.is_over = False  # answered or failed


class IcmpEngine:
    """Probes addresses."""

    def __init__(self, child: Child, findings: Findings) -> None:
        config = child.settings.config
        self._child = child
        self._clock = child.clock
        self._findings = findings
        self._section = config.icmp
        self._wants_windows = config.db is not None
        self._sockets = EchoSockets(Source(config.targets.source), self._read)
        self._addresses: dict[TargetId, _Address] = {}
        self._schedule: list[tuple[int, int, _Address]] = []
        self._scheduled = 0
        self._by_cookie: dict[bytes, _Flight] = {}
        self._flying: deque[_Flight] = deque()  # by sent_ns
        self._late: deque[_Flight] = deque()  # failed by their deadline; by sent_ns
        self._by_sequence: list[_Flight | None] = [None] * (_SEQUENCE_MASK + 1)
        self._sequence = int.from_bytes(os.urandom(2), "big")
        self._cookies: list[bytes] = []
        self._bucket = Bucket(self._section.budget)
        self._seconds_ns = self._window_ns = self._clock.now_ns()
        self._rates = self._make_rates(self._window_ns)
        self._loop = asyncio.get_running_loop()
        self._sleeper: asyncio.Future[None] | None = None
        self._bugs: set[str] = set()

    # --- targets ---

    def update(self, state: TargetState) -> None:
        """Take an address that is new, has changed or is retired; services are passed over.

        Raises:
            CannotStartError: Neither kind of socket is permitted.
        """
        target = state.target
        if target.kind is not Kind.ADDRESS:
            return
        if state.retired_ns is not None:
            self._forget(target.id)
        elif target.id not in self._addresses:
            series = Series(ICMP, self._child.incarnation, self._findings)
            address = _Address(target, series)
            try:
                self._sockets.of(address.family)
            except CannotStartError as exc:
                if not target.reference:
                    raise
                # It only helps to judge other addresses, of which there are none then.
                log.warning("reference %s is not probed: %s", target.name, exc)
                return
            series.add(target.id, state.baselines.get(ICMP), self._clock.now_ns(), self._rates)
            self._addresses[target.id] = address
            self._put(address)
            self._wake()

    def keep_only(self, targets: Iterable[TargetId]) -> None:
        """Forget every target but these."""
        for target in self._addresses.keys() - set(targets):
            self._forget(target)

    def _forget(self, target: TargetId) -> None:
        address = self._addresses.pop(target, None)
        if address is None:
            return
        address.is_gone, address.wake_ns = True, None
        address.series.remove(target)

    # --- how it stands ---

    def counts(self) -> Counts:
        """Return how the addresses stand, references aside."""
        mine = (address for address in self._addresses.values() if not address.is_reference)
        found = Counter(address.series.latest for address in mine)
        return Counts(
            unseen=found.pop(None, 0),
            **{verdict.value: number for verdict, number in found.items() if verdict is not None},
        )

    def through_ns(self) -> int:
        """Return the instant up to which every probe is sent and judged."""
        now_ns = self._clock.now_ns()
        oldest = next((flight for flight in self._flying if not flight.is_over), None)
        judged_ns = now_ns if oldest is None else oldest.sent_ns - 1
        due_ns = self._schedule[0][0] if self._schedule else now_ns
        return min(judged_ns, due_ns)

    def interval_ns(self) -> int:
        """Return the longest interval in force."""
        return self._rates.longest_ns

    def widest_ns(self) -> int:
        """Return the largest distance between two neighbouring probes of one address so far."""
        return max((address.series.widest_ns for address in self._addresses.values()), default=0)

    def open_spans(self) -> Iterable[Span]:
        """Return the spans that are growing."""
        return [span for address in self._addresses.values() for span in address.series.open_spans()]

    # --- work ---

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            now_ns = self._clock.now_ns()
            self._expire(now_ns)
            self._send_due(now_ns)
            if now_ns - self._seconds_ns >= SECOND_NS:
                self._look_round(now_ns)
            await self._sleep(self._next_ns(now_ns) - now_ns)

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""
        while any(not flight.is_over for flight in self._flying):
            self._expire(self._clock.now_ns())
            await asyncio.sleep(BATCH_NS / SECOND_NS)
        self._end_window(self._clock.now_ns())
        for address in self._addresses.values():
            address.series.remove(address.id)
        self._sockets.close()

    def _next_ns(self, now_ns: int) -> int:
        """Return when there is something to do: a batch to send or a deadline."""
        next_ns = now_ns + SECOND_NS
        if self._schedule:
            next_ns = min(next_ns, self._schedule[0][0])
        if self._flying:
            next_ns = min(next_ns, self._flying[0].sent_ns + self._rates.timeout_ns)
        return max(next_ns, now_ns + BATCH_NS)

    async def _sleep(self, wait_ns: int) -> None:
        """Sleep for so long, or until woken. Cheaper than asyncio.timeout(), which takes a turn more."""
        self._sleeper = self._loop.create_future()
        timer = self._loop.call_later(wait_ns / SECOND_NS, self._wake)
        try:
            await self._sleeper
        finally:
            timer.cancel()

    def _wake(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    # --- sending ---

    def _put(self, address: _Address) -> None:
        """Schedule an address for when it is due, unless it is already."""
        due_ns = None if address.is_gone else address.series.due_ns(self._rates)
        if due_ns == address.wake_ns:
            return
        address.wake_ns = due_ns
        if due_ns is not None:
            self._scheduled += 1
            heapq.heappush(self._schedule, (due_ns, self._scheduled, address))
            if due_ns <= self._schedule[0][0]:
                self._wake()

    def _send_due(self, now_ns: int) -> None:
        """Send all that is due, within the budget."""
        schedule = self._schedule
        while schedule and schedule[0][0] <= now_ns:
            due_ns, _, address = schedule[0]
            if due_ns == address.wake_ns and self._bucket.wait_ns(self._clock.now_ns()):
                return
            heapq.heappop(schedule)
            if due_ns == address.wake_ns:
                address.wake_ns = None
                self._send(address)
                self._put(address)

    def _send(self, address: _Address) -> None:
        """Send one probe."""
        opened = self._sockets.of(address.family)
        flight = _Flight(address, self._sequence, self._cookie())
        self._sequence = (flight.sequence + 1) & _SEQUENCE_MASK
        flight.sent_ns = address.series.issue(self._clock.now_ns(), self._rates)
        self._flying.append(flight)
        self._by_cookie[flight.cookie] = self._by_sequence[flight.sequence] = flight
        error = opened if isinstance(opened, OSError) else self._error_of_sending(opened, flight)
        if error is not None:
            self._fail(flight, self._cause_of(error), flight.sent_ns)

    def _error_of_sending(self, opened: EchoSocket, flight: _Flight) -> OSError | None:
        """Send the request; return the error if that fails.

        On a ping socket the error may be an earlier request's: an ICMP error that was pending. Then
        this one is tried again.
        """
        error: OSError | None = None
        for _ in range(_TRIES):
            try:
                opened.send(flight.address.text, flight.sequence, flight.cookie)
            except OSError as exc:
                error = exc
            else:
                return None
            quotes = list(opened.read_errors())
            self._take(quotes)
            if not quotes:
                break
        return error

    def _cause_of(self, error: OSError) -> str:
        cause = cause_of_errno(error.errno)
        if cause == "bug" and str(error) not in self._bugs:
            self._bugs.add(str(error))
            log.error("an echo request could not be sent: %s", error)
        return cause

    def _cookie(self) -> bytes:
        """Return a random cookie; they are drawn from the kernel by the hundred."""
        if not self._cookies:
            drawn = os.urandom(_COOKIES * COOKIE_SIZE)
            self._cookies = [drawn[at : at + COOKIE_SIZE] for at in range(0, len(drawn), COOKIE_SIZE)]
        return self._cookies.pop()

    # --- what comes back ---

    def _read(self, opened: EchoSocket) -> None:
        """Take what has come in."""
        self._take(opened.read(_READ_MAX))

    def _take(self, came: Iterable[Reply | Quote]) -> None:
        now_ns = self._clock.now_ns()
        origin_ns = self._clock.from_realtime_ns(0, now_ns)
        for each in came:
            if isinstance(each, Reply):
                self._take_reply(each, origin_ns, now_ns)
            else:
                self._take_error(each, now_ns)

    def _take_reply(self, reply: Reply, origin_ns: int, now_ns: int) -> None:
        """Resolve the probe that a reply answers; `origin_ns`: the instant of CLOCK_REALTIME's zero."""
        flight = self._by_cookie.get(reply.cookie)
        if flight is None or flight.address.text != reply.source:
            return  # a duplicate, another program's, or from somebody else
        del self._by_cookie[reply.cookie]
        address = flight.address
        came_ns = now_ns if reply.stamp_ns is None else origin_ns + reply.stamp_ns
        if came_ns > now_ns:
            came_ns = min(came_ns, self._clock.now_ns())
        latency_ns = max(came_ns - flight.sent_ns, 0)
        if flight.is_over or latency_ns > self._rates.timeout_ns:
            self._fail(flight, "no-reply", now_ns)
            address.series.hurry(now_ns, self._rates)
        else:
            flight.is_over = True
            address.series.good(flight.sent_ns, Answer(latency_ns), now_ns, self._rates)
            if self._wants_windows:
                address.window.answered(latency_ns)
        self._put(address)

    def _take_error(self, quote: Quote, now_ns: int) -> None:
        """Resolve the probe that met an ICMP error."""
        if quote.cookie is not None:
            flight = self._by_cookie.get(quote.cookie)
        else:
            flight = self._by_sequence[quote.sequence]
        if flight is not None and quote.destination in (None, flight.address.text):
            self._fail(flight, "unreachable", now_ns)

    def _fail(self, flight: _Flight, cause: str, now_ns: int) -> None:
        """Resolve a probe that failed, unless it is resolved already."""
        if flight.is_over:
            return
        flight.is_over = True
        address = flight.address
        address.series.bad(flight.sent_ns, cause, now_ns, self._rates)
        if self._wants_windows and verdict_of(cause) is Verdict.DOWN:
            address.window.failed()
        self._put(address)

    def _expire(self, now_ns: int) -> None:
        """Fail what has passed its deadline, once all that came in is read; forget what is long past."""
        flying, timeout_ns = self._flying, self._rates.timeout_ns
        if flying and flying[0].sent_ns + timeout_ns <= now_ns:
            for opened in self._sockets.opened():
                self._take(opened.read(_DRAIN_MAX))
        while flying and (flying[0].is_over or flying[0].sent_ns + timeout_ns <= now_ns):
            flight = flying.popleft()
            self._fail(flight, "no-reply", now_ns)
            if flight.cookie in self._by_cookie:
                self._late.append(flight)
        while self._late and self._late[0].sent_ns + timeout_ns + LATE_NS <= now_ns:
            self._by_cookie.pop(self._late.popleft().cookie, None)

    # --- once a second ---

    def _look_round(self, now_ns: int) -> None:
        self._seconds_ns = now_ns
        self._rates = self._make_rates(now_ns)
        self._sockets.try_again()
        if now_ns - self._window_ns >= WINDOW_NS:
            self._end_window(now_ns)

    def _make_rates(self, now_ns: int) -> Rates:
        paces = [address.series.pace for address in self._addresses.values()]
        return Rates.within(
            self._section,
            checks=len(paces),
            fast=sum(pace.is_in_episode(now_ns, self._rates) for pace in paces) if paces else 0,
        )

    def _end_window(self, now_ns: int) -> None:
        """Put what came of the addresses' probes on record, and begin anew."""
        start_ns, self._window_ns = self._window_ns, now_ns
        if not self._wants_windows:
            return
        for address in self._addresses.values():
            if address.window.sent:
                self._findings.outbox.address(address.window.message(address.id, start_ns))
                address.window = RoundTrips()


async def body(child: Child) -> None:
    """Be the icmp worker."""
    await probing.run(child, IcmpEngine)


if __name__ == "__main__":
    main("icmp", body)
