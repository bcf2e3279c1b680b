"""The icmp worker: sends echo requests to addresses, and matches what comes back.

What is due is sent in batches every few milliseconds. A reply counts if it comes from the address that
was asked and brings back the cookie of that very probe; its latency is by the kernel's receive stamp,
so it does not matter when we get round to reading it. Before a probe is judged by its deadline, all
that has come in is read.
"""

import asyncio
import heapq
import ipaddress
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from downtimer.messages import AddressWindow
from downtimer.model import ICMP, MILLISECOND_NS, SECOND_NS, Kind, Span, TargetId, TargetState
from downtimer.pace import Bucket, Rates
from downtimer.series import Answer, Series
from downtimer.verdicts import cause_of_errno
from downtimer.workers import packets, probing
from downtimer.workers.echo import EchoSocket, Reply
from downtimer.workers.packets import V4, V6, Family, Quote
from downtimer.workers.probing import Counts, Findings
from downtimer.workers.source import Source
from downtimer.workers.worker import Child, main

log = logging.getLogger(__name__)

BATCH_NS: Final = 4 * MILLISECOND_NS
WINDOW_NS: Final = 10 * SECOND_NS
LATE_NS: Final = 5 * SECOND_NS
"""How long after its deadline a reply is still recognised, as a late one."""

_IDLE_NS: Final = 20 * MILLISECOND_NS
_READ_MAX: Final = 4_096
_COOKIES: Final = 512
_RATES_NS: Final = SECOND_NS
_TRIES: Final = 3


@dataclass(slots=True)
class _Window:
    """What came of an address's probes since the window began."""

    sent: int = 0
    lost: int = 0
    rtt_min_ns: int = 0
    rtt_sum_ns: int = 0
    rtt_max_ns: int = 0

    def answered(self, rtt_ns: int) -> None:
        """Count an answer."""
        if self.sent == self.lost or rtt_ns < self.rtt_min_ns:
            self.rtt_min_ns = rtt_ns
        self.rtt_max_ns = max(self.rtt_max_ns, rtt_ns)
        self.rtt_sum_ns += rtt_ns
        self.sent += 1

    def message(self, target: TargetId, start_ns: int) -> AddressWindow:
        """Return it for the writer."""
        came = self.sent - self.lost
        if not came:
            return AddressWindow(target=target, start_ns=start_ns, sent=self.sent, lost=self.lost)
        return AddressWindow(
            target=target,
            start_ns=start_ns,
            sent=self.sent,
            lost=self.lost,
            rtt_min_ns=self.rtt_min_ns,
            rtt_mean_ns=self.rtt_sum_ns // came,
            rtt_max_ns=self.rtt_max_ns,
        )


class _Address:
    """An address that is probed."""

    __slots__ = ("family", "id", "series", "sequence", "text", "wake_ns", "window")

    def __init__(self, target: TargetId, text: str, series: Series) -> None:
        self.family, self.text = _canonical(text)
        self.id = target
        self.series = series
        self.sequence = int.from_bytes(os.urandom(2), "big")
        self.wake_ns: int | None = None  # its entry in the schedule that counts; None: it has none
        self.window = _Window()


class _Flight:
    """A probe under way, or past its deadline and still recognised."""

    __slots__ = ("address", "cookie", "is_over", "sent_ns", "sequence")

    def __init__(self, address: _Address, sent_ns: int, cookie: bytes) -> None:
        self.address = address
        self.sent_ns = sent_ns
        self.cookie = cookie
        self.sequence = address.sequence
        self.is_over = False  # answered, failed or forgotten


class IcmpEngine:
    """Probes addresses."""

    def __init__(self, child: Child, findings: Findings) -> None:
        config = child.settings.config
        self._child = child
        self._clock = child.clock
        self._findings = findings
        self._section = config.icmp
        self._source = Source(config.targets.source)
        self._wants_windows = config.db is not None
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Family, EchoSocket | OSError] = {}
        self._addresses: dict[TargetId, _Address] = {}
        self._schedule: list[tuple[int, int, _Address]] = []
        self._scheduled = 0
        self._by_cookie: dict[bytes, _Flight] = {}
        self._flying: deque[_Flight] = deque()  # by sent_ns
        self._late: deque[_Flight] = deque()  # failed by their deadline; by sent_ns
        self._cookies: list[bytes] = []
        self._bucket = Bucket(self._section.budget)
        self._rates = self._make_rates()
        self._rates_ns = self._window_ns = self._clock.now_ns()
        self._wake = asyncio.Event()
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
            address = _Address(target.id, target.name, series)
            self._socket(address.family)
            series.add(target.id, state.baselines.get(ICMP), self._clock.now_ns(), self._rates)
            self._addresses[target.id] = address
            self._put(address)
            self._wake.set()

    def keep_only(self, targets: Iterable[TargetId]) -> None:
        """Forget every target but these."""
        for target in self._addresses.keys() - set(targets):
            self._forget(target)

    def _forget(self, target: TargetId) -> None:
        address = self._addresses.pop(target, None)
        if address is None:
            return
        address.wake_ns = None
        address.series.remove(target)
        for flight in (*self._flying, *self._late):
            if flight.address is address:
                self._drop(flight)

    # --- how it stands ---

    def counts(self) -> Counts:
        """Return how the addresses stand."""
        found = Counter(address.series.latest for address in self._addresses.values())
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
            if now_ns - self._rates_ns >= _RATES_NS:
                self._rates_ns = now_ns
                self._rates = self._make_rates()
                self._end_window_if_due(now_ns)
            await self._sleep(self._next_ns(now_ns) - now_ns)

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""
        while any(not flight.is_over for flight in self._flying):
            self._expire(self._clock.now_ns())
            await asyncio.sleep(BATCH_NS / SECOND_NS)
        self._end_window(self._clock.now_ns())
        for address in self._addresses.values():
            address.series.remove(address.id)
        for opened in self._sockets.values():
            if isinstance(opened, EchoSocket):
                self._loop.remove_reader(opened)
                opened.close()
        self._sockets.clear()

    def _next_ns(self, now_ns: int) -> int:
        """Return when there is something to do: a batch to send or a deadline."""
        next_ns = now_ns + SECOND_NS
        if self._schedule:
            next_ns = min(next_ns, self._schedule[0][0])
        if self._flying:
            next_ns = min(next_ns, self._flying[0].sent_ns + self._rates.timeout_ns)
        return max(next_ns, now_ns + BATCH_NS)

    async def _sleep(self, wait_ns: int) -> None:
        self._wake.clear()
        if wait_ns <= _IDLE_NS:
            await asyncio.sleep(wait_ns / SECOND_NS)
            return
        try:
            async with asyncio.timeout(wait_ns / SECOND_NS):
                await self._wake.wait()
        except TimeoutError:
            return

    # --- sending ---

    def _put(self, address: _Address) -> None:
        """Schedule an address for when it is due, unless it is already."""
        due_ns = address.series.due_ns()
        if due_ns == address.wake_ns:
            return
        address.wake_ns = due_ns
        if due_ns is not None:
            self._scheduled += 1
            heapq.heappush(self._schedule, (due_ns, self._scheduled, address))
            if due_ns <= self._schedule[0][0]:
                self._wake.set()

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
        cookie = self._cookie()
        opened = self._socket(address.family)
        address.sequence = (address.sequence + 1) & 0xFFFF
        sent_ns = address.series.issue(self._clock.now_ns(), self._rates)
        flight = _Flight(address, sent_ns, cookie)
        self._flying.append(flight)
        self._by_cookie[cookie] = flight
        cause = self._cause_of_sending(opened, flight)
        if cause is not None:
            self._fail(flight, cause)

    def _cause_of_sending(self, opened: EchoSocket | OSError, flight: _Flight) -> str | None:
        """Send the request; return the cause if that fails.

        On a ping socket the first error may be an earlier request's: an ICMP error that was pending.
        """
        if not self._source.fits(flight.address.family.number):
            return "send"
        for attempt in range(_TRIES):
            error: OSError
            if isinstance(opened, OSError):
                return self._cause_of(opened)
            try:
                opened.send(flight.address.text, flight.sequence, flight.cookie)
            except OSError as exc:
                error = exc
            else:
                return None
            met = [self._take(quote) for quote in opened.read_errors()]
            if not met:
                break
        return self._cause_of(error)

    def _cause_of(self, error: OSError) -> str:
        cause = cause_of_errno(error.errno)
        if cause == "bug" and str(error) not in self._bugs:
            self._bugs.add(str(error))
            log.error("an echo request could not be sent: %s", error)
        return cause
