"""A real api worker at work, with the supervisor and the writer played by the benchmark."""

import itertools
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from downtimer import config
from downtimer.messages import Beat, Counts, Done, Flush
from downtimer.model import ANSWERS, MILLISECOND_NS, Baseline, Kind, Span, TargetState
from downtimer.targets import static_service
from tests.bench.drain import Drain
from tests.bench.processes import cpu_s, peak_mb
from tests.fake_supervisor import TIMEOUT_S, FakeSupervisor

WORKER: Final = "downtimer.workers.api"
LATENESS: Final = "tests.bench.lateness"

_BASELINE: Final = Baseline(latency_ns=2 * MILLISECOND_NS, status_class=2)


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
        super().__init__(module, settings, known=list(_states(urls)), points=drain.address)
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
        return self._drain.spans()

    def late_ns(self, since_ns: int) -> list[int]:
        """Return by how much those were sent late that were due from then on; `LATENESS` only, once ended."""
        found: list[tuple[int, int]] = json.loads(self.log.splitlines()[-1])
        return sorted(late_ns for due_ns, late_ns in found if due_ns >= since_ns)

    def peak_mb(self) -> float:
        """Return its largest memory until now."""
        return peak_mb(self.process.pid)

    def _has_seen_all(self) -> bool:
        beat = next((said for said in reversed(self.heard) if isinstance(said, Beat)), None)
        counts = Counts() if beat is None else beat.counts.get(Kind.SERVICE, Counts())
        return counts.up + counts.unknown == self._count  # a busy host may hold some up

    def _flushed(self) -> list[int]:
        return [said.serial for said in self.heard if isinstance(said, Done)]


def _states(urls: Sequence[str]) -> Iterable[TargetState]:
    for number, url in enumerate(urls):
        target = static_service(f"s{number}", url)
        yield TargetState(target=target, discovered_ns=0, listed_ns=0, baselines={ANSWERS: _BASELINE})
