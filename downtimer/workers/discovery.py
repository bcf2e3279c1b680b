"""The process that finds the targets: it alone signs in to the cloud.

It lists at once, then every 30 s, and sooner when told to look (something turned down; at most every 5
s), and tells the supervisor what is news. When Keystone or Neutron is away the last list stands. It
does not decide what becomes of a target, and probes none. Blocking calls run in one thread; the loop
beats, and falls silent when a listing exceeds its deadline. Beside that it reads what the cloud reports of
its agents (`downtimer.workers.agents`).

The first listing of a new run must be able to sign in: what is wrong then is most likely the
configuration. Later it goes on trying.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from downtimer import complaints
from downtimer.listing import CHUNK, Known
from downtimer.messages import (
    Answering,
    Beat,
    BusDown,
    Complaints,
    Done,
    Finish,
    Flush,
    Listing,
    Look,
    Powers,
    Targets,
    Token,
    TokenRejected,
)
from downtimer.model import SECOND_NS, Kind
from downtimer.workers.agents import Agents
from downtimer.workers.finder import Finder, Found
from downtimer.workers.gate import Gate
from downtimer.workers.identity import SignedIn
from downtimer.workers.worker import Blocking, CannotStartError, Child, Cut, cut_after, main

log = logging.getLogger(__name__)

EVERY_NS: Final = 30 * SECOND_NS
LOOK_NS: Final = 5 * SECOND_NS
"""Least time from one listing to the next."""

CUT_S: Final = 55.0
"""When a listing is cut off that should have ended by itself: somebody drips."""

DEADLINE_S: Final = 60.0
TAKEN_S: Final = 2.0
"""How long a part of a great list waits until the supervisor has taken in the one before the last."""

AWAY_MAX: Final = 20
"""Most lists named at a time in a run's events that cannot be had any more; likewise those that can again."""

ODDITIES_MAX: Final = 20
"""Most malformed entries that are named in a run's events, so that a hostile list cannot flood them."""

_KIND: Final = "discovery"


async def body(child: Child) -> None:
    """Find targets until told to finish."""
    await Discovery(child).run()


class Discovery:
    """The loop, and what it remembers from one listing to the next."""

    def __init__(self, child: Child) -> None:
        """Prepare.

        Raises:
            CannotStartError: The configuration does not allow to talk to the cloud.
        """
        self._child = child
        self._loop = asyncio.get_running_loop()
        self._known = Known()
        self._gate = Gate(child.bus, child.settings.config.api, self._known.has)
        self._finder = Finder(
            child.settings.config, child.clock, self._gate, tell=self._tell_token, got_on=self._got_on
        )
        self._cutting: Cut | None = None  # the listing under way
        self._told = asyncio.Event()  # the supervisor's list is here
        self._was_told = asyncio.Event()  # something of it
        self._look = asyncio.Event()
        self._blocking = Blocking(_KIND, child.clock)
        self._troubles = Troubles(child)
        self._agents: Agents | None = None
        if child.settings.config.targets.agents and self._finder.has_cloud:
            self._agents = Agents(child, self._finder.signed_in, self._doubt, self._gate.opens)
        self._listed = asyncio.Event()

    async def run(self) -> None:
        """Do everything, until told to finish."""
        work = [self._obey(), self._list_forever(), self._child.beat_forever(self._beat)]
        if self._agents is not None:
            work += [self._agents.deliver(), self._read_agents_forever(self._agents)]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._finder.cut()
            for task in tasks:
                task.cancel()
            if self._agents is not None:
                self._agents.close()

    def _beat(self) -> Beat | None:
        if self._blocking.is_overdue() or (self._agents is not None and self._agents.is_overdue()):
            return None
        counts = {} if self._agents is None else {Kind.AGENT: self._agents.counts()}
        return Beat(counts=counts, late_ns=self._child.watch.take_worst_ns())

    async def _obey(self) -> None:
        """Do what the supervisor says; return when told to finish."""
        while True:
            order = await self._child.bus.receive()
            if not isinstance(order, Flush | Finish):
                self._take(order)
                continue
            if self._agents is not None:
                await self._agents.finish(for_good=isinstance(order, Finish))
            self._child.bus.send(Done(serial=order.serial, through_ns=self._child.clock.now_ns()))
            if isinstance(order, Finish):
                return

    def _take(self, order: BusDown) -> None:
        """Take news from the supervisor."""
        match order:
            case Targets():
                self._known.apply(order)
                self._was_told.set()
                if not self._told.is_set():
                    self._finder.remember(state.target for state in order.changed)
                    if not order.more:
                        self._told.set()
            case Look():
                self._look.set()
            case Answering():
                self._gate.take(order)
            case TokenRejected() if self._finder.doubt(order.issued_ns):
                self._look.set()
            case TokenRejected():
                log.info("a token that is new, or old, was refused; it stays")
            case _:
                log.warning("not for discovery: %s", type(order).__name__)

    def _doubt(self, issued_ns: int) -> None:
        """The token of that instant was refused. Called by a thread that had use for it."""
        if self._finder.doubt(issued_ns):
            self._loop.call_soon_threadsafe(self._look.set)

    async def _read_agents_forever(self, agents: Agents) -> None:
        await self._listed.wait()
        while True:
            await agents.read(self._known.has)
            await asyncio.sleep(agents.wait_s())

    async def _list_forever(self) -> None:
        await self._told.wait()
        must_work = len(self._known) == 0
        while True:
            self._look.clear()
            started_ns = self._child.clock.now_ns()
            await self._list(started_ns, must_work=must_work)
            must_work = False
            await self._wait(started_ns)

    async def _wait(self, started_ns: int) -> None:
        """Wait until the next listing is due, or the token is, or somebody says look; never less than 5 s.

        Called when the last one has ended, whose lists may be as new as that. One that took longer than its
        interval is followed by a rest as long: what takes a cloud so much is not asked of it all the time.
        """
        ended_ns = self._child.clock.now_ns()
        took_ns = ended_ns - started_ns
        earliest_ns = ended_ns + (took_ns if took_ns > EVERY_NS else LOOK_NS)
        due_ns = max(started_ns + EVERY_NS, earliest_ns)
        renew_ns = self._finder.renew_ns
        if renew_ns is not None:
            due_ns = min(due_ns, max(renew_ns, earliest_ns))
        try:
            async with asyncio.timeout(self._left_s(due_ns)):
                await self._look.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._left_s(earliest_ns))

    def _left_s(self, at_ns: int) -> float:
        return max(at_ns - self._child.clock.now_ns(), 0) / SECOND_NS

    async def _list(self, at_ns: int, *, must_work: bool) -> None:
        """List once and tell what is news.

        Raises:
            CannotStartError: It must work and does not, for a reason that the user can mend.
        """
        with cut_after(CUT_S, self._finder.cut) as self._cutting:
            found = await self._blocking.call(self._finder.find, DEADLINE_S)
        if self._agents is not None:
            self._agents.take_services(found.services())
            self._listed.set()
        if must_work:
            self._check(found)
        self._troubles.note(found)
        sent: list[Listing] = []
        for part in self._known.compare(found.listed, at_ns=at_ns, complete=not found.cloud.away):
            self._child.bus.send(part)
            sent = [*sent[-1:], part]
            await self._until_taken(sent[0])
        powers = self._known.news_of_powers(found.listed, found.cloud.powers)
        if powers or found.cloud.knows_powers:
            self._child.bus.send(Powers(at_ns=at_ns, changed=powers, complete=found.cloud.knows_powers))

    def _why_nothing(self, found: Found) -> str | None:
        """Return the line about there being nothing to measure; None if there is, or a list is still away."""
        if found.cloud.away or any(map(found.count, (Kind.SERVICE, Kind.ADDRESS))):
            return None
        why = complaints.why_nothing(
            found.complaints or (), len(found.cloud.services), len(found.cloud.addresses)
        )
        return f"{self._child.settings.config.path}: {why}"

    def _check(self, found: Found) -> None:
        """See whether a run can begin with this.

        Raises:
            CannotStartError: It can't, for a reason that the user can mend.
        """
        if (why := found.cloud.sign_in_error) is not None:
            raise CannotStartError(f"{why}; {found.cloud.remedy}" if found.cloud.remedy else why)
        if found.clash is not None:
            path = self._child.settings.config.path
            raise CannotStartError(f"{path}: {found.clash}", by_configuration=True)
        if (why := self._why_nothing(found)) is not None:
            raise CannotStartError(why)

    async def _until_taken(self, part: Listing) -> None:
        """Wait until the supervisor has taken that in, lest great lists pile up between us."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAKEN_S):
                while len(part.found) == CHUNK and not self._known.has_told(part.found[-1]):
                    self._was_told.clear()
                    await self._was_told.wait()

    def _got_on(self) -> None:
        """A long list gets on, and may go on for as long again. Called by the thread."""
        self._loop.call_soon_threadsafe(self._prolong)

    def _prolong(self) -> None:
        if self._blocking.prolong(DEADLINE_S) and self._cutting is not None:
            self._cutting.after(CUT_S)

    def _tell_token(self, new: SignedIn) -> None:
        """Tell the api worker of a new token. Called by the thread."""
        token = Token(
            token=new.token,
            issued_ns=new.issued_ns,
            expires_ns=new.expires_ns,
            project_id=new.project_id,
        )
        self._loop.call_soon_threadsafe(self._child.bus.send, token)


class Troubles:
    """Reports what is wrong with the lists: once when it begins, and once when it is over."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._away: set[str] = set()
        self._odd: set[str] = set()
        self._complaints: tuple[str, ...] | None = None

    def note(self, found: Found) -> None:
        """Take note of one listing."""
        away = found.cloud.away
        self._report([f"{away[who]}; the last list stands" for who in sorted(away.keys() - self._away)])
        self._report([f"{who} lists again" for who in sorted(self._away - away.keys())])
        self._away = set(away)
        odd = list(dict.fromkeys((*found.cloud.oddities, *(found.complaints or ()))))
        if found.clash is not None:
            odd.append(f"{found.clash} (the static one is measured)")
        for text in odd:
            self._note_odd(text)
        if found.complaints is not None and found.complaints != self._complaints:
            self._complaints = found.complaints
            self._child.bus.send(Complaints(lines=found.complaints))

    def _report(self, texts: Sequence[str]) -> None:
        for text in texts[:AWAY_MAX]:
            self._child.report(_KIND, text)
        if len(texts) > AWAY_MAX:
            self._child.report(_KIND, f"the same goes for {len(texts) - AWAY_MAX} others")

    def _note_odd(self, text: str) -> None:
        if text in self._odd or len(self._odd) > ODDITIES_MAX:
            return
        self._odd.add(text)
        is_last = len(self._odd) > ODDITIES_MAX
        self._child.report(_KIND, "more entries are malformed; they are not listed here" if is_last else text)


if __name__ == "__main__":
    main(_KIND, body)
