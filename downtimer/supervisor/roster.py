"""The children of one run together: asked, watched, restarted, ended. Runs in the supervisor's loop.

Owns the child processes and the bus. What the messages mean is for the measurement to say.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from downtimer.clock import RunClock
from downtimer.messages import Beat, BusDown, BusUp, CannotStart, Done, Hello
from downtimer.model import SECOND_NS, Incarnation
from downtimer.supervisor.bus import Bus
from downtimer.supervisor.children import Child, State

log = logging.getLogger(__name__)

WATCH_S: Final = 1.0
QUICK_WATCH_S: Final = 0.1
"""While a child is to be started again, or does not do its work yet."""

_STEADY: Final = (State.RUNNING, State.FATAL, State.STOPPING, State.ENDED)
SELF_LATE_NS: Final = SECOND_NS
"""If our own loop was so late, silence of the children may be ours: every count starts anew."""


class Listener(Protocol):
    """What the measurement does with the news."""

    def greeted(self, child: Child) -> None:
        """A new process of this class said hello; it needs everything."""

    def told(self, child: Child, message: BusUp) -> None:
        """A child said something."""

    def lost(self, child: Child, why: str) -> None:
        """A process ended that was not told to; `why` completes "the api worker …"."""


class Roster:
    """All children of a run."""

    def __init__(
        self, names: Iterable[str], *, bus: Bus, run: str, clock: RunClock, listener: Listener
    ) -> None:
        self.children = {name: Child(name, bus=bus.address, run=run) for name in names}
        self._bus = bus
        self._clock = clock
        self._listener = listener
        self._serial = 0
        self._answers: dict[tuple[Incarnation, int], asyncio.Future[Done]] = {}
        self._why: dict[Incarnation, str] = {}  # why we killed it
        self._tasks: list[asyncio.Task[None]] = []
        self._has_lost = asyncio.Event()  # a child, of which there may have to be another soon

    def start(self, names: Iterable[str]) -> None:
        """Start these children, and listen to all."""
        self.start_more(names)
        self._tasks = [asyncio.create_task(task) for task in (self._listen(), self._watch())]
        for task in self._tasks:
            task.add_done_callback(end_on_defect)

    def start_more(self, names: Iterable[str]) -> None:
        """Start these children, but for those that cannot be."""
        for child in (self.children[name] for name in names):
            if child.state is State.ENDED:
                self._start(child)

    def send(self, name: str, message: BusDown) -> bool:
        """Send to a child if it runs; return whether it was sent. Others get what they need with hello."""
        child = self.children[name]
        return child.state is State.RUNNING and self._bus.send(child.incarnation, message)

    async def ask(self, names: Iterable[str], make: Callable[[int], BusDown], timeout_s: float) -> list[Done]:
        """Ask each of these that runs, and wait for their answers; one that dies or is late gives none."""
        return await self._answered(self._put(names, make), timeout_s)

    async def finish(
        self, names: Iterable[str], make: Callable[[int], BusDown], timeout_s: float
    ) -> list[Done]:
        """Ask these to finish, and wait until they have answered and ended."""
        children = [self.children[name] for name in names]
        waiting = self._put(names, make)
        for child in children:
            child.stopping()
        answers = await self._answered(waiting, timeout_s)
        await self._gone(children, 2.0)
        for child in children:
            if child.pid is not None:
                log.warning("%s: has not ended in time", child.name)
                child.kill()
        await self._gone(children, 2.0)
        return answers

    def replace(self, name: str, why: str) -> None:
        """End a process that runs, so that another takes its place; `why` completes "the api process …"."""
        child = self.children[name]
        if child.state is State.RUNNING:
            self._why[child.incarnation] = why
            child.replace()

    async def until_running(self, name: str, timeout_s: float) -> None:
        """Wait for a child that is just being started again, but no longer than so."""
        deadline_ns = self._clock.now_ns() + int(timeout_s * SECOND_NS)
        waiting = (State.BACKOFF, State.STARTING)
        while self.children[name].state in waiting and self._clock.now_ns() < deadline_ns:  # noqa: ASYNC110
            await asyncio.sleep(QUICK_WATCH_S)  # nobody tells of it but the bus, to another task

    async def kill(self) -> None:
        """End every child at once, and listen no more."""
        for child in self.children.values():
            child.stopping()
            child.kill()
        await self._gone(list(self.children.values()), 5.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._bus.close()

    def reap(self) -> None:
        """Notice processes that have ended. Called on SIGCHLD, and by the watch."""
        for child in self.children.values():
            code = child.reap(self._clock.now_ns())
            if code is None:
                continue
            for key in [key for key in self._answers if key[0] == child.incarnation]:
                self._answers.pop(key).cancel()
            if child.state in (State.BACKOFF, State.FATAL):
                self._has_lost.set()
                ended = f"ended with code {code}" if code >= 0 else f"was killed by signal {-code}"
                self._listener.lost(child, self._why.pop(child.incarnation, ended))

    def _put(self, names: Iterable[str], make: Callable[[int], BusDown]) -> "list[asyncio.Future[Done]]":
        waiting = []
        for child in (self.children[name] for name in names):
            self._serial += 1
            if child.state is State.RUNNING and self._bus.send(child.incarnation, make(self._serial)):
                future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
                self._answers[(child.incarnation, self._serial)] = future
                waiting.append(future)
        return waiting

    async def _answered(self, waiting: "list[asyncio.Future[Done]]", timeout_s: float) -> list[Done]:
        if not waiting:
            return []
        done, late = await asyncio.wait(waiting, timeout=timeout_s)
        for future in late:
            future.cancel()
        self._answers = {key: future for key, future in self._answers.items() if not future.done()}
        return [future.result() for future in done if not future.cancelled()]

    async def _gone(self, children: list[Child], timeout_s: float) -> None:
        deadline_ns = self._clock.now_ns() + int(timeout_s * SECOND_NS)
        while any(child.pid for child in children) and self._clock.now_ns() < deadline_ns:
            self.reap()
            await asyncio.sleep(0.01)

    async def _listen(self) -> None:
        while True:
            incarnation, message = await self._bus.receive()
            await asyncio.sleep(0)  # where many wait, `receive` alone would never give way to others
            child = self.children.get(incarnation.partition(".")[0])
            if child is None or child.incarnation != incarnation:
                log.info("bus: a late word of %s", incarnation)
                continue
            match message:
                case Hello():
                    child.heard(self._clock.now_ns())
                    self._listener.greeted(child)
                case Beat():
                    child.heard(self._clock.now_ns())
                    self._listener.told(child, message)
                case Done():
                    if (future := self._answers.pop((incarnation, message.serial), None)) is not None:
                        future.set_result(message)
                case CannotStart():
                    child.cannot_start(message)
                case _:
                    self._listener.told(child, message)

    async def _watch(self) -> None:
        """Restart what is due; kill what is silent, unless its word may be in the inbox."""
        while True:
            wait_s = self._watch_s()
            due_ns = self._clock.now_ns() + int(wait_s * SECOND_NS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._has_lost.wait()
            self._has_lost.clear()
            now_ns = self._clock.now_ns()
            was_late = now_ns > due_ns + SELF_LATE_NS
            self.reap()
            for child in self.children.values():
                if was_late:
                    child.count_anew(now_ns)
                elif child.is_overdue(now_ns) and not self._bus.has_more():
                    self._why[child.incarnation] = (
                        f"was silent for {child.age_s(now_ns):.1f} s and was killed"
                    )
                    child.kill()
                if child.is_due(now_ns):
                    self._start(child)

    def _watch_s(self) -> float:
        """Return how long until there may be something to do, if no process ends."""
        children, now_ns = self.children.values(), self._clock.now_ns()
        if not all(child.state in _STEADY for child in children):
            return QUICK_WATCH_S
        left_s = (left for child in children if (left := child.overdue_in_s(now_ns)) is not None)
        return max(min([WATCH_S, *left_s]), QUICK_WATCH_S)

    def _start(self, child: Child) -> None:
        try:
            child.start(self._clock.now_ns())
        except OSError as exc:
            self._listener.lost(child, f"could not be started: {exc.strerror}")


def end_on_defect(task: "asyncio.Task[None]") -> None:
    """A task that should never end has: a defect. Stop the run in good order rather than limp on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a defect of downtimer; the run is stopped", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)
