"""Reads every ten seconds what the cloud reports of its agents, and makes spans of it. Part of discovery.

Readings are blocking calls in a thread of their own, on a connection of their own, so that a long list of
addresses delays none. Each agent is a target, each reading a probe of it: up or down as the service says it
is, unknown if its list could not be read. An agent that is in the list no more is read no more.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from downtimer import targets
from downtimer.agents import LISTS, Agent, read_agents
from downtimer.checks import newness, official_type, url_of
from downtimer.listing import CHUNK
from downtimer.messages import Counts, Listing, Progress
from downtimer.model import REPORTED, SECOND_NS, Target, TargetId, Verdict
from downtimer.pace import max_gap_ns
from downtimer.tracker import Outcome, Tracker
from downtimer.verdicts import is_unfit
from downtimer.workers.delivery import Delivery
from downtimer.workers.identity import SignedIn
from downtimer.workers.rest import AwayError, RefusedError, Rest
from downtimer.workers.worker import Blocking, Child, cut_after

log = logging.getLogger(__name__)

EVERY_NS: Final = 10 * SECOND_NS
AGAIN_NS: Final = 600 * SECOND_NS
"""Until a list is asked for again that is not for us."""

READING_S: Final = 10.0
"""For one list."""

CUT_S: Final = READING_S + 2.0
"""When a reading is cut off that should have ended by itself: somebody drips."""

DEADLINE_S: Final = 60.0
_GAP_NS: Final = max_gap_ns(EVERY_NS)
_TOKEN_REFUSED: Final = 401
_UNREAD: Final = Outcome(Verdict.UNKNOWN, "unlisted", _GAP_NS)


@dataclass(slots=True, eq=False)
class _Place:
    """One service of one region that lists agents.

    Attributes:
        owner: The service.
        trackers: Of the agents that were in its list, by what they are.
        latest: What was read of each of these last.
        not_before_ns: When it may be asked again, if it has refused.
    """

    owner: Target
    trackers: dict[Agent, Tracker] = field(default_factory=dict)
    latest: dict[Agent, Verdict] = field(default_factory=dict)
    not_before_ns: int = 0


class _Read(NamedTuple):
    """What one place answered: its agents, or why there are none.

    Attributes:
        place: Which.
        sent_ns: When it was asked.
        agents: Whether each is up; None if that could not be read.
        error: Why not.
        is_refused: The list is not for us.
    """

    place: _Place
    sent_ns: int
    agents: dict[Agent, bool] | None
    error: str | None = None
    is_refused: bool = False


class Agents:
    """The agents of all services.

    Args:
        child: The process.
        signed_in: Tells the token in force, None if there is none.
        doubt: Is told of a token that was refused, by the instant it was asked for.
        may_ask: Waits for the moment to ask a service; False if a call to it hangs.
    """

    def __init__(
        self,
        child: Child,
        signed_in: Callable[[], SignedIn | None],
        doubt: Callable[[int], object],
        may_ask: Callable[[TargetId], Awaitable[bool]],
    ) -> None:
        self._child = child
        self._clock = child.clock
        self._signed_in = signed_in
        self._doubt = doubt
        self._may_ask = may_ask
        self._asking = asyncio.Lock()  # one list at a time is asked for
        self._rest = Rest(child.settings.config.trust)
        self._thread = Blocking("agents", child.clock)
        self._delivery = Delivery(child)
        self._places: dict[tuple[str, str], _Place] = {}
        self._due_ns = child.clock.now_ns()
        self._widest_ns = 0
        self._read_ns: int | None = None  # when the last reading that is over was begun
        self._told_ns: int | None = None  # that the writer was told of

    def take_services(self, services: Iterable[Target]) -> None:
        """Read the lists of these from now on; of several versions in one region those of the newest."""
        wanted: dict[tuple[str, str], Target] = {}
        for target in sorted(services, key=newness):
            kind = official_type(target.service_type)
            if kind in LISTS:
                wanted[kind, target.region or ""] = target
        for key in self._places.keys() - wanted.keys():
            for tracker in self._places.pop(key).trackers.values():
                tracker.close()
        for key, owner in wanted.items():
            self._places.setdefault(key, _Place(owner)).owner = owner

    def counts(self) -> Counts:
        """Return how they stand."""
        return Counts.of(verdict for place in self._places.values() for verdict in place.latest.values())

    def is_overdue(self) -> bool:
        """Tell whether a reading takes so long that this process has no right to a beat."""
        return self._thread.is_overdue()

    def wait_s(self) -> float:
        """Return how long until the next reading is due."""
        return max(self._due_ns - self._clock.now_ns(), 0) / SECOND_NS

    async def deliver(self) -> None:
        """Deliver spans to the writer, until cancelled."""
        await self._delivery.run(self._note_progress)

    async def read(self, known: Callable[[TargetId], bool]) -> None:
        """Read all lists once.

        Args:
            known: Tells whether the supervisor has a target.
        """
        begun_ns = self._clock.now_ns()
        self._due_ns = begun_ns + EVERY_NS
        if self._places and self._signed_in() is not None:
            places = [place for place in self._places.values() if begun_ns >= place.not_before_ns]
            for reading in asyncio.as_completed([self._read_one(place) for place in places]):
                read = await reading
                if read.place in self._places.values():
                    self._take(read, known)
            if self._read_ns is not None and begun_ns - self._read_ns <= _GAP_NS:
                self._widest_ns = max(self._widest_ns, self._clock.now_ns() - self._read_ns)
            self._read_ns = begun_ns

    async def _read_one(self, place: _Place) -> _Read:
        """Read one list, when it may be asked for; if another is being read then, at the next such moment."""
        while await self._may_ask(place.owner.id):
            if not self._asking.locked():
                async with self._asking:
                    with cut_after(CUT_S, self._rest.cut):
                        return await self._thread.call(functools.partial(self._ask, place), DEADLINE_S)
            async with self._asking:
                pass
        return _Read(place, self._clock.now_ns(), None, "hangs")

    async def finish(self, *, for_good: bool) -> None:
        """Have recorded what is known; `for_good`: nothing comes after it."""
        for place in self._places.values():
            for tracker in place.trackers.values():
                if (span := tracker.current()) is not None:
                    self._delivery.outbox.span(span, is_open=not for_good)
        self._note_progress()
        await self._delivery.flush()

    def close(self) -> None:
        """End what is under way, and close the connections."""
        self._rest.cut()
        self._delivery.close()

    # --- in the thread ---

    def _ask(self, place: _Place) -> _Read:
        sent_ns, held = self._clock.now_ns(), self._signed_in()
        if held is None:
            return _Read(place, sent_ns, None, "not signed in")
        self._rest.begin(READING_S)
        kind = LISTS[official_type(place.owner.service_type)]
        try:
            body = self._rest.get(url_of(place.owner, kind.path), held.token)
            return _Read(place, sent_ns, read_agents(body, kind.name))
        except RefusedError as exc:
            if exc.status == _TOKEN_REFUSED:
                self._doubt(held.issued_ns)
            return _Read(place, sent_ns, None, str(exc), is_unfit(exc.status))
        except (AwayError, ValueError) as exc:
            return _Read(place, sent_ns, None, str(exc))

    # --- what came of it ---

    def _take(self, read: _Read, known: Callable[[TargetId], bool]) -> None:
        place = read.place
        if read.agents is None:
            if read.is_refused and not place.trackers:
                place.not_before_ns = read.sent_ns + AGAIN_NS
                self._child.report("agents", f"{place.owner.name} {read.error}: its agents are not reported")
            for agent in place.trackers:
                _resolve(place, agent, read.sent_ns, _UNREAD)
            return
        for agent in place.trackers.keys() - read.agents.keys():
            place.trackers.pop(agent).close()
            del place.latest[agent]
        new = []
        for agent, is_up in read.agents.items():
            if agent not in place.trackers:
                target = targets.agent(place.owner, agent.name, agent.host)
                tracker = Tracker(target.id, REPORTED, self._child.incarnation, self._delivery.outbox.span)
                place.trackers[agent] = tracker
                if not known(target.id):
                    new.append(target)
            outcome = Outcome(Verdict.UP if is_up else Verdict.DOWN, None, _GAP_NS)
            _resolve(place, agent, read.sent_ns, outcome)
        for i in range(0, len(new), CHUNK):
            found = tuple(new[i : i + CHUNK])
            self._child.bus.send(Listing(at_ns=read.sent_ns, found=found, complete=False))

    def _note_progress(self) -> None:
        """Tell up to when the lists were read, if they were since the last time."""
        if self._read_ns is not None and self._read_ns != self._told_ns:
            self._told_ns = self._read_ns
            self._delivery.outbox.progress(
                Progress(self._child.incarnation, REPORTED, self._read_ns, 0, self._widest_ns)
            )


def _resolve(place: _Place, agent: Agent, sent_ns: int, outcome: Outcome) -> None:
    place.trackers[agent].issue(sent_ns)
    place.trackers[agent].resolve(sent_ns, outcome)
    place.latest[agent] = outcome.verdict
