"""One run under way: its targets, what is down now, and what the children must know of each other.

Runs in the supervisor's event loop and does no I/O that can block. This is long because what one child says
that concerns another, or the whole, comes together here.
"""

import asyncio
import gc
import heapq
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from downtimer.clock import RunClock
from downtimer.errors import ConfigError, DowntimerError
from downtimer.messages import (
    Answering,
    Beat,
    BusUp,
    Complaints,
    Counts,
    Done,
    Finish,
    Flush,
    Learnt,
    Listing,
    Look,
    MayAsk,
    Powers,
    Record,
    Relog,
    Report,
    Settings,
    Token,
    TokenRejected,
    Took,
    Turned,
    Unfit,
    WriterState,
)
from downtimer.model import ICMP, LOGIN, SECOND_NS, WORKS, Event, Kind, Mark, TargetId, TargetState
from downtimer.pauses import PAUSE, UNPAUSE
from downtimer.secrecy import ACCOUNT, without_secrets
from downtimer.store.outbox import SHIP_S
from downtimer.supervisor.beginning import Beginning, StartError
from downtimer.supervisor.bus import Bus
from downtimer.supervisor.children import Child, State
from downtimer.supervisor.chronicle import Chronicle
from downtimer.supervisor.feeds import Feeds
from downtimer.supervisor.picture import Picture
from downtimer.supervisor.reload import Reload
from downtimer.supervisor.roster import Roster, end_on_defect
from downtimer.supervisor.targets import TargetList
from downtimer.verdicts import is_hang

log = logging.getLogger(__name__)

PROBING: Final = ("api", "icmp")
REPORTING: Final = ("discovery", *PROBING)
"""Children whose findings go to the writer."""

CHECKED: Final = (Kind.SERVICE, Kind.ADDRESS)
"""What they probe."""

CHILDREN: Final = (*REPORTING, "writer")
"""In the order in which they are started: discovery has the most to do before anything is measured."""

SECRETS: Final = {"discovery": (ACCOUNT,), "api": (ACCOUNT,), "writer": ("db",)}
"""What holds the secrets that a child has use for."""

WALL_STEP_NS: Final = SECOND_NS // 10
FLUSH_S: Final = 10.0
DRAIN_S: Final = 30.0
DRAIN_TARGETS_S: Final = 10.0
COMMIT_S: Final = 30.0
RECORDS_MAX: Final = 10_000
MARKS_SHOWN: Final = 5
FREEZE: Final = 500
"""When so many targets change together the collector is not to look at what there is, ever again.

A hundred thousand targets are in no cycle, and to go through all of them takes a third of a second.
"""


class Past(NamedTuple):
    """What a run that goes on had come to, beside its targets.

    Attributes:
        marks: The latest, by instant.
        paused_ns: Since when probing rests; None if it does not.
    """

    marks: Sequence[Mark] = ()
    paused_ns: int | None = None


class Flushed(NamedTuple):
    """What a flush has achieved: recorded up to `through_ns`, but for what `silent` classes still hold."""

    through_ns: int
    silent: tuple[str, ...]


def _is_hung_call(turned: Turned) -> bool:
    """Tell whether a call hangs that shows who we are."""
    return turned.check in (WORKS, LOGIN) and turned.cause is not None and is_hang(turned.cause)


def _failure(child: Child, why: str) -> DowntimerError:
    """Return why a process can't start: what it said, else `why`."""
    kind = ConfigError if child.is_misconfigured else StartError
    return kind(child.reason or why)


class Measurement:
    """A run from its first probe to its last.

    Attributes:
        is_ending: No more is measured.
        paused_ns: Since when probing rests; None if it does not.
        marks: The latest, by instant.
    """

    def __init__(self, settings: Settings, bus: Bus, targets: TargetList, past: Past | None = None) -> None:
        self.settings = settings
        self.clock = RunClock(settings.anchor)
        self.targets = targets
        self.picture = Picture()
        self._chronicle = Chronicle(self._name_of, log.info)
        self.roster = Roster(CHILDREN, bus=bus, run=settings.run.id, clock=self.clock, listener=self)
        self.is_ending = False
        past = past or Past()
        self.paused_ns = past.paused_ns
        self.marks = deque(past.marks, maxlen=MARKS_SHOWN)
        self._is_resting = self.paused_ns is not None  # as soon as those that probe are told to end
        self._listed = False
        self._beginning = Beginning()
        self._relog: Relog | None = None  # how the log has changed since the start
        self._dropped: frozenset[TargetId] = frozenset()  # of [static], until there is another discovery
        self._token: Token | None = None
        self._records: deque[Record] = deque(maxlen=RECORDS_MAX)
        self._feeds = Feeds(targets.get, self.roster.send)
        self._tasks: list[asyncio.Task[None]] = []

    # --- its life ---

    async def start(self) -> None:
        """Start all children; return when every class has measured something.

        Of a run that is paused only the writer is started.

        Raises:
            StartError: It can't be done; nothing is left running.
            ConfigError: The same, for what stands in the configuration file.
        """
        if len(self.targets) >= FREEZE:
            gc.freeze()
        self.roster.start(("writer",) if self._is_resting else CHILDREN)
        self._tasks = [asyncio.create_task(task) for task in (self._tick(), self._feeds.run())]
        for task in self._tasks:
            task.add_done_callback(end_on_defect)
        try:
            await self._beginning.wait()
        except BaseException:
            await self._end()
            raise

    @property
    def is_starting(self) -> bool:
        """Whether something is still to be seen for the first time."""
        return not (self._beginning.is_over or self._is_resting)

    async def flush(self) -> Flushed:
        """Have everything recorded that is known."""
        now_ns = self.clock.now_ns()
        await self._feeds.drain("writer", DRAIN_TARGETS_S)
        # The writer is asked first, too, for then it commits at once what the workers send meanwhile.
        *workers, _ = await asyncio.gather(*(self._flush(name) for name in (*REPORTING, "writer")))
        answers = dict(zip(REPORTING, workers, strict=True))
        writer = await self._flush("writer")
        reached = [done.through_ns for name in PROBING if (done := answers[name]) is not None]
        through_ns = min(reached, default=now_ns)
        asked = (answers | {"writer": writer}).items()
        silent = [name for name, done in asked if done is None and not self._has_ended(name)]
        return Flushed(through_ns, tuple(silent))

    def _has_ended(self, name: str) -> bool:
        """Tell whether this one has told all, for the run is over."""
        return (self.is_ending or self._is_resting) and self.roster.children[name].state in (
            State.STOPPING,
            State.ENDED,
        )

    async def _flush(self, name: str) -> Done | None:
        answers = await self.roster.ask([name], lambda serial: Flush(serial=serial), FLUSH_S)
        return answers[0] if answers else None

    async def pause(self) -> int:
        """Let probing rest: return since when, once all that was under way is resolved and recorded.

        Those that probe, and discovery, end in good order, as at the end of a run. So nothing can be sent,
        whatever becomes of any process meanwhile. A second call changes nothing.
        """
        if self.paused_ns is None:
            self._is_resting = True
            await self._finish_probing()
            for name in REPORTING:
                self.picture.forget(name)
            self.paused_ns = self.clock.now_ns()
            self._note_at(self.paused_ns, PAUSE, "probing rests, as the user asked")
            await self._flush("writer")
        return self.paused_ns

    async def resume(self) -> int | None:
        """Go on probing: return since when it had rested, once every class has measured something again.

        Returns:
            None: It did not rest.

        Raises:
            StartError: Nothing could be measured so far; the children go on trying.
        """
        rested_ns, self.paused_ns = self.paused_ns, None
        if rested_ns is None:
            return None
        self.note(UNPAUSE, "probing goes on")
        self._is_resting = False
        self._beginning = Beginning()
        for child in self.roster.children.values():
            if child.state is State.FATAL:
                self._beginning.fail(_failure(child, f"the {child.name} process cannot be started"))
        self.roster.start_more(CHILDREN)
        await self._beginning.wait()
        return rested_ns

    async def _finish_probing(self) -> None:
        """End all children but the writer, once what they have under way is resolved and recorded."""
        config = self.settings.config
        drain_s = DRAIN_S + max(config.api.timeout, config.icmp.timeout)
        await self.roster.finish(REPORTING, lambda serial: Finish(serial=serial), drain_s)
        for name in REPORTING:
            self._feeds.close(name)

    async def stop(self, label: str | None = None) -> None:
        """End the run in good order: probes under way, spans, journal, InfluxDB, processes.

        Args:
            label: What the run is called from now on; None: as it is.
        """
        self.is_ending = True
        await self._finish_probing()
        await self.roster.until_running("writer", DRAIN_TARGETS_S)
        await self._feeds.drain("writer", DRAIN_TARGETS_S)
        end_ns = self.clock.now_ns()
        answers = await self.roster.finish(
            ["writer"],
            lambda serial: Finish(serial=serial, end_ns=end_ns, label=label, ship_s=SHIP_S),
            COMMIT_S + SHIP_S,
        )
        await self._end()
        if not answers:
            state = self.picture.writer
            why = (state.journal_error if state is not None else None) or "the log says more"
            raise DowntimerError(f"the writer did not confirm the end of the run: {why}")

    def mark(self, text: str) -> int:
        """Label this instant; return it."""
        mark = Mark(at_ns=self.clock.now_ns(), text=text)
        log.info("mark: %s", text)
        self.marks.append(mark)
        self._record(Record(marks=(mark,)))
        return mark.at_ns

    async def reconfigure(self, reload: Reload, log_file: str | None) -> None:
        """Measure by another configuration; processes that have to work in another way are replaced.

        Args:
            reload: What has changed.
            log_file: The log, which may have been moved away; None if it is no file of ours.
        """
        self.settings = msgspec.structs.replace(self.settings, config=reload.config)
        self._dropped = reload.dropped
        self._tell(self.targets.drop(reload.dropped, self.clock.now_ns()))
        self._relog = Relog(level=reload.config.global_.log_level, path=log_file)
        for name in CHILDREN:
            self.roster.send(name, self._relog)
        # What they know is recorded first: so no more is unobserved than their successors need to start.
        await asyncio.gather(*(self._flush(name) for name in reload.children if name != "writer"))
        for name in reload.children:
            self.roster.replace(name, "was ended, for its configuration has changed")

    def down(self, most: int) -> tuple[list[Turned], int]:
        """Return what is down of what is measured for its own sake, at most so many, and how many more are.

        What has been down for longest comes first.
        """
        found = [turned for turned in self.picture.down() if self._is_current(turned)]
        first = heapq.nsmallest(most, found, key=lambda turned: (turned.since_ns, turned.target))
        return first, len(found) - len(first)

    def references(self) -> tuple[int, int]:
        """Return how many references there are whose normal is known, and how many of these fail now."""
        counted = [state for state in self.targets.others() if state.target.reference and state.baselines]
        return len(counted), sum(self.picture.is_down(state.target.id, ICMP) for state in counted)

    def _is_current(self, turned: Turned) -> bool:
        """Tell whether that check still counts: the target may be retired, or be reached in another way."""
        state = self.targets.get(turned.target)
        if state is None:
            return True
        is_current = state.target.kind is Kind.SERVICE or turned.check == state.check
        return is_current and state.retired_ns is None and not state.target.reference

    def _name_of(self, turned: Turned) -> str:
        state = self.targets.get(turned.target)
        if state is None or state.target.region is None:
            return turned.target if state is None else state.target.name
        return f"{state.target.name} ({state.target.region})"

    def note(self, kind: str, text: str) -> None:
        """Put an event of the supervisor's own on record, and in the log."""
        self._note_at(self.clock.now_ns(), kind, text)

    def _note_at(self, at_ns: int, kind: str, text: str) -> None:
        log.log(logging.INFO if kind in (PAUSE, UNPAUSE) else logging.WARNING, "%s: %s", kind, text)
        self._record(Record(events=(Event(at_ns=at_ns, kind=kind, text=text),)))

    def _record(self, record: Record) -> None:
        """Have the writer record something. Its successor is told all again; a repeat is harmless."""
        self._records.append(record)
        self.roster.send("writer", record)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # one may have died of a defect
        await self.roster.kill()

    # --- what the roster says ---

    def greeted(self, child: Child) -> None:
        """A new process of this class said hello: it gets its settings and the whole target list."""
        self.picture.forget(child.name)
        config = without_secrets(self.settings.config, but=SECRETS.get(child.name, ()))
        self.roster.send(child.name, msgspec.structs.replace(self.settings, config=config))
        if self._relog is not None:  # it may have been started while the log was still another
            self.roster.send(child.name, self._relog)
        if child.name == "discovery":  # what its predecessor listed may have come after they were dropped
            self._tell(self.targets.drop(self._dropped, self.clock.now_ns()))
            self._dropped = frozenset()
        self._feeds.begin(child.name, self.targets.ids())
        if child.name == "api" and self._token is not None:
            self.roster.send("api", self._token)
        if child.name == "writer":
            for record in self._records:
                self.roster.send("writer", record)
            if self._is_resting:  # there is nothing else to wait for
                self._beginning.succeed()

    def told(self, child: Child, message: BusUp) -> None:
        """A child said something: take it, or pass it on."""
        match message:
            case Beat():
                self._on_beat(child, message)
            case Listing():
                self._on_listing(message)
            case Powers():
                self._tell(self.targets.apply_powers(message), ("writer", "discovery"))
            case Learnt() | Unfit():
                self._on_finding(message)
            case Took():
                self._feeds.took(child.name, message.serial)
            case Token() | MayAsk() | TokenRejected() | Answering():
                self._pass_on(message)
            case Report():
                self._record(Record(events=(message.event,)))
            case Complaints():
                self.picture.complaints = message.lines
            case WriterState():
                self.picture.writer = message
            case _:
                log.warning("%s: an unexpected %s", child.name, type(message).__name__)

    def _pass_on(self, message: Token | MayAsk | TokenRejected | Answering) -> None:
        """Let the api worker know what discovery says, and the other way round.

        If there is no api worker, nothing is known to hang.
        """
        match message:
            case Token():
                self._token = message
                self.roster.send("api", message)
            case MayAsk(target=target):
                if not self.roster.send("api", message):
                    self.roster.send("discovery", Answering(target=target, hangs=False))
            case _:
                self.roster.send("discovery", message)

    def lost(self, child: Child, why: str) -> None:
        """A process ended that was not told to."""
        self._feeds.close(child.name)
        if child.state is State.FATAL:
            failure = _failure(child, why)
            self._beginning.fail(failure)
            self.note("cannot-start", f"{child.name}: {failure}")
            return
        self._beginning.lost(child.name, why)
        self.note("restart", f"the {child.name} process {why}; another is started")

    def _on_beat(self, child: Child, beat: Beat) -> None:
        for turned in beat.turned:
            if self._is_current(turned):
                self._chronicle.take(turned, self.picture.down_since_ns(turned.target, turned.check))
        self.picture.take(child.name, beat)
        if any(turned.cause is not None and not _is_hung_call(turned) for turned in beat.turned):
            self.roster.send("discovery", Look())
        if not self._beginning.is_over and self._listed and all(map(self._has_measured, CHECKED)):
            self._beginning.succeed()

    def _has_measured(self, kind: Kind) -> bool:
        counts = self.picture.counts(kind)
        return not self.targets.count_probed(kind) or counts != Counts(unseen=counts.unseen)

    def _on_finding(self, found: Learnt | Unfit) -> None:
        """A worker has found out something about targets."""
        if isinstance(found, Learnt):
            self._on_learnt(found)
        else:
            self._on_unfit(found)

    def _on_learnt(self, learnt: Learnt) -> None:
        self._tell(self.targets.learn(learnt.normals), ("writer",))
        changed = self.targets.silent(learnt.silent, self.clock.now_ns())
        changed += self.targets.reached(learnt.reached)
        self._tell(changed, ("writer", *PROBING))

    def _on_unfit(self, unfit: Unfit) -> None:
        self.picture.clear(unfit.target, unfit.check)
        changed = self.targets.unfit(unfit.target, unfit.check, unfit.why)
        self._tell(changed, ("writer", "api"))
        for state in changed:
            self.note("check", f"{state.target.name} is not asked whether it {unfit.check}: {unfit.why}")

    def _on_listing(self, listing: Listing) -> None:
        self._listed = self._listed or not listing.more
        if listing.complete and listing.lacks_most:
            self.note("discovery", "a list lacks most addresses of the last one; what answers is measured on")
        changed = self.targets.apply(listing, self._answers)
        self._tell(changed)
        if any(state.missing_ns == listing.at_ns for state in changed):
            self.roster.send("discovery", Look())  # a second list is to confirm it

    def _answers(self, state: TargetState) -> bool:
        return not self.picture.is_down(state.target.id, state.check)

    def _tell(self, changed: tuple[TargetState, ...], names: Iterable[str] = CHILDREN) -> None:
        """Tell these children how targets stand now."""
        self._feeds.tell(changed, names)
        if len(changed) >= FREEZE:
            gc.freeze()

    # --- once a second ---

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._chronicle.tick()
            step_ns = self.clock.wall_step_ns()
            if abs(step_ns) >= WALL_STEP_NS:
                self.note(
                    "clock", f"the wall clock was stepped by {step_ns / SECOND_NS:+.3f} s; no figure moves"
                )
