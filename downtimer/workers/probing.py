"""What the two probing workers share: orders in, findings out, signs of life and progress.

An engine knows how to probe its class of targets; this module gives it targets, carries its findings
to the writer and the supervisor, and ends it in good order.
"""

import asyncio
import contextlib
import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple, Protocol, TypeVar

from downtimer.errors import MessageError
from downtimer.messages import (
    Beat,
    Counts,
    Done,
    Finish,
    Flush,
    Learnt,
    MayAsk,
    Normal,
    Progress,
    Reached,
    Standing,
    Targets,
    Token,
    Turned,
)
from downtimer.model import SECOND_NS, Baseline, Kind, Span, TargetId, TargetState
from downtimer.workers.delivery import PROGRESS_S, Delivery
from downtimer.workers.outbox import Outbox
from downtimer.workers.worker import BEAT_S, Child

log = logging.getLogger(__name__)

CHECKPOINT_S: Final = 600.0
TROUBLE_CHECKPOINT_S: Final = 5.0
TROUBLED_MAX: Final = 500
"""If more are in trouble, their counts wait for the next checkpoint: there is enough to do."""

PORTION: Final = 128
"""Of what is done for all targets, so many are done before others have their turn: it takes a millisecond."""

ROOM_S: Final = 0.1
ROOM_TRIES: Final = 15
"""So long it takes the writer at most to commit what it has; if it does not, whoever waits goes on."""

LEARNT_MAX: Final = 1_000
"""Most of each kind in one message of what was learnt, so that nobody stalls on it."""

LEARNT_S: Final = 0.1
"""How long what was learnt is collected: a hundred thousand addresses learn their normal in one second."""

LEARNT_MORE_S: Final = 0.01

COLLECT_S: Final = 10.0
BEAT_LEAST_S: Final = 0.1
STANDINGS_S: Final = 0.9
"""They are told with every beat but those that are early, for something has turned."""

TURNED_MAX: Final = 1_000

_T = TypeVar("_T")


class Reach(NamedTuple):
    """How far a check is with all its targets.

    Attributes:
        through_ns: Every probe sent up to this instant is judged and handed to the findings.
        grown_ns: Open spans have grown up to here.
        ahead_ns: By so much at most that is ahead of their last probes.
        widest_ns: The largest distance of two neighbouring probes of a target that counted as observed.
    """

    through_ns: int
    grown_ns: int
    ahead_ns: int
    widest_ns: int

    def with_all_of(self, other: "Reach") -> "Reach":
        """Return how far both are."""
        return Reach(
            min(self.through_ns, other.through_ns),
            min(self.grown_ns, other.grown_ns),
            max(self.ahead_ns, other.ahead_ns),
            max(self.widest_ns, other.widest_ns),
        )


class Engine(Protocol):
    """Probes one class of targets."""

    def update(self, state: TargetState) -> None:
        """Take a target that is new, has changed or is retired; one of another class is passed over.

        Raises:
            CannotStartError: It cannot be probed for want of permission.
        """

    def keep_only(self, targets: Iterable[TargetId]) -> None:
        """Forget every target but these."""

    def counts(self) -> dict[Kind, Counts]:
        """Return how the checks stand, by kind of target, references aside."""

    def standings(self) -> tuple[Standing, ...]:
        """Return how services stand one by one, at most 1,000 of them."""

    def take_token(self, token: Token) -> None:
        """Show this token from now on, to whom it is to be shown."""

    def tell_when_answered(self, target: TargetId) -> None:
        """Tell discovery when a call to this service has been answered."""

    def reach(self) -> Mapping[str, Reach]:
        """Return how far each check is; those without targets are not there."""

    def open_spans(self) -> Iterator[Span]:
        """Yield all spans that are growing, as each stands when its turn comes; maybe some of them twice.

        Probing may go on between two of them.
        """

    def troubled_spans(self) -> Iterator[Span]:
        """Yield those of the checks that are not up."""

    async def run(self) -> None:
        """Probe until cancelled."""

    async def finish(self) -> None:
        """Send no more; return when all that is under way is resolved, and end all spans."""


class Findings:
    """Where an engine puts what it finds: to the writer through the outbox, to the supervisor in beats."""

    def __init__(self, child: Child, outbox: Outbox) -> None:
        self.outbox = outbox
        self._child = child
        self._turned: dict[tuple[TargetId, str], Turned] = {}  # only how it stands now is worth telling
        self._normals: deque[Normal] = deque()
        self._silent: deque[TargetId] = deque()
        self._reached: deque[Reached] = deque()
        self._telling: asyncio.TimerHandle | None = None
        self.hurry = asyncio.Event()

    def span(self, span: Span, *, is_open: bool) -> None:
        """Take a span that has opened, ended, or stands so at a checkpoint."""
        self.outbox.span(span, is_open=is_open)

    async def room(self) -> None:
        """Let others have their turn; wait a while for the writer if there is a large backlog."""
        await asyncio.sleep(0)
        for _ in range(ROOM_TRIES):
            if self.outbox.has_room:
                return
            self.outbox.pump(self._child.clock.now_ns())
            if not self.outbox.has_room:
                await asyncio.sleep(ROOM_S)

    def learnt(self, target: TargetId, check: str, baseline: Baseline) -> None:
        """Take what has been learnt of a check's normal."""
        self._normals.append(Normal(target, check, baseline))
        self._tell_in(LEARNT_S)

    def silent(self, target: TargetId) -> None:
        """Take that an address has not answered any echo in its first 10 s."""
        self._silent.append(target)
        self._tell_in(LEARNT_S)

    def reached(self, target: TargetId, method: str) -> None:
        """Take that an address which was silent has answered."""
        self._reached.append(Reached(target, method))
        self._tell_in(LEARNT_S)

    def has_learnt(self) -> bool:
        """Tell whether something of that was not told yet."""
        return bool(self._normals or self._silent or self._reached)

    def tell_learnt(self) -> None:
        """Tell the supervisor all that has been learnt, at once."""
        while self.has_learnt():
            self._tell_some()

    def _tell_in(self, seconds: float) -> None:
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(seconds, self._tell_next)

    def _tell_next(self) -> None:
        """Tell one message of it, and the next one in another turn of the loop."""
        self._telling = None
        self._tell_some()
        if self.has_learnt():
            self._tell_in(LEARNT_MORE_S)

    def _tell_some(self) -> None:
        learnt = Learnt(
            normals=_take(self._normals), silent=_take(self._silent), reached=_take(self._reached)
        )
        if learnt != Learnt():
            self._child.bus.send(learnt)

    def turned(self, target: TargetId, check: str, since_ns: int, cause: str | None) -> None:
        """Take a change between good and down; it is told at once."""
        self._turned[target, check] = Turned(target, check, since_ns, cause)
        self.hurry.set()

    def beat(self, counts: dict[Kind, Counts], standings: tuple[Standing, ...] = ()) -> Beat:
        """Make the next beat."""
        told = tuple(self._turned.values())[:TURNED_MAX]
        for turned in told:
            del self._turned[turned.target, turned.check]
        return Beat(
            counts=counts,
            standings=standings,
            turned=told,
            late_ns=self._child.watch.take_worst_ns(),
            dropped=self.outbox.dropped,
        )


def _take(waiting: deque[_T]) -> tuple[_T, ...]:
    """Take what fits into one message."""
    return tuple(waiting.popleft() for _ in range(min(len(waiting), LEARNT_MAX)))


class Probing:
    """A probing worker's loop."""

    def __init__(self, child: Child, make_engine: Callable[[Child, Findings], Engine]) -> None:
        self._child = child
        self._delivery = Delivery(child)
        self._outbox = self._delivery.outbox
        self._findings = Findings(child, self._outbox)
        try:
            self._engine = make_engine(child, self._findings)
        except BaseException:
            self._delivery.close()  # or the end of this process waits for it, for ever
            raise
        self._serial = 0  # of the last portion of the target list
        self._listed: set[TargetId] | None = None  # by a whole list of which more is to come

    async def run(self) -> None:
        """Work until told to finish."""
        self._child.watch.be_sharp()
        engine = asyncio.create_task(self._engine.run())
        orders = asyncio.create_task(self._obey(engine))
        running = {engine, orders}
        delivering = self._delivery.run(self._note_progress, every_s=PROGRESS_S)
        tasks = (self._beat(), delivering, self._checkpoint(), _collect_garbage())
        for task in tasks:
            running.add(asyncio.create_task(task))
        everything = tuple(running)
        try:
            while not orders.done():
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for ended in done:
                    if not (ended is engine and ended.cancelled()):  # `_obey` does that to finish
                        ended.result()
        finally:
            for one in everything:
                one.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            self._delivery.close()

    async def _obey(self, probing: "asyncio.Task[None]") -> None:
        while True:
            order = await self._child.bus.receive()
            if isinstance(order, Targets):
                await self._take(order)
            elif isinstance(order, Token):
                self._engine.take_token(order)
            elif isinstance(order, MayAsk):
                self._engine.tell_when_answered(order.target)
            elif isinstance(order, Flush):
                await self._flush()
                self._answer(order.serial)
            elif isinstance(order, Finish):
                probing.cancel()
                await self._engine.finish()
                await self._flush()
                self._answer(order.serial)
                return
            else:
                log.debug("bus: an order that is not for this worker: %s", type(order).__name__)

    async def _take(self, targets: Targets) -> None:
        if not targets.follows(self._serial):
            raise MessageError(f"a difference of the target list is missing after {self._serial}")
        self._serial = targets.serial
        if targets.whole:
            self._listed = set()
        for number, state in enumerate(targets.changed):
            if number % PORTION == PORTION - 1:
                await asyncio.sleep(0)
            self._engine.update(state)
        if self._listed is not None:
            self._listed.update(state.target.id for state in targets.changed)
            if not targets.more:
                self._engine.keep_only(self._listed)
                self._listed = None

    async def _flush(self) -> None:
        """Record every open span as it stands, and wait until the writer has all that is known now."""
        self._findings.tell_learnt()
        await self._record_open_spans()
        self._note_progress()
        await self._delivery.flush()

    def _answer(self, serial: int) -> None:
        reached = [reach.through_ns for reach in self._engine.reach().values()]
        self._child.bus.send(Done(serial=serial, through_ns=min(reached, default=self._child.clock.now_ns())))

    async def _beat(self) -> None:
        """Beat once a second; sooner, yet at most ten times a second, when something has turned.

        So, too, until every check has its first verdict: whoever has started us waits for it.
        """
        loop = asyncio.get_running_loop()
        told_s = -STANDINGS_S
        while True:
            self._findings.hurry.clear()
            counts = self._engine.counts()
            is_due = loop.time() - told_s >= STANDINGS_S
            told_s = loop.time() if is_due else told_s
            standings = self._engine.standings() if is_due else ()
            self._child.bus.send(self._findings.beat(counts, standings))
            next_s = loop.time() + BEAT_LEAST_S
            wait_s = 2 * BEAT_LEAST_S if any(each.unseen for each in counts.values()) else BEAT_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._findings.hurry.wait()
                    await asyncio.sleep(next_s - loop.time())

    def _note_progress(self) -> None:
        self._outbox.progress(
            *(
                Progress(self._child.incarnation, check, reach.grown_ns, reach.ahead_ns, reach.widest_ns)
                for check, reach in self._engine.reach().items()
            )
        )

    async def _checkpoint(self) -> None:
        """Record now and then what grows, for its counts: how far it has grown the progress tells.

        If this process is killed, the counts since then are lost. Those of failures say more.
        """
        last_ns = self._child.clock.now_ns()
        while True:
            await asyncio.sleep(TROUBLE_CHECKPOINT_S)
            now_ns = self._child.clock.now_ns()
            is_due = now_ns - last_ns >= CHECKPOINT_S * SECOND_NS
            last_ns = now_ns if is_due else last_ns
            if is_due:
                await self._record_open_spans()
                continue
            troubled = list(islice(self._engine.troubled_spans(), TROUBLED_MAX + 1))
            if len(troubled) <= TROUBLED_MAX:
                for span in troubled:
                    self._outbox.span(span, is_open=True)

    async def _record_open_spans(self) -> None:
        """Record all spans that grow, without holding up the probes."""
        for number, span in enumerate(self._engine.open_spans()):
            if number % PORTION == PORTION - 1:
                await self._findings.room()
            self._outbox.span(span, is_open=True)


async def _collect_garbage() -> None:
    """Keep Python's collector from standing in the way.

    A full collection takes 15 ms for a thousand addresses, in which nothing is sent. Hardly anything
    here is ever in a cycle: so only what is young is looked through, now and then, and the rest is let be.
    """
    gc.disable()
    while True:
        await asyncio.sleep(COLLECT_S)
        gc.collect(1)
        gc.freeze()


async def run(child: Child, make_engine: Callable[[Child, Findings], Engine]) -> None:
    """Run a probing worker that has its settings."""
    await Probing(child, make_engine).run()
