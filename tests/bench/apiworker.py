"""A real api worker at work, with the supervisor and the writer played by the benchmark."""

import itertools
import json
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec
import zmq

from downtimer import config, messages
from downtimer.messages import Ack, Batch, Beat, Counts, Done, Flush, Knock, Ready, Settings
from downtimer.model import ANSWERS, MILLISECOND_NS, Baseline, Kind, Span, TargetState
from downtimer.targets import static_service
from tests.fake_supervisor import TIMEOUT_S, FakeSupervisor

WORKER: Final = "downtimer.workers.api"
LATENESS: Final = "tests.bench.lateness"

_POLL_MS: Final = 50
_BASELINE: Final = Baseline(latency_ns=2 * MILLISECOND_NS, status_class=2)


class Drain:
    """A writer that acknowledges at once what it gets.

    Attributes:
        address: Where it listens.
        spans: The newest word on each.
    """

    def __init__(self) -> None:
        self.address = f"ipc://@downtimer-{secrets.token_hex(8)}"
        self.spans: dict[tuple[str, str, int], Span] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._ending.set()
        self._thread.join(TIMEOUT_S)

    def _serve(self) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(self.address)
            while not self._ending.is_set():
                if socket.poll(_POLL_MS):
                    identity, frame = socket.recv_multipart()
                    answer = self._take(messages.POINTS_UP.decode(frame))
                    socket.send_multipart([identity, messages.encode(answer)])

    def _take(self, message: Knock | Batch) -> Ready | Ack:
        if isinstance(message, Knock):
            return Ready(epoch="bench")
        for fact in message.spans:
            self.spans[fact.span.target, fact.span.check, fact.span.first_sent_ns] = fact.span
        return Ack(epoch=message.epoch, serial=message.serial)


class Standing(NamedTuple):
    """How far a worker has come.

    Attributes:
        at_ns: When.
        cpu_s: What it has needed, user and system.
        probes: How many are judged.
    """

    at_ns: int
    cpu_s: float
    probes: int


class ApiWorker(FakeSupervisor):
    """One api worker that probes static URLs, whose baselines are known.

    Args:
        drain: Its writer.
        urls: What is probed.
        text: Its configuration beside those.
        module: What it runs.
    """

    def __init__(self, drain: Drain, urls: Sequence[str], text: str, module: str = WORKER) -> None:
        settings = config.parse(f"{text}\n[static]\nips = 127.0.0.1\n", "/nowhere/conf.ini")
        super().__init__(module, settings, known=list(_states(urls)))
        self._drain = drain
        self._count = len(urls)
        self._serials = itertools.count(100)

    def pin(self, core: int) -> None:
        """Let it run on this core only."""
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})

    def wait_until_all_are_seen(self) -> None:
        """Wait until it says that every URL has been probed, and that none is down."""
        self.wait(self._has_seen_all, "beat with all URLs seen and well", timeout_s=2 * TIMEOUT_S)

    def standing(self) -> Standing:
        """Return how far it is now."""
        serial = next(self._serials)
        self.send(Flush(serial=serial))
        self.wait(lambda: serial in self._flushed(), f"answer to {serial}")
        return Standing(self.now_ns(), cpu_s(self.process.pid), sum(span.probes for span in self.spans()))

    def spans(self) -> list[Span]:
        """Return all spans, as they stood when it last told."""
        return list(self._drain.spans.values())

    def late_ns(self, since_ns: int) -> list[int]:
        """Return by how much those were sent late that were due from then on; `LATENESS` only, once ended."""
        found: list[tuple[int, int]] = json.loads(self.log.splitlines()[-1])
        return sorted(late_ns for due_ns, late_ns in found if due_ns >= since_ns)

    def peak_mb(self) -> float:
        """Return its largest memory until now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def _has_seen_all(self) -> bool:
        beat = next((said for said in reversed(self.heard) if isinstance(said, Beat)), None)
        counts = Counts() if beat is None else beat.counts.get(Kind.SERVICE, Counts())
        return counts.up + counts.unknown == self._count  # a busy host may hold some up

    def _flushed(self) -> list[int]:
        return [said.serial for said in self.heard if isinstance(said, Done)]

    def _settings(self) -> Settings:
        return msgspec.structs.replace(super()._settings(), points=self._drain.address)


def cpu_s(pid: int) -> float:
    """Return what a process has needed, all its threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _states(urls: Sequence[str]) -> Iterable[TargetState]:
    for number, url in enumerate(urls):
        target = static_service(f"s{number}", url)
        yield TargetState(target=target, discovered_ns=0, listed_ns=0, baselines={ANSWERS: _BASELINE})
