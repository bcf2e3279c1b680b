"""The icmp worker: sends echo requests to addresses, and matches what comes back.

What is due is sent in batches every few milliseconds. A reply counts if it comes from the address that
was asked and brings back the cookie of that very probe; its latency is by the kernel's receive stamp,
so it does not matter when we get round to reading it. Before a probe is judged by its deadline, all
that has come in is read.
"""

import asyncio
import heapq
import logging
from collections.abc import Iterable
from typing import Final

from downtimer.clock import Batch, Stamps
from downtimer.messages import Counts, Token
from downtimer.model import (
    ICMP,
    MILLISECOND_NS,
    SECOND_NS,
    Kind,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.pace import Bucket, Rates
from downtimer.series import SUSPECT_LEAST_NS, Answer, Series
from downtimer.source import Source
from downtimer.verdicts import HELD_UP, cause_of_errno, verdict_of
from downtimer.workers import probing
from downtimer.workers.echo import EchoSocket, EchoSockets, Reply
from downtimer.workers.flights import LATE_NS, Address, Flight, Flights
from downtimer.workers.packets import Quote
from downtimer.workers.probing import Findings, Reach
from downtimer.workers.stalls import DOUBT_NS, note_suspension
from downtimer.workers.windows import RoundTrips
from downtimer.workers.worker import CannotStartError, Child, main

log = logging.getLogger(__name__)

BATCH_NS: Final = 4 * MILLISECOND_NS
WINDOW_NS: Final = 10 * SECOND_NS
RENEW_NS: Final = 60 * SECOND_NS
"""How long an identifier is used. To NAT and conntrack it is a flow, which keeps passing, or stays dead."""

SILENT_NS: Final = 10 * SECOND_NS
"""An address that has not answered any echo for so long after it was found is tried by TCP, too."""

NEW_NS: Final = 60 * SECOND_NS
"""One that was found earlier was watched by a predecessor of this process."""

_SEND_MAX: Final = 128  # in one turn of the loop, so that under load each turn stays short
_READ_MAX: Final = 256
_DRAIN_MAX: Final = 1_000_000  # more than any buffer holds
_TRIES: Final = 3


class IcmpEngine:
    """Probes addresses."""

    def __init__(self, child: Child, findings: Findings) -> None:
        config = child.settings.config
        self._child = child
        self._clock = child.clock
        self._watch = child.watch
        self._stamps = Stamps(child.clock)
        self._findings = findings
        self._section = config.icmp
        self._wants_windows = config.db is not None
        self._sockets = EchoSockets(Source(config.targets.source), self._read)
        self._addresses: dict[TargetId, Address] = {}
        # Under load what is suspect or failing goes first, up to half of the budget; it gets the rest last.
        self._urgent: list[tuple[int, int, Address]] = []
        self._regular: list[tuple[int, int, Address]] = []
        self._scheduled = 0
        self._flights = Flights()
        self._bucket = Bucket(self._section.budget)
        self._urgent_bucket = Bucket(max(self._section.budget // 2, 1))
        self._retired: set[TargetId] = set()
        self._seconds_ns = self._window_ns = self._renewed_ns = self._clock.now_ns()
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
        if state.retired_ns is not None or state.port is not None:
            self._forget(target.id)
            if state.retired_ns is not None:
                self._retired.add(target.id)
            return
        if target.id not in self._addresses and not self._add(state):
            return
        self._addresses[target.id].is_silent = state.silent_ns is not None and state.method is None

    def _add(self, state: TargetState) -> bool:
        """Probe an address from now on; return False if that can't be done, and need not.

        Raises:
            CannotStartError: Neither kind of socket is permitted.
        """
        target, now_ns = state.target, self._clock.now_ns()
        series = Series(ICMP, self._child.incarnation, self._findings)
        address = Address(target, series)
        try:
            self._sockets.of(address.family)
        except CannotStartError as exc:
            if not target.reference:
                raise
            # It only helps to judge other addresses, of which there are none then.
            log.warning("reference %s is not probed: %s", target.name, exc)
            return False
        baseline = state.baselines.get(ICMP)
        if baseline is None and not target.reference and now_ns - state.discovered_ns < NEW_NS:
            address.silent_from_ns = now_ns + SILENT_NS
        series.add(target.id, baseline, now_ns, self._rates)
        if target.id in self._retired:
            self._retired.discard(target.id)
            series.skip(now_ns, "unlisted", self._rates)
        self._addresses[target.id] = address
        self._put(address)
        self._wake()
        return True

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

    def take_token(self, token: Token) -> None:
        """An echo shows nothing of us."""

    def tell_when_answered(self, target: TargetId) -> None:
        """Nobody asks that of addresses."""

    # --- how it stands ---

    def counts(self) -> dict[Kind, Counts]:
        """Return how the addresses stand, references aside."""
        mine = (address for address in self._addresses.values() if not address.is_reference)
        return {Kind.ADDRESS: Counts.of(address.series.latest for address in mine)}

    def reach(self) -> dict[str, Reach]:
        """Return how far echoes are: up to when every one is sent and judged."""
        now_ns = self._clock.now_ns()
        oldest_ns = self._flights.oldest_ns()
        judged_ns = now_ns if oldest_ns is None else oldest_ns - 1
        through_ns = min([judged_ns, *(schedule[0][0] for schedule in self._schedules() if schedule)])
        return {ICMP: Reach(through_ns, through_ns, self._rates.longest_ns)}

    def series(self) -> Iterable[Series]:
        """Return all series of probes."""
        return (address.series for address in self._addresses.values())

    # --- work ---

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            now_ns = self._clock.now_ns()
            self._expire(now_ns)
            self._suspect(now_ns)
            is_done = self._send_due(now_ns)
            if now_ns - self._seconds_ns >= SECOND_NS:
                self._look_round(now_ns)
            await self._sleep(self._next_ns(now_ns) - now_ns if is_done else 0)

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""
        while self._flights.oldest_ns() is not None:
            self._expire(self._clock.now_ns())
            await asyncio.sleep(BATCH_NS / SECOND_NS)
        self._end_window(self._clock.now_ns())
        for address in self._addresses.values():
            address.series.remove(address.id)
        self._sockets.close()

    def _next_ns(self, now_ns: int) -> int:
        """Return when there is something to do: a batch to send or a deadline."""
        next_ns = now_ns + SECOND_NS
        next_ns = min([next_ns, *(schedule[0][0] for schedule in self._schedules() if schedule)])
        deadline_ns = self._flights.next_deadline_ns(self._rates.timeout_ns)
        if deadline_ns is not None:
            next_ns = min(next_ns, deadline_ns)
        grown_ns = self._flights.next_grown_ns(SUSPECT_LEAST_NS)
        if grown_ns is not None:
            next_ns = min(next_ns, grown_ns)
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

    def _put(self, address: Address) -> None:
        """Schedule an address for when it is due, unless it is already."""
        due_ns = None if address.is_gone else address.series.due_ns(self._rates)
        if due_ns == address.wake_ns:
            return
        address.wake_ns = due_ns
        if due_ns is not None:
            self._scheduled += 1
            is_urgent = address.series.pace.is_urgent(due_ns, self._rates)
            schedule = self._urgent if is_urgent else self._regular
            heapq.heappush(schedule, (due_ns, self._scheduled, address))
            if due_ns <= schedule[0][0]:
                self._wake()

    def _schedules(self) -> tuple[list[tuple[int, int, Address]], ...]:
        return self._urgent, self._regular

    def _send_due(self, now_ns: int) -> bool:
        """Send what is due, within the budget; return False if there is more than fits into one turn."""
        at_ns, sent = self._clock.now_ns(), 0
        for schedule, half in (
            (self._urgent, self._urgent_bucket),
            (self._regular, None),
            (self._urgent, None),
        ):
            while schedule and schedule[0][0] <= now_ns:
                if sent == _SEND_MAX:
                    return False
                due_ns, _, address = schedule[0]
                if due_ns != address.wake_ns:  # it has been put elsewhere since
                    heapq.heappop(schedule)
                    continue
                if half is not None and half.is_empty(at_ns):
                    break
                if self._bucket.wait_ns(at_ns):
                    return True
                if half is not None:
                    half.wait_ns(at_ns)
                heapq.heappop(schedule)
                address.wake_ns = None
                at_ns = self._send(address, at_ns)
                self._put(address)
                sent += 1
        return True

    def _send(self, address: Address, now_ns: int) -> int:
        """Send one probe now; return the instant at which that is done."""
        opened = self._sockets.of(address.family)
        note_suspension(address.series, self._watch, now_ns, self._rates)
        flight = self._flights.begin(address, address.series.issue(now_ns, self._rates))
        error = opened if isinstance(opened, OSError) else self._error_of_sending(opened, flight)
        left_ns = self._clock.now_ns()
        if error is not None:
            self._fail(flight, self._cause_of(error), left_ns)
        elif left_ns - now_ns > DOUBT_NS:
            self._fail(flight, HELD_UP, left_ns)
        return left_ns

    def _error_of_sending(self, opened: EchoSocket, flight: Flight) -> OSError | None:
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

    # --- what comes back ---

    def _read(self, opened: EchoSocket) -> None:
        """Take what has come in."""
        self._take(opened.read(_READ_MAX))

    def _take(self, came: Iterable[Reply | Quote]) -> None:
        received = list(came)
        batch = self._stamps.batch()
        for each in received:
            if isinstance(each, Reply):
                self._take_reply(each, batch)
            else:
                self._take_error(each, batch.now_ns)

    def _take_reply(self, reply: Reply, batch: Batch) -> None:
        """Resolve the probe that a reply answers."""
        flight = self._flights.answered_by(reply.cookie, reply.source)
        if flight is None:
            return
        now_ns = came_ns = batch.now_ns
        if reply.stamp_ns is not None:
            came_ns = batch.instant_ns(reply.stamp_ns, flight.sent_ns)
        latency_ns = max(came_ns - flight.sent_ns, 0)
        if latency_ns > self._rates.timeout_ns:
            self._miss(flight, now_ns)
            flight.address.series.hurry(now_ns, self._rates)
            self._put(flight.address)
        elif not flight.is_over:
            is_known = batch.is_sure and reply.stamp_ns is not None
            self._answered(flight, Answer(latency_ns, doubt_ns=0 if is_known else latency_ns), now_ns)

    def _answered(self, flight: Flight, answer: Answer, now_ns: int) -> None:
        """Resolve a probe that was well answered."""
        flight.is_over = True
        address = flight.address
        address.series.good(flight.sent_ns, answer, now_ns, self._rates)
        address.silent_from_ns = None
        if address.is_silent:
            address.is_silent = False
            self._findings.reached(address.id, ICMP)
        if self._wants_windows:
            address.window.answered(answer.latency_ns)
        self._put(address)

    def _take_error(self, quote: Quote, now_ns: int) -> None:
        """Resolve the probe that met an ICMP error."""
        flight = self._flights.quoted_by(quote)
        if flight is not None:
            self._fail(flight, "unreachable", now_ns)

    def _fail(self, flight: Flight, cause: str, now_ns: int) -> None:
        """Resolve a probe that failed, unless it is resolved already."""
        if flight.is_over:
            return
        flight.is_over = True
        address = flight.address
        address.series.bad(flight.sent_ns, cause, now_ns, self._rates)
        if self._wants_windows and verdict_of(cause) is Verdict.DOWN:
            address.window.failed()
        self._put(address)

    def _miss(self, flight: Flight, now_ns: int) -> None:
        """Resolve a probe to which no reply came in time, unless it is resolved already."""
        self._fail(flight, self._watch.excuse("no-reply", flight.sent_ns, self._rates.timeout_ns), now_ns)

    def _suspect(self, now_ns: int) -> None:
        """Suspect what is not answered yet and no longer young; nearly everything is."""
        for flight in self._flights.take_grown(now_ns, SUSPECT_LEAST_NS):
            flight.address.series.expect_answer(flight.sent_ns, self._rates)
            self._put(flight.address)

    def _expire(self, now_ns: int) -> None:
        """Fail what has passed its deadline, once all that came in is read."""
        timeout_ns = self._rates.timeout_ns
        deadline_ns = self._flights.next_deadline_ns(timeout_ns)
        if deadline_ns is not None and deadline_ns <= now_ns:
            for opened in self._sockets.opened():
                self._take(opened.read(_DRAIN_MAX))
        for flight in self._flights.take_overdue(now_ns, timeout_ns):
            self._miss(flight, now_ns)

    # --- once a second ---

    def _look_round(self, now_ns: int) -> None:
        self._seconds_ns = now_ns
        self._rates = self._make_rates(now_ns)
        self._sockets.try_again()
        self.renew_identifiers(now_ns)
        self._tell_silent(now_ns)
        if now_ns - self._window_ns >= WINDOW_NS:
            self._end_window(now_ns)

    def renew_identifiers(self, now_ns: int) -> None:
        """Send with other identifiers, if those in use are a minute old."""
        if now_ns - self._renewed_ns >= RENEW_NS:
            self._renewed_ns = now_ns
            self._sockets.renew()
        elif now_ns - self._renewed_ns >= self._rates.timeout_ns + LATE_NS:
            self._sockets.close_former()

    def _tell_silent(self, now_ns: int) -> None:
        """Tell of addresses that have had their time to answer."""
        for address in self._addresses.values():
            if address.silent_from_ns is not None and now_ns >= address.silent_from_ns:
                address.silent_from_ns, address.is_silent = None, True
                self._findings.silent(address.id)

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
