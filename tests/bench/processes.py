"""What processes have used, and hold, by ``/proc``."""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from downtimer.model import SECOND_NS

_CPUCLOCK_SCHED: Final = 2


class Use(NamedTuple):
    """What one process has used since it was started, and holds now.

    Attributes:
        cpu_s: User and system time of all its threads, in s.
        wakeups: How often they were given a CPU.
        pss_mb: Its memory, in MB; of pages that it shares its part.
        peak_mb: The most memory that it has held, shared pages in full.
    """

    cpu_s: float
    wakeups: int
    pss_mb: float
    peak_mb: float


def use_of(pid: int) -> Use:
    """Return what a process has used and holds.

    Raises:
        OSError: There is no such process.
    """
    place = Path(f"/proc/{pid}")
    return Use(
        cpu_s=cpu_s(pid),
        wakeups=sum(_switches(task / "status") for task in (place / "task").iterdir()),
        pss_mb=_kilobytes(place / "smaps_rollup", "Pss") / 1000,
        peak_mb=peak_mb(pid),
    )


def total(uses: Iterable[Use]) -> Use:
    """Return what processes have used and hold together."""
    return Use(*map(sum, zip(*uses, strict=True)))


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children; those that its main thread has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def cpu_s(pid: int) -> float:
    """Return the time in which a process ran, by its own clock: ticks would tell hundredths of a second only.

    The number of the clock is what clock_getcpuclockid(3) returns, which Python does not have.
    """
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) / SECOND_NS


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held, shared pages in full, in MB."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM") / 1000


def _switches(status: Path) -> int:
    found = re.findall(r"^\w*voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.MULTILINE)
    return sum(map(int, found))


def _kilobytes(file: Path, name: str) -> int:
    """Return a figure of memory, in kB of the kernel, which are of 1024 bytes, as those of 1000."""
    found = re.search(rf"^{name}:\s*(\d+) kB", file.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{file} has no {name}")
    return int(found[1]) * 1024 // 1000
