"""Echoes.

One icmp worker, with all its work: orders, spans, delivery to a writer, signs of life; in a network
namespace, joined by a veth pair to another one that answers for a /15. Each address is probed once a second.
The peer is ``fping``, in the same run, with the same addresses as often, each time one right after the other
(``-i 0``), which costs it least; and again with a load as level as ours is. *The kernel's part* is measured
likewise: the same requests, sent and read with as few system calls, and nothing done with them. How late a
request leaves is held against the instant at which it was due; a loss is any probe that failed, since nothing
was ever away.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from downtimer.demo.netns import Namespaces
from downtimer.demo.processes import Spawner
from tests.bench.figures import Figure, Growth, Results
from tests.processes import require_program

BLOCK: Final = "10.64.0.0/15"
_COMPARED: Final = 5_000
_MANY: Final = 100_000
_SIZES: Final = (1_000, 10_000, _MANY)
_COMPARED_S: Final = 20
_GROWTH_S: Final = 20
_LONG_S: Final = 60
_LEVEL: Final = 0.95
"""Of the interval, what fping is to spread its requests over; it is behind with the next ones otherwise."""


class Compared(NamedTuple):
    """What an echo costs, in microseconds of CPU.

    Attributes:
        ours_us: Our worker.
        bursts_us: fping, all addresses one right after the other.
        level_us: fping, spread over the interval.
        kernel_us: The kernel alone.
    """

    ours_us: float
    bursts_us: float
    level_us: float
    kernel_us: float


def measure(directory: Path, runs: int) -> Results:
    """Measure it, in `runs` runs each."""
    spawner = Spawner()
    try:
        with Namespaces(spawner) as network:
            network.add_block(BLOCK)
            bench = EchoBench(directory, spawner, network)
            compared = [
                Compared(
                    bench.ours(_COMPARED, _COMPARED_S)["cpu_us"],
                    bench.fping(_COMPARED),
                    bench.fping(_COMPARED, apart_ms=_LEVEL * 1000 / _COMPARED),
                    bench.kernel(_COMPARED),
                )
                for _ in range(runs)
            ]
            many = [bench.ours(_MANY, _LONG_S) for _ in range(runs)]
            growth = {
                size: [bench.ours(size, _GROWTH_S) for _ in range(3)] for size in _SIZES if size != _MANY
            }
    finally:
        spawner.close()
    return Results(_figures(compared, many), [_growth(growth | {_MANY: many})])


def _figures(compared: Sequence[Compared], many: Sequence[dict[str, Any]]) -> list[Figure]:
    ours_us, bursts_us, level_us, kernel_us = (tuple(each) for each in zip(*compared, strict=True))
    against_bursts = tuple(each.ours_us / each.bursts_us for each in compared)
    against_level = tuple(each.ours_us / each.level_us for each in compared)
    return [
        Figure(
            what="CPU per echo, 5,000 addresses, against fping", values=against_bursts, unit="×", at_most=1.0
        ),
        Figure(what="against fping with a level load", values=against_level, unit="×"),
        Figure(what="ours", values=ours_us, unit="µs"),
        Figure(what="fping's", values=bursts_us, unit="µs"),
        Figure(what="fping's, with a level load", values=level_us, unit="µs"),
        Figure(what="the kernel's part", values=kernel_us, unit="µs"),
        Figure(
            what="echoes a second to 100,000 addresses",
            values=tuple(each["rate"] for each in many),
            unit="/s",
            at_least=0.999 * _MANY,
            note="for 60 s",
        ),
        Figure(
            what="probes of them that failed or were not known",
            values=tuple(float(each["lost"] + each["unknown"]) for each in many),
            unit="probes",
            at_most=0,
        ),
        Figure(
            what="how late they left, P99",
            values=tuple(each["late_p99_ms"] for each in many),
            unit="ms",
            at_most=20,
        ),
        Figure(what="CPU per echo", values=tuple(each["cpu_us"] for each in many), unit="µs", at_most=8),
        Figure(what="peak memory", values=tuple(each["peak_mb"] for each in many), unit="MB", at_most=150),
    ]


def _growth(by_size: dict[int, list[dict[str, Any]]]) -> Growth:
    columns = ("Addresses", "CPU per echo, µs", "CPU, % of a core", "Late, P99, ms", "Peak memory, MB")
    rows = []
    for size, found in sorted(by_size.items()):
        cpu_us = statistics.median(each["cpu_us"] for each in found)
        share = statistics.median(each["cpu_us"] * each["rate"] / 1e4 for each in found)
        late_ms = statistics.median(each["late_p99_ms"] for each in found)
        rows.append((size, cpu_us, share, late_ms, statistics.median(each["peak_mb"] for each in found)))
    return Growth(what="How that grows with the number of addresses", columns=columns, rows=tuple(rows))


class EchoBench:
    """What measures, in these namespaces."""

    def __init__(self, directory: Path, spawner: Spawner, network: Namespaces) -> None:
        self._directory = directory
        self._spawner = spawner
        self._network = network

    def ours(self, count: int, seconds: int) -> dict[str, Any]:
        """Return what our worker costs with so many addresses."""
        argv = [sys.executable, "-m", "tests.bench.icmp_load", BLOCK, str(count), str(seconds)]
        said, _ = self._run([*argv, str(self._directory)])
        found = json.loads(said)
        assert isinstance(found, dict)
        return found

    def fping(self, count: int, apart_ms: float = 0.0) -> float:
        """Return the microseconds of CPU that fping needs for an echo, its requests so far apart."""
        every = self._directory / "addresses"
        base = BLOCK.partition("/")[0].rsplit(".", 2)[0]
        every.write_text("".join(f"{base}.{(n + 1) // 256}.{(n + 1) % 256}\n" for n in range(count)))
        argv = [require_program("fping", "fping"), "-q", "-c", str(_COMPARED_S), "-p", "1000", "-t", "1000"]
        argv += ["-i", f"{apart_ms:g}", "-f", str(every)]
        said, spent_s = self._run(argv)
        answered = sum(f"/{_COMPARED_S}/0%" in line for line in said.splitlines())
        if answered != count:
            raise RuntimeError(f"fping had answers of {answered} of {count} addresses only: {said[:500]}")
        return 1e6 * spent_s / (count * _COMPARED_S)

    def kernel(self, count: int) -> float:
        """Return the microseconds of CPU that the kernel needs for an echo."""
        argv = [sys.executable, "-m", "tests.bench.echo_floor", BLOCK, str(count), str(_COMPARED_S)]
        said, _ = self._run(argv)
        return float(said)

    def _run(self, argv: Sequence[str]) -> tuple[str, float]:
        """Run a command in the vantage; return what it says, and the seconds of CPU that it took."""
        process = self._spawner.start(
            self._network.in_vantage(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        with process.stdout:
            said = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{argv[0]} failed with {process.returncode}: {said[-2000:]}")
        return said, usage.ru_utime + usage.ru_stime
