"""The icmp worker: sends echo requests to addresses, and matches what comes back.

It works in turns, some milliseconds apart: all that has come in is read, what is not answered by then is
judged, what is due is sent. A reply counts if it comes from the address that was asked and brings back the
cookie of that very probe; its latency is by the kernel's receive stamp, so it does not matter when we get
round to reading it.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

import numpy as np

from downtimer.clock import Stamps
from downtimer.messages import AddressWindow, Counts, Standing, Token
from downtimer.model import ICMP, MILLISECOND_NS, NEVER_NS, SECOND_NS, Kind, Span, TargetId, TargetState
from downtimer.pace import Rates
from downtimer.source import Source
from downtimer.workers import probing
from downtimer.workers.addresses import Addresses, Rows
from downtimer.workers.echo import EchoSockets
from downtimer.workers.echo_windows import EchoWindows
from downtimer.workers.echoes import Echoes
from downtimer.workers.flights import LATE_NS, Followed
from downtimer.workers.lane import Lane
from downtimer.workers.packets import V4, V6, Family, parse
from downtimer.workers.probing import PORTION, Findings, Reach
from downtimer.workers.schedule import TURN_MAX, Schedule
from downtimer.workers.window_length import window_of
from downtimer.workers.worker import CannotStartError, Child, main

log = logging.getLogger(__name__)

TURN_PROBES: Final = 500
"""Turns are so far apart that about so many are sent in one, within these limits."""

TURN_LEAST_NS: Final = 4 * MILLISECOND_NS
TURN_MOST_NS: Final = 100 * MILLISECOND_NS
TURNS_LEAST: Final = 2
"""So many are in an interval, at least."""

BUSY_PROBES: Final = 4
"""If so many are sent in a turn on average, something is due in nearly all: no need to find out when."""

WINDOWS_MAX: Final = 50
"""Of those that have ended, so many are told in one turn."""

RENEW_NS: Final = 60 * SECOND_NS
"""How long an identifier is used. To NAT and conntrack it is a flow, which keeps passing, or stays dead."""

SILENT_NS: Final = 10 * SECOND_NS
"""An address that has not answered any echo for so long after it was found is tried by TCP, too."""

NEW_NS: Final = 60 * SECOND_NS
"""One that was found earlier was watched by a predecessor of this process."""

WARN_NS: Final = 60 * SECOND_NS
"""Not more often is it said that replies were dropped."""

_RATED_MOST: Final = 1.1
"""If there are so many times the addresses for which the rates were made, they are made anew at once."""


class IcmpEngine:
    """Probes addresses."""

    def __init__(self, child: Child, findings: Findings) -> None:
        config = child.settings.config
        self._child = child
        self._clock = child.clock
        self._stamps = Stamps(child.clock)
        self._findings = findings
        self._section = config.icmp
        self._db = config.db
        self._ended: Iterator[AddressWindow] = iter(())  # windows that are still to be told
        self._sockets = EchoSockets(Source(config.targets.source))
        self._schedule = Schedule(self._section.budget)
        self._rated = 0  # addresses for which the rates were made
        first_rates = Rates.within(self._section, checks=0, fast=0)
        self._echoes = Echoes(child, findings, self._schedule, first_rates)
        self._lanes = {
            family: self._make_lane(family, wants_windows=config.db is not None) for family in (V4, V6)
        }
        self._retired: set[TargetId] = set()
        self._seconds_ns = self._window_ns = self._renewed_ns = self._dropped_ns = self._clock.now_ns()
        self._warned_ns = -WARN_NS
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._next: asyncio.Handle | None = None  # the next turn, if there is to be one

    def _make_lane(self, family: Family, *, wants_windows: bool) -> Lane:
        addresses = Addresses(family, self._child.incarnation, timeout_ns=self._rates.timeout_ns)
        windows = EchoWindows() if wants_windows else None
        return Lane(addresses, windows, self._sockets, self._clock)

    # --- targets ---

    def update(self, state: TargetState) -> None:
        """Take an address that is new, has changed or is retired; services are passed over.

        Raises:
            CannotStartError: Neither kind of socket is permitted.
        """
        target = state.target
        if target.kind is not Kind.ADDRESS:
            return
        family, packed = parse(target.name)
        lane = self._lanes[family]
        row = lane.addresses.row_of.get(target.id)
        if state.retired_ns is not None or state.port is not None:
            if row is not None:
                self._echoes.end(lane, row)
            if state.retired_ns is not None:
                self._retired.add(target.id)
            return
        if row is None:
            row = self._add(state, lane, packed)
        if row is not None:
            lane.addresses.is_silent[row] = state.silent_ns is not None and state.method is None

    def _add(self, state: TargetState, lane: Lane, packed: bytes) -> int | None:
        """Probe an address from now on; return its row, None if that can't be done, and need not.

        Raises:
            CannotStartError: Neither kind of socket is permitted.
        """
        target, now_ns = state.target, self._clock.now_ns()
        try:
            self._sockets.of(lane.family)
        except CannotStartError as exc:
            if not target.reference:
                raise
            # It only helps to judge other addresses, of which there are none then.
            log.warning("reference %s is not probed: %s", target.name, exc)
            return None
        addresses, baseline = lane.addresses, state.baselines.get(ICMP)
        row = addresses.add(target.id, packed)
        addresses.is_reference[row] = target.reference
        if baseline is None and not target.reference and now_ns - state.discovered_ns < NEW_NS:
            addresses.silent_from_ns[row] = now_ns + SILENT_NS
        if lane.windows is not None:
            lane.windows.make_room(addresses.room)
        missed = "unlisted" if target.id in self._retired else None
        self._retired.discard(target.id)
        if self._count() > _RATED_MOST * self._rated:
            self._set_rates(now_ns)
        self._echoes.begin(lane, row, baseline, missed=missed)
        self._wake()
        return row

    def keep_only(self, targets: Iterable[TargetId]) -> None:
        """Forget every target but these."""
        kept = set(targets)
        for lane in self._lanes.values():
            for target, row in list(lane.addresses.row_of.items()):
                if target not in kept:
                    self._echoes.end(lane, row)

    def take_token(self, token: Token) -> None:
        """An echo shows nothing of us."""

    def tell_when_answered(self, target: TargetId) -> None:
        """Nobody asks that of addresses."""

    # --- how it stands ---

    def counts(self) -> dict[Kind, Counts]:
        """Return how the addresses stand, references aside."""
        return {Kind.ADDRESS: self._echoes.counts(self._lanes.values())}

    def standings(self) -> tuple[Standing, ...]:
        """Return nothing: addresses are too many to be told one by one."""
        return ()

    def reach(self) -> dict[str, Reach]:
        """Return how far echoes are: up to when every one is sent and judged."""
        now_ns, lanes = self._clock.now_ns(), self._lanes.values()
        oldest_ns = self._echoes.oldest_ns(lanes)
        judged_ns = now_ns if oldest_ns is None else oldest_ns - 1
        through_ns = min(judged_ns, self._next_due_ns())
        return {ICMP: Reach(through_ns, through_ns, self._rates.longest_ns, self._echoes.widest_ns(lanes))}

    def open_spans(self) -> Iterator[Span]:
        """Yield all spans that are growing, as each stands when its turn comes; some of them twice.

        Between two of them addresses may come to be followed, or calm: so these are asked before and after.
        """
        yield from self._echoes.spans()
        for lane in self._lanes.values():
            yield from lane.addresses.spans()
        yield from self._echoes.spans()

    def troubled_spans(self) -> Iterator[Span]:
        """Yield those of addresses that are not up."""
        return self._echoes.troubled_spans()

    # --- work ---

    async def run(self) -> None:
        """Probe until cancelled."""
        self._go_on()
        try:
            await self._failure
        finally:
            if self._next is not None:
                self._next.cancel()
                self._next = None

    def _go_on(self) -> None:
        """Take a turn and set the time of the next. The loop calls: a coroutine takes another round of it."""
        self._next = None
        try:
            wait_ns = self._turn()
        except Exception as exc:  # noqa: BLE001 - for whoever awaits `run`
            self._failure.set_exception(exc)
        else:
            self._next = self._loop.call_later(wait_ns / SECOND_NS, self._go_on)

    def _wake(self) -> None:
        """Take the next turn now."""
        if isinstance(self._next, asyncio.TimerHandle):
            self._next.cancel()
            self._next = self._loop.call_soon(self._go_on)

    def _turn(self) -> int:
        """Do what there is to do; return how long to wait for the next turn, in ns."""
        now_ns = self._clock.now_ns()
        is_done = self._send_due(now_ns)
        self._judge(self._clock.now_ns())
        if now_ns - self._seconds_ns >= SECOND_NS:
            self._look_round(now_ns)
        self._tell_windows(WINDOWS_MAX)
        return max(self._next_ns(now_ns) - now_ns, 0) if is_done else 0

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""
        deadline_ns = self._clock.now_ns() + self._rates.timeout_ns + SECOND_NS
        while self._echoes.oldest_ns(self._lanes.values()) is not None:
            if self._clock.now_ns() > deadline_ns:
                log.error("echo requests are under way beyond their deadline")
                break
            self._judge(self._clock.now_ns())
            await asyncio.sleep(TURN_LEAST_NS / SECOND_NS)
        self._end_window(self._clock.now_ns(), is_wanted=self._length_ns() is not None)
        self._tell_windows(None)
        for lane in self._lanes.values():
            for number, row in enumerate(list(lane.addresses.row_of.values())):
                if number % PORTION == PORTION - 1:
                    await self._findings.room()
                self._echoes.end(lane, row)
        self._sockets.close()

    def _judge(self, now_ns: int) -> None:
        """Read all that has come in, then judge what is not answered by now."""
        for lane in self._lanes_in_use():
            for heard in lane.receive():
                self._echoes.hear(lane, heard, self._stamps.batch())
            for quote in lane.take_quotes():
                self._echoes.take_quote(lane, quote, self._clock.now_ns())
        if self._echoes.has_overdue(now_ns):
            self._note_drops()
        self._echoes.expire(self._lanes_in_use(), now_ns)

    def _note_drops(self) -> None:
        """A reply that found no room to wait for us is none that did not come."""
        before_ns, self._dropped_ns = self._dropped_ns, self._clock.now_ns()
        if self._sockets.has_dropped():
            self._echoes.lost(before_ns, self._dropped_ns)
            if self._dropped_ns - self._warned_ns > WARN_NS:
                self._warned_ns = self._dropped_ns
                log.warning("replies were dropped: the socket's buffer was full")

    def _lanes_in_use(self) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.addresses.row_of]

    def _next_due_ns(self) -> int:
        calm_ns = (lane.addresses.next_due_ns() for lane in self._lanes_in_use())
        return min(self._schedule.next_ns(), *calm_ns, NEVER_NS)

    def _next_ns(self, now_ns: int) -> int:
        """Return when the next turn is to be."""
        turn_ns = self._turn_ns
        soonest_ns = (now_ns // turn_ns + 1) * turn_ns
        if self._count() * turn_ns >= BUSY_PROBES * self._rates.steady_ns:
            return soonest_ns
        next_ns = min(
            self._seconds_ns + SECOND_NS, self._next_due_ns(), self._echoes.next_ns(self._lanes_in_use())
        )
        return max(-(-next_ns // turn_ns) * turn_ns, soonest_ns)

    @property
    def _turn_ns(self) -> int:
        """Turns are at multiples of this: a level load where there is much, little ado otherwise."""
        if self._schedule.has_urgent:
            return TURN_LEAST_NS
        interval_ns = self._rates.steady_ns
        turn_ns = TURN_PROBES * interval_ns // max(self._count(), 1)
        return max(min(turn_ns, interval_ns // TURNS_LEAST, TURN_MOST_NS), TURN_LEAST_NS)

    # --- sending ---

    def _send_due(self, now_ns: int) -> bool:
        """Send what is due, within the budget; return False if there is more than fits into one turn."""
        at_ns = self._clock.now_ns()
        followed = self._schedule.take_first(now_ns, at_ns)
        is_done = len(followed) < TURN_MAX
        calm: list[tuple[Lane, Rows]] = []
        for lane in self._lanes_in_use():
            due = lane.addresses.due(now_ns)
            if len(due):
                most = max(lane.find_room() - TURN_MAX, 1)
                is_done &= len(due) < most
                allowed = self._schedule.allow(min(len(due), most), at_ns)
                due, strays = self._echoes.strays(lane, lane.addresses.longest_due(due, allowed), now_ns)
                followed += strays
            calm.append((lane, due))
        if is_done:
            followed += self._schedule.take_last(now_ns, at_ns, TURN_MAX - len(followed))
        for lane, due in calm:
            self._send(lane, [each for each in followed if each.lane is lane], due)
        return is_done

    def _send(self, lane: Lane, followed: list[Followed], calm: Rows) -> None:
        """Send a request to each of these."""
        if not followed and not len(calm):
            return
        rows = (
            np.concatenate([np.array([each.row for each in followed], np.intp), calm]) if followed else calm
        )
        try:
            volley = lane.send(rows)
        except OSError as exc:
            self._echoes.not_sent(followed, calm, lane, exc)
        else:
            self._echoes.sent(followed, calm, lane, volley)
        for quote in lane.take_quotes():
            self._echoes.take_quote(lane, quote, self._clock.now_ns())

    # --- once a second ---

    def _look_round(self, now_ns: int) -> None:
        self._seconds_ns = now_ns
        self._set_rates(now_ns)
        self._sockets.try_again()
        self._sockets.make_room(self._count() * SECOND_NS // self._rates.steady_ns)
        self.renew_identifiers(now_ns)
        for lane in self._lanes.values():
            for row in lane.addresses.take_silent(now_ns).tolist():
                self._findings.silent(lane.addresses.id_of(row))
        self._note_drops()
        length_ns = self._length_ns()
        if length_ns is None or now_ns - self._window_ns >= length_ns:
            self._end_window(now_ns, is_wanted=length_ns is not None)

    def renew_identifiers(self, now_ns: int) -> None:
        """Send with other identifiers, if those in use are a minute old."""
        if now_ns - self._renewed_ns >= RENEW_NS:
            self._renewed_ns = now_ns
            self._sockets.renew()
        elif now_ns - self._renewed_ns >= self._rates.timeout_ns + LATE_NS:
            self._sockets.close_former()

    @property
    def _rates(self) -> Rates:
        return self._echoes.rates

    def _count(self) -> int:
        return sum(len(lane.addresses.row_of) for lane in self._lanes.values())

    def _set_rates(self, now_ns: int) -> None:
        self._rated = self._count()
        fast = self._echoes.in_episode(now_ns)
        self._echoes.rates = Rates.within(self._section, checks=self._rated, fast=fast)

    def _length_ns(self) -> int | None:
        """Return how long the windows of addresses are; None if there are none."""
        return window_of(self._db, self._count())

    def _end_window(self, now_ns: int, *, is_wanted: bool) -> None:
        """Count anew what comes of each address's probes; what was counted is told if it is wanted."""
        self._tell_windows(None)
        start_ns, self._window_ns = self._window_ns, now_ns
        counted = [
            lane.windows.take(lane.addresses.ids, start_ns)
            for lane in self._lanes.values()
            if lane.windows is not None
        ]
        if is_wanted:
            self._ended = chain(*counted)

    def _tell_windows(self, most: int | None) -> None:
        """Put windows that have ended on record, at most so many, so that each turn stays short."""
        for window in islice(self._ended, most):
            self._findings.outbox.address(window)


async def body(child: Child) -> None:
    """Be the icmp worker."""
    await probing.run(child, IcmpEngine)


if __name__ == "__main__":
    main("icmp", body)
