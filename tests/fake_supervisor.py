"""A supervisor in a test: starts one real child process, gives it its settings, and keeps what it says."""

import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import zmq

from downtimer import messages
from downtimer.clock import Anchor, tie
from downtimer.config import Config
from downtimer.messages import BusDown, Finish, Listing, Settings, Targets
from downtimer.model import Incarnation, Run, RunId, Target, TargetId, TargetState
from downtimer.supervisor.feeds import WANTS, Feed
from downtimer.supervisor.targets import TargetList

TIMEOUT_S: Final = 30.0
_POLL_MS: Final = 20

M = TypeVar("M", bound=messages.Message)


class FakeSupervisor:
    """The supervisor's end of the bus, for one child.

    Attributes:
        heard: Everything that the child said, in order.
        log: The child's standard error, after it ended.
        hanging: Services of which discovery is told that a call hangs; of others, that none does.
    """

    def __init__(
        self,
        module: str,
        config: Config,
        *,
        known: Sequence[TargetState] = (),
        points: str = "ipc:///nowhere",
        prefix: Sequence[str] = (),
    ) -> None:
        """Prepare it.

        Args:
            module: The child's module.
            config: What it is told.
            known: The target list at hello; a resumed run has one.
            points: ZeroMQ address of the writer.
            prefix: A command that becomes the child: it runs the rest of its line in its own place.
        """
        self.heard: list[messages.BusUp] = []
        self.hanging: frozenset[TargetId] = frozenset()
        self._module = module
        self._config = config
        self._known = tuple(known)
        self._points = points
        self._prefix = tuple(prefix)
        self._orders: queue.SimpleQueue[BusDown] = queue.SimpleQueue()
        self._directory = tempfile.TemporaryDirectory(prefix="downtimer-bus-")
        self._address = f"ipc://{self._directory.name}/bus"
        self._incarnation = Incarnation(f"{module.rpartition('.')[2]}.{secrets.token_hex(8)}")
        self._anchor = tie()
        self._run = _run(self._anchor)
        self._ending = threading.Event()
        self._bound = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._log = Path(self._directory.name) / "child.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.log = ""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The child."""
        assert self._process is not None
        return self._process

    def __enter__(self) -> Self:
        """Start the child."""
        self._thread.start()
        assert self._bound.wait(TIMEOUT_S)
        argv = [*self._prefix, sys.executable, "-m", self._module]
        argv += ["--bus", self._address, "--run", self._run.id]
        argv += ["--incarnation", self._incarnation, "--parent", str(os.getpid())]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child, if it has not ended, and keep its log."""
        self.process.kill()
        self.process.wait()
        self._ending.set()
        self._thread.join(TIMEOUT_S)
        self.log = self._log.read_text()
        self._directory.cleanup()

    def send(self, order: BusDown) -> None:
        """Send an order."""
        self._orders.put(order)

    def of_kind(self, kind: type[M]) -> list[M]:
        """Return what was heard of one kind."""
        with self._changed:
            return [message for message in self.heard if isinstance(message, kind)]

    def wait_for(self, kind: type[M], count: int = 1, *, timeout_s: float = TIMEOUT_S) -> list[M]:
        """Return what was heard of one kind, once there are so many."""
        self.wait(
            lambda: len(self.of_kind(kind)) >= count, f"{count} of {kind.__name__}", timeout_s=timeout_s
        )
        return self.of_kind(kind)

    def wait(self, is_so: Callable[[], bool], what: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not is_so():
                left_s = deadline - time.monotonic()
                is_quiet = left_s <= 0 or not self._changed.wait(min(left_s, 1.0))
                if left_s <= 0 or (is_quiet and self.process.poll() is not None):
                    raise TimeoutError(f"no {what}; heard {self.heard[-5:]}; log:\n{self._log.read_text()}")

    def targets(self) -> dict[TargetId, Target]:
        """Return every target found up to now."""
        return {target.id: target for part in self.of_kind(Listing) for target in part.found}

    def complete(self) -> list[Listing]:
        """Return the complete listings."""
        return [listing for listing in self.of_kind(Listing) if listing.complete]

    def events(self) -> list[str]:
        """Return the texts of the events reported."""
        return [report.event.text for report in self.of_kind(messages.Report)]

    def now_ns(self) -> int:
        """Return the run's instant."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self._anchor.boot_origin_ns

    def finish(self) -> int:
        """Tell the child to finish, and return its exit code."""
        self.send(Finish(serial=1))
        self.wait_for(messages.Done)
        return self.process.wait(TIMEOUT_S)

    def _serve(self) -> None:
        """Own the socket."""
        with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.MAXMSGSIZE, 64 * 1024 * 1024)
            socket.bind(self._address)
            self._bound.set()
            while not self._ending.is_set():
                if socket.poll(_POLL_MS):
                    self._hear(socket)
                while not self._orders.empty():
                    self._say(socket, self._orders.get())

    def _hear(self, socket: "zmq.Socket[bytes]") -> None:
        identity, frame = socket.recv_multipart()
        assert identity.decode() == self._incarnation
        message = messages.BUS_UP.decode(frame)
        self._answer(socket, message)
        with self._changed:
            self.heard.append(message)
            self._changed.notify_all()

    def _answer(self, socket: "zmq.Socket[bytes]", message: messages.BusUp) -> None:
        if isinstance(message, messages.Hello):
            self._say(socket, self._settings())
            self._say(socket, Targets(serial=1, whole=True, changed=self._known))
        if isinstance(message, messages.MayAsk):
            hangs = message.target in self.hanging
            self._say(socket, messages.Answering(target=message.target, hangs=hangs))

    def _say(self, socket: "zmq.Socket[bytes]", order: BusDown) -> None:
        socket.send_multipart([self._incarnation.encode(), messages.encode(order)])

    def _settings(self) -> Settings:
        return Settings(
            config=self._config,
            run=self._run,
            anchor=self._anchor,
            points=self._points,
            journal="/nowhere",
        )


class KeepingSupervisor(FakeSupervisor):
    """Keeps the target list as the real one does, and tells discovery of it.

    Attributes:
        kept: The list.
    """

    def __init__(self, module: str, given: Config) -> None:
        super().__init__(module, given)
        self.kept = TargetList()
        self._feed = Feed(WANTS["discovery"])

    def _answer(self, socket: "zmq.Socket[bytes]", message: messages.BusUp) -> None:
        if isinstance(message, messages.Hello):
            self._say(socket, self._settings())
            self._feed.begin(())
        elif isinstance(message, Listing):
            self._feed.put(self.kept.apply(message, lambda _: True))
        elif isinstance(message, messages.Took):
            self._feed.took(message.serial)
        else:
            super()._answer(socket, message)
        while (portion := self._feed.next(self.kept.get)) is not None:
            self._say(socket, portion)
            self._feed.sent(portion)


def _run(anchor: Anchor) -> Run:
    return Run(
        id=RunId("20240101T000000Z-0001"),
        label="",
        vantage="test",
        cloud="",
        start_utc_ns=anchor.start_utc_ns,
        boot_origin_ns=anchor.boot_origin_ns,
        boot_id=anchor.boot_id,
    )


def as_known(targets: Sequence[Target], at_ns: int = 0) -> list[TargetState]:
    """Return the targets as a supervisor has them."""
    return [TargetState(target=target, discovered_ns=at_ns, listed_ns=at_ns) for target in targets]
