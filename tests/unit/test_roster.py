"""The children of a run together: who is silent is killed, who has ended is started again."""

import asyncio
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest

from downtimer import clock
from downtimer.clock import RunClock
from downtimer.messages import Beat, BusDown, BusUp, Hello, WriterState
from downtimer.model import SECOND_NS, Incarnation
from downtimer.supervisor import children, roster
from downtimer.supervisor.children import Child, State
from downtimer.supervisor.roster import Roster
from tests.unit.machine import Machine

if TYPE_CHECKING:
    from downtimer.supervisor.bus import Bus

TURNS = 20


class Process(subprocess.Popen[bytes]):
    """A process that a test ends."""

    living: list["Process"] = []  # noqa: RUF012 - cleared by the fixture

    def __init__(self, *_: object, **__: object) -> None:
        self.pid = len(self.living) + 1
        self.code: int | None = None
        self.living.append(self)

    def __del__(self, *_: object) -> None:
        """There is nothing to wait for."""

    def poll(self) -> int | None:
        """Return how it ended."""
        return self.code

    def send_signal(self, sig: int) -> None:
        """Die of it."""
        self.code = -sig


class Words:
    """A bus on which a test says what children say."""

    address = "ipc://nowhere"

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Incarnation, BusUp]] = asyncio.Queue()

    async def receive(self) -> tuple[Incarnation, BusUp]:
        """Return what is said next."""
        return await self.queue.get()

    def has_more(self) -> bool:
        """Tell whether something was said that is not received yet."""
        return not self.queue.empty()

    def send(self, *_: Incarnation | BusDown) -> bool:
        """Pass over it."""
        return True

    def close(self) -> None:
        """Do nothing."""


class Listener:
    """Keeps what became of children."""

    def __init__(self) -> None:
        self.why: list[str] = []

    def greeted(self, child: Child) -> None:
        """Do nothing."""

    def told(self, child: Child, message: BusUp) -> None:
        """Do nothing."""

    def lost(self, child: Child, why: str) -> None:
        """Keep it."""
        self.why.append(f"{child.name} {why}")


class Scene:
    """A roster of one writer, whose machine, bus and watch a test moves."""

    def __init__(self) -> None:
        self.machine, self.bus, self.listener = Machine(), Words(), Listener()
        run_clock = RunClock(clock.tie(self.machine), self.machine)
        self.roster = Roster(
            ["writer"], bus=cast("Bus", self.bus), run="r", clock=run_clock, listener=self.listener
        )
        self.child = self.roster.children["writer"]

    async def say(self, message: BusUp) -> None:
        """Have the writer say something."""
        self.bus.queue.put_nowait((self.child.incarnation, message))
        await turns()

    async def pass_s(self, seconds: int) -> None:
        """Let so many seconds pass, in each of which the watch looks."""
        for _ in range(seconds):
            self.machine.pass_s(1)
            await turns()


async def turns() -> None:
    """Let everything be done that can be."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.fixture
def _processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(roster, "WATCH_S", 0)
    monkeypatch.setattr(roster, "QUICK_WATCH_S", 0)
    yield
    Process.living.clear()


@pytest.mark.usefixtures("_processes")
def test_only_a_beat_is_a_sign_of_life() -> None:
    """The writer tells how its storage fares even while a commit hangs; that must not keep it alive."""

    async def scenario() -> Scene:
        scene = Scene()
        scene.roster.start(["writer"])
        await scene.say(Hello(incarnation=scene.child.incarnation, pid=1))
        for _ in range(10):
            await scene.pass_s(1)
            await scene.say(Beat())
        assert scene.listener.why == []
        state = WriterState(rows=0, size_bytes=0, influxdb="off", backlog=0, error=None, journal_error=None)
        for _ in range(int(children.BEAT_OVERDUE_S) + 1):
            await scene.pass_s(1)
            await scene.say(state)
        await scene.roster.kill()
        return scene

    scene = asyncio.run(scenario())
    assert scene.listener.why == ["writer was silent for 6.0 s and was killed"]


@pytest.mark.usefixtures("_processes")
def test_a_child_that_has_ended_is_started_again_after_its_back_off() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.roster.start(["writer"])
        await scene.say(Hello(incarnation=scene.child.incarnation, pid=1))
        first = scene.child.incarnation
        Process.living[0].code = 1
        scene.roster.reap()
        await turns()
        assert scene.child.state is State.BACKOFF
        scene.machine.pass_ns(int(children.BACKOFF_FIRST_S * SECOND_NS))
        await turns()
        assert (scene.child.state, scene.child.restarts) == (State.STARTING, 1)
        assert scene.child.incarnation != first
        await scene.roster.kill()

    asyncio.run(scenario())
