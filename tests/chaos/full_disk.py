"""The disk is full for a while: what was measured meanwhile waits, and none of it is lost."""

import contextlib
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from downtimer.demo.truth import Fault
from tests.accuracy.judge import Report, outages_of
from tests.chaos.outcome import Outcome
from tests.chaos.scene import FLAPPING, READY_S, Scene
from tests.waiting import wait_until

DISK_BYTES: Final = 8 << 20
FULL_S: Final = 10.0
SURE_NS: Final = 1_500_000_000
"""A fault that lasts so long is seen by every probe of one timeout and one interval."""

REST_S: Final = 5.0


def play(directory: Path, *, seed: int, times: int) -> list[Outcome]:
    """Fill the disk so often; return what came of it."""
    with Scene(directory, seed=seed, disk_bytes=DISK_BYTES) as scene:
        for _ in range(times):
            scene.trouble(f"disk full for {FULL_S:g} s", partial(_fill, scene))
            time.sleep(REST_S)
        (outcome,) = scene.end()
        said = scene.command.log()
        assert said.count("cannot write, and will try again") == times, said
        assert said.count("the journal can be written again") == times, said
        missed = _missed(scene.report(), scene.cloud.truth.faults)
    return [
        Outcome(
            fault=outcome.fault,
            times=times,
            lost=outcome.lost + missed,
            twice=outcome.twice,
            invented_s=outcome.invented_s,
            unobserved_s=outcome.unobserved_s,
        )
    ]


def _fill(scene: Scene) -> None:
    filler = scene.journal.with_name("filler")
    _write_all(filler)
    try:
        wait_until(lambda: _error(scene) is not None, timeout_s=READY_S, what="the status to tell of it")
        time.sleep(FULL_S)
        counts = scene.command.status()["targets"]["address"]
        assert counts["unknown"] == counts["unseen"] == 0, counts
    finally:
        filler.unlink()
    wait_until(lambda: _error(scene) is None, timeout_s=READY_S, what="the journal to be written again")


def _write_all(path: Path) -> None:
    """Write until there is no room left, not even for a byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 9, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass
        os.fsync(file.fileno())


def _error(scene: Scene) -> str | None:
    error: str | None = scene.command.status()["journal"]["error"]
    return error


def _missed(report: Report, faults: Sequence[Fault]) -> int:
    """Return of how many faults that lasted the report has no trace."""
    missed = 0
    for fault in faults:
        if fault.target not in FLAPPING or fault.end is None:
            continue
        start, end = report.bracket(fault.start), report.bracket(fault.end)
        if end.earliest_ns - start.latest_ns >= SURE_NS:
            outages = outages_of(report.targets[fault.target])
            missed += not any(
                one.start_ns < end.latest_ns and start.earliest_ns < one.end_ns for one in outages
            )
    return missed
