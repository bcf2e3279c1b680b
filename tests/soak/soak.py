"""The daemon for a while, with targets that fail and come back, and what its processes hold meanwhile."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final, NamedTuple

from downtimer.store.recording import file_size
from tests.chaos.scene import Scene

EVERY_S: Final = 1.0
FAULT_EVERY_S: Final = 5.0
SERVICE: Final = "glance"
_KB: Final = 1024


class Sample(NamedTuple):
    """What one process held at one instant.

    Attributes:
        memory_bytes: Of its own, in use: heap and stacks.
        descriptors: That are open.
        threads: That it has.
    """

    memory_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How what a process holds has changed from one stretch of time to a later one, by its least in each.

    What is used for a moment only is in no least; what leaks is in all that follow.

    Attributes:
        process: Its class.
        first: The least in the first stretch.
        last: The least in the last one.
        hours: Between them.
    """

    process: str
    first: Sample
    last: Sample
    hours: float

    @property
    def memory_bytes(self) -> int:
        """By how much the memory has grown."""
        return self.last.memory_bytes - self.first.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        minutes: For which it was watched.
        growths: Of each process.
        journal_bytes_per_hour: By how much the journal grew, with spans that begin and end all the time.
        spans_per_hour: How many.
    """

    minutes: float
    growths: Sequence[Growth]
    journal_bytes_per_hour: float
    spans_per_hour: float


def soak(directory: Path, *, seconds: float) -> Result:
    """Let the daemon measure for so long, after it has warmed up for half of that; return what grew."""
    with Scene(directory, seed=1) as scene:
        _watch(scene, seconds / 2)
        begun_s, size, rows = time.monotonic(), file_size(str(scene.journal)), _rows(scene)
        samples = _watch(scene, seconds)
        hours = (time.monotonic() - begun_s) / 3600
        grown = file_size(str(scene.journal)) - size
        spans = _rows(scene) - rows
    return Result(
        minutes=seconds / 60,
        growths=[_growth(process, some, hours) for process, some in samples.items()],
        journal_bytes_per_hour=grown / hours,
        spans_per_hour=spans / hours,
    )


def _watch(scene: Scene, seconds: float) -> dict[str, list[Sample]]:
    """Return what each process held, once a second, while a service dies and comes back."""
    pids = {"supervisor": scene.command.supervisor(), **scene.command.pids()}
    service = scene.cloud.service(SERVICE)
    acts = cycle([service.kill, service.start])
    end_s = time.monotonic() + seconds
    fault_s = time.monotonic() + FAULT_EVERY_S
    samples: dict[str, list[Sample]] = {process: [] for process in pids}
    while (now_s := time.monotonic()) < end_s:
        if now_s >= fault_s:
            next(acts)()
            fault_s += FAULT_EVERY_S
        for process, pid in pids.items():
            samples[process].append(sample(pid))
        time.sleep(EVERY_S)
    if next(acts) == service.start:
        service.start()
    assert {"supervisor": scene.command.supervisor(), **scene.command.pids()} == pids
    return samples


def sample(pid: int) -> Sample:
    """Return what a process holds now.

    Raises:
        OSError: There is no such process.
    """
    place = Path(f"/proc/{pid}")
    status = (place / "status").read_text()
    return Sample(
        memory_bytes=_figure(status, "RssAnon") * _KB,
        descriptors=len(list((place / "fd").iterdir())),
        threads=_figure(status, "Threads"),
    )


def _figure(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
    assert found is not None, name
    return int(found[1])


def _growth(process: str, samples: Sequence[Sample], hours: float) -> Growth:
    third = len(samples) // 3
    first, last = (Sample(*map(min, zip(*some, strict=True))) for some in (samples[:third], samples[-third:]))
    return Growth(process=process, first=first, last=last, hours=hours * 2 / 3)


def _rows(scene: Scene) -> int:
    rows: int = scene.command.status()["journal"]["rows"]
    return rows
