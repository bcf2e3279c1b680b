"""What every child process does: it ties itself to the supervisor, introduces itself, and beats.

A child is a fresh interpreter. Before anything else it asks the kernel to kill it when the supervisor
dies, then looks whether that has happened already. It learns its settings over the bus (no secret in
argv or environment) and leaves signs of life from the loop that does its work, so that a loop that
hangs falls silent. SIGINT is the supervisor's to act on; the terminal sends it to all.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import setproctitle
import zmq

from downtimer import clock, logs, memory, messages, wire
from downtimer.clock import RunClock
from downtimer.descriptors import allow_most
from downtimer.errors import DowntimerError, ExitCode, MessageError
from downtimer.messages import (
    Beat,
    BusDown,
    BusUp,
    CannotStart,
    Hello,
    Relog,
    Report,
    Settings,
    Targets,
    Took,
)
from downtimer.model import SECOND_NS, Event, Incarnation
from downtimer.parent import die_with_parent
from downtimer.secrecy import has_secrets
from downtimer.workers import loop
from downtimer.workers.loop import WatchedSelector
from downtimer.workers.stalls import LoopWatch

log = logging.getLogger(__name__)

BEAT_S: Final = 1.0
QUIET_BEAT_S: Final = 2.0
"""Of those whose beats tell nothing but that they live."""


_T = TypeVar("_T")


class CannotStartError(DowntimerError):
    """The child can't do its work, for configuration or permission; a restart would not help."""

    exit_code = ExitCode.CANNOT_START

    def __init__(self, reason: str, *, by_configuration: bool = False) -> None:
        """`by_configuration`: what is to be mended stands in the configuration file."""
        super().__init__(reason)
        self.by_configuration = by_configuration


class Bus:
    """A child's end of the bus."""

    def __init__(self, socket: wire.Socket) -> None:
        self._socket = socket
        self._took: int | None = None  # the portion of the target list that is being taken in

    def send(self, message: BusUp) -> None:
        """Send without blocking. If the supervisor does not read, it is dead or will end us."""
        self._socket.send([messages.encode(message)])

    async def receive(self) -> BusDown:
        """Return the next order; frames that are no message of ours are logged and passed over.

        Whoever asks for it has done the last one. After a portion of the target list the loop gets its turn
        before there is another.
        """
        if self._took is not None:
            self.send(Took(serial=self._took))
            self._took = None
            await asyncio.sleep(0)
        while True:
            frames = await self._socket.receive()
            try:
                order = messages.BUS_DOWN.decode(frames[0])
            except MessageError as exc:
                log.warning("bus: %s", exc)
                continue
            if isinstance(order, Relog):
                logs.change(order.level, order.path)
                continue
            if isinstance(order, Targets):
                self._took = order.serial
            return order

    async def settings(self) -> Settings:
        """Return the first order, which must be the settings."""
        first = await self.receive()
        if not isinstance(first, Settings):
            raise MessageError(f"expected settings first, got {type(first).__name__}")
        return first


class Child:
    """A child that has its settings.

    Attributes:
        bus: To the supervisor.
        context: The process's ZeroMQ context.
        incarnation: This life of the process.
        settings: As the supervisor gave them.
        clock: The run's.
        watch: Knows when the loop was late.
    """

    def __init__(
        self,
        bus: Bus,
        context: "zmq.Context[zmq.Socket[bytes]]",
        incarnation: Incarnation,
        settings: Settings,
        source: clock.Source = clock.SYSTEM,
    ) -> None:
        self.bus = bus
        self.context = context
        self.incarnation = incarnation
        self.settings = settings
        self.clock = RunClock(settings.anchor, source)
        self.watch = LoopWatch(self.clock)

    def report(self, kind: str, text: str) -> None:
        """Put something on the run's record of events, and in the log."""
        log.warning("%s: %s", kind, text)
        self.bus.send(Report(event=Event(at_ns=self.clock.now_ns(), kind=kind, text=text)))

    async def beat_forever(self, make: Callable[[], Beat | None]) -> None:
        """Beat every other second with what `make` returns; None: this loop has no right to one now."""
        while True:
            beat = make()
            if beat is not None:
                self.bus.send(beat)
            await asyncio.sleep(QUIET_BEAT_S)


class Blocking:
    """A thread for blocking calls on one connection, and the knowledge of when one takes too long."""

    def __init__(self, name: str, clock: RunClock) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._clock = clock
        self._deadline_ns: int | None = None

    async def call(self, function: Callable[[], _T], deadline_s: float) -> _T:
        """Run `function` in the thread; beyond `deadline_s` the process is overdue, not the call ended."""
        self._deadline_ns = self._clock.now_ns() + int(deadline_s * SECOND_NS)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self._deadline_ns = None

    def prolong(self, deadline_s: float) -> bool:
        """Give the call under way so long from now on, for it gets on; return False if there is none."""
        if self._deadline_ns is None:
            return False
        self._deadline_ns = self._clock.now_ns() + int(deadline_s * SECOND_NS)
        return True

    def is_overdue(self) -> bool:
        """Tell whether the call under way has exceeded its deadline; then the loop must not beat."""
        return self._deadline_ns is not None and self._clock.now_ns() > self._deadline_ns


class Cut:
    """What is to happen if something that should have ended by itself has not."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._timer: asyncio.TimerHandle | None = None

    def after(self, seconds: float) -> None:
        """Have it happen so long from now, and not before."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cut)

    def cancel(self) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()


@contextlib.contextmanager
def cut_after(seconds: float, cut: Callable[[], None]) -> Iterator[Cut]:
    """Cut off what is awaited within the context if it should have ended by itself, and has not by then."""
    cutting = Cut(cut)
    cutting.after(seconds)
    try:
        yield cutting
    finally:
        cutting.cancel()


Body = Callable[[Child], Awaitable[None]]


def main(name: str, body: Body) -> None:
    """Run a child process: the entry point of every worker module. Never returns.

    Args:
        name: Its class, e.g. ``api``.
        body: What it does once it has its settings; returns when told to finish.
    """
    arguments = _arguments()
    die_with_parent(arguments.parent)
    allow_most()
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGHUP):  # the supervisor's to act on, whoever else gets them
        signal.signal(number, signal.SIG_IGN)
    setproctitle.setproctitle(f"downtimer: {name} [{arguments.run}]")
    sys.exit(loop.run(lambda selector: _run(name, body, arguments, selector)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for option in ("bus", "incarnation", "run"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--parent", type=int, required=True)
    return parser.parse_args()


async def _run(name: str, body: Body, arguments: argparse.Namespace, selector: WatchedSelector) -> int:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = wire.dealer(context, arguments.bus, arguments.incarnation)
    bus = Bus(socket)
    try:
        bus.send(Hello(incarnation=arguments.incarnation, pid=os.getpid()))
        settings = await bus.settings()
        if has_secrets(settings.config):
            memory.hide()
        logs.set_up(settings.config.global_.log_level, name)
        child = Child(bus, context, arguments.incarnation, settings)
        selector.watch = child.watch
        await body(child)
    except CannotStartError as exc:
        log.error("cannot start: %s", exc)  # noqa: TRY400 - the line says it all
        bus.send(CannotStart(reason=str(exc), by_configuration=exc.by_configuration))
        return ExitCode.CANNOT_START
    except Exception:
        log.exception("broke; the supervisor will start another")
        return ExitCode.FAILED
    else:
        return ExitCode.DONE
    finally:
        await _let_go(context, socket)


async def _let_go(context: "zmq.Context[zmq.Socket[bytes]]", socket: wire.Socket) -> None:
    """Close the bus; what was said last gets a second to leave."""
    socket.close(linger_ms=1000)
    await asyncio.get_running_loop().run_in_executor(None, context.term)
