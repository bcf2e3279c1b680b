"""Power cuts: the state folder as a disk may have it after a cut at any instant of a writer's life.

All that a real writer does to its files is recorded once, see `tests.chaos.recorded`. Then the power is cut
again and again, at instants of that life, and the folder is rebuilt of what was synced before and any part of
what was not, see `tests.chaos.disk`. It is read by our own code, as after the next boot.
"""

import bisect
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from downtimer.model import NEVER_NS, SECOND_NS
from tests.chaos.aftermath import Aftermath, inspect
from tests.chaos.disk import Disk, Sync, Write
from tests.chaos.outcome import Outcome
from tests.chaos.recorded import Recording, record
from tests.chaos.syscalls import Step
from tests.integration.influx_env import InfluxServer

SHM: Final = "-shm"
"""Ends the name of the file that SQLite's processes have as common memory."""

SHM_BYTES: Final = 32 * 1024


def play(directory: Path, *, seed: int, times: int) -> list[Outcome]:
    """Cut the power `times` times, with an InfluxDB that is frozen at times and without one.

    Args:
        directory: For everything; empty.
        seed: Of what is measured, and of the cuts.
        times: How often, each.
    """
    without = record(directory / "without", seed=seed, influx=None)
    outcomes = [cut(directory / "cut", without, seed=seed, times=times, fault="power cut at any instant")]
    with InfluxServer(directory / "influxdb") as influx:
        shipping = record(directory / "with", seed=seed, influx=influx)
    fault = "power cut at any instant, with points for InfluxDB waiting"
    return [*outcomes, cut(directory / "cut", shipping, seed=seed, times=times, fault=fault)]


def cut(directory: Path, recording: Recording, *, seed: int, times: int, fault: str) -> Outcome:
    """Cut the power of a recorded life again and again; `directory` is needed meanwhile."""
    found = list(aftermaths(directory, recording, seed=seed, times=times))
    return Outcome(
        fault=fault,
        times=len(found),
        lost=sum(each.lost for each in found),
        twice=sum(each.twice for each in found),
        invented_s=sum(each.invented_ns for each in found) / SECOND_NS,
        unobserved_s=max(each.lacking_ns for each in found) / SECOND_NS,
    )


def aftermaths(directory: Path, recording: Recording, *, seed: int, times: int) -> Iterator[Aftermath]:
    """Yield what each cut has cost, in order of their instants."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    steps = recording.steps
    for state, number in after_cuts(directory, steps, _instants(steps, rng, times), rng):
        yield inspect(state, recording, at_ns(steps, number))


def after_cuts(
    directory: Path, steps: Sequence[Step], instants: Sequence[int], rng: random.Random
) -> Iterator[tuple[Path, int]]:
    """Yield the state folder as it may be after a cut, and the number of the step amid which it came.

    Args:
        directory: The folder; it is removed afterwards.
        steps: What was done to it.
        instants: Numbers of steps, in order; one more than there are is after the last.
        rng: Chooses among all that may be.
    """
    disk, done = Disk(), 0
    for number in instants:
        # A sync that has not returned promises nothing; of anything else a part may have been done.
        is_amid = number < len(steps) and not isinstance(steps[number].change, Sync)
        for step in steps[done : number + is_amid]:
            disk.apply(step.change)
        done = max(done, number + is_amid)
        _write(directory, disk, rng)
        yield directory, number
        shutil.rmtree(directory)


def _write(directory: Path, disk: Disk, rng: random.Random) -> None:
    """Make the files. What was common memory is not there, or anything is in it."""
    directory.mkdir()
    for path, content in disk.after_cut(rng, leave_out=SHM).items():
        file = directory / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        if file.suffix == ".sqlite" and rng.random() < 0.5:
            file.with_name(file.name + SHM).write_bytes(rng.randbytes(SHM_BYTES))


def _instants(steps: Sequence[Step], rng: random.Random, times: int) -> list[int]:
    """Return numbers of steps: half of them at any time, half near those that matter most."""
    turns = [number for number, step in enumerate(steps) if not isinstance(step.change, Write)]
    chosen = [rng.choice(turns) + rng.randrange(-1, 2) for _ in range(times // 2)]
    begins = [step.at_ns for step in steps]
    chosen += [
        bisect.bisect(begins, rng.randrange(begins[0], begins[-1])) for _ in range(times - len(chosen))
    ]
    return sorted(min(max(number, 0), len(steps)) for number in chosen)


def at_ns(steps: Sequence[Step], number: int) -> int:
    """Return the instant (UTC) of a cut amid a step: what was acknowledged before has to be there."""
    return steps[number].at_ns if number < len(steps) else NEVER_NS
