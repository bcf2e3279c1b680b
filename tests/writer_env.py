"""A real writer process, with a supervisor and workers played by the test."""

import itertools
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import zmq

from downtimer import config, messages
from downtimer.clock import Anchor, tie
from downtimer.messages import (
    Ack,
    AddressWindow,
    Batch,
    Beat,
    Body,
    Finish,
    Flush,
    Knock,
    Progress,
    Ready,
    Sample,
    Settings,
    SpanFact,
    SpanRow,
)
from downtimer.model import Run, RunId, TargetState
from downtimer.workers.outbox import Outbox
from tests.fake_supervisor import TIMEOUT_S, FakeSupervisor

DELIVERY_S: Final = 300.0
MINIMAL = "[static]\nips = 127.0.0.1\n"


class Bench:
    """A run that any number of writers may work on, one after the other.

    Attributes:
        run: The run.
        journal: Its journal.
        points: Where the writer listens for workers.
    """

    def __init__(self, folder: Path, *, db: str = "", number: int = 1) -> None:
        """Prepare a run.

        Args:
            folder: State directory.
            db: What stands in the configuration beside targets, such as a section ``[db]``.
            number: Tells runs of one folder apart.
        """
        self.anchor: Anchor = tie()
        self.run = Run(
            id=RunId(f"20240101-000000-{number:04d}"),
            label="yoga → zed",
            vantage="deploy 01",
            cloud="http://keystone:5000",
            start_utc_ns=self.anchor.start_utc_ns,
            boot_origin_ns=self.anchor.boot_origin_ns,
            boot_id=self.anchor.boot_id,
        )
        self.config = config.parse(MINIMAL + db, "/nowhere/conf.ini")
        self.journal = str(folder / "runs" / f"{self.run.id}.sqlite")
        # A socket's path has 107 bytes, and a test's folder may be deep.
        self.points = f"ipc://@downtimer-{secrets.token_hex(8)}"

    def writer(self, known: Sequence[TargetState] = (), *, prefix: Sequence[str] = ()) -> "WriterProcess":
        """Return a writer, to be entered; `prefix` as for `FakeSupervisor`."""
        return WriterProcess(self, known, prefix=prefix)

    def worker(self, name: str = "api") -> "WorkerLink":
        """Return a worker's end of the points connection."""
        return WorkerLink(self.points, f"{name}.{secrets.token_hex(8)}")


class WriterProcess(FakeSupervisor):
    """The supervisor of one writer."""

    def __init__(self, bench: Bench, known: Sequence[TargetState], *, prefix: Sequence[str] = ()) -> None:
        super().__init__("downtimer.workers.writer", bench.config, known=known, prefix=prefix)
        self._bench = bench
        self._serials = itertools.count(100)

    def _settings(self) -> Settings:
        bench = self._bench
        return Settings(
            config=bench.config,
            run=bench.run,
            anchor=bench.anchor,
            points=bench.points,
            journal=bench.journal,
        )

    def flush(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """Have everything committed that the writer has received."""
        self.wait_for(Beat)
        serial = next(self._serials)
        self.send(Flush(serial=serial))
        self._answered(serial, timeout_s)

    def finish_run(self, end_ns: int, *, ship_s: float = 0.0) -> int:
        """End the run; return the exit code."""
        self.wait_for(Beat)
        serial = next(self._serials)
        self.send(Finish(serial=serial, end_ns=end_ns, ship_s=ship_s))
        self._answered(serial, TIMEOUT_S + ship_s)
        return self.process.wait(TIMEOUT_S)

    def state(self) -> messages.WriterState:
        """Return what the writer last said of itself."""
        return self.wait_for(messages.WriterState)[-1]

    def _answered(self, serial: int, timeout_s: float) -> None:
        self.wait(
            lambda: any(done.serial == serial for done in self.of_kind(messages.Done)),
            f"answer to {serial}",
            timeout_s=timeout_s,
        )


class WorkerLink:
    """Speaks to the writer as a worker does, but only when told to."""

    def __init__(self, points: str, identity: str) -> None:
        self.identity = identity
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.setsockopt(zmq.IDENTITY, identity.encode())
        self._socket.connect(points)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self._socket.close()
        self._context.term()

    def greet(self) -> str:
        """Knock until the writer answers; return its epoch."""
        while self.hear(timeout_s=0) is not None:
            pass  # of an earlier writer
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            self.send_raw(messages.encode(Knock()))
            answer = self.hear(timeout_s=1.0)
            if isinstance(answer, Ready):
                return answer.epoch
        raise TimeoutError("the writer does not answer")

    def send(
        self,
        epoch: str,
        serial: int,
        *spans: SpanFact,
        progress: tuple[Progress, ...] = (),
        **details: object,
    ) -> None:
        """Send a batch; `details` are its other fields."""
        rows = tuple(SpanRow.of(fact.span, is_open=fact.is_open) for fact in spans)
        body = Body(spans=rows, progress=progress, **details)  # type: ignore[arg-type]
        self.send_raw(messages.encode(Batch(epoch=epoch, serial=serial)), messages.encode(body))

    def send_raw(self, *frames: bytes) -> None:
        """Send frames as they are."""
        self._socket.send_multipart(frames)

    def hear(self, *, timeout_s: float = TIMEOUT_S) -> messages.PointsDown | None:
        """Return what the writer says next; None if nothing in that time."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        return messages.POINTS_DOWN.decode(self._socket.recv())

    def acknowledged(self, serial: int) -> None:
        """Wait for the acknowledgement of a batch."""
        while True:
            answer = self.hear()
            assert answer is not None, f"no acknowledgement of {serial}"
            if isinstance(answer, Ack) and answer.serial == serial:
                return


class Teller:
    """A worker's outbox, at its end of a writer's points connection."""

    def __init__(self, link: WorkerLink) -> None:
        """Greet the writer."""
        self._link = link
        self._outbox = Outbox(self._send)
        self._outbox.ready(Ready(epoch=link.greet()), time.monotonic_ns())

    def tell(self, rows: Iterable[SpanRow]) -> None:
        """Tell of spans, all at once, and wait until they are acknowledged."""
        for row in rows:
            self._outbox.row(row)
        self._deliver()

    def tell_details(self, details: Iterable[AddressWindow | Sample]) -> None:
        """Tell of details as there is room, and wait likewise."""
        for detail in details:
            while not self._outbox.has_room:
                self._pump()
            put(self._outbox, detail)
        self._deliver()
        if self._outbox.dropped:
            raise RuntimeError(f"{self._outbox.dropped} points were given up")

    def _deliver(self) -> None:
        last = self._outbox.last_serial()
        deadline = time.monotonic() + DELIVERY_S
        while not self._outbox.has_delivered(last):
            if time.monotonic() > deadline:
                raise TimeoutError("no acknowledgement")
            self._pump()

    def _pump(self) -> None:
        self._outbox.pump(time.monotonic_ns())
        match self._link.hear(timeout_s=0.05):
            case Ack() as ack:
                self._outbox.ack(ack, time.monotonic_ns())
            case Ready() as ready:
                self._outbox.ready(ready, time.monotonic_ns())

    def _send(self, frames: Iterable[bytes]) -> bool:
        self._link.send_raw(*frames)
        return True


def put(outbox: Outbox, fact: SpanRow | AddressWindow | Sample) -> None:
    """Put a fact of whatever kind into an outbox."""
    match fact:
        case SpanRow():
            outbox.row(fact)
        case Sample():
            outbox.sample(fact)
        case AddressWindow():
            outbox.address(fact)
