"""Reports.

The process that writes the report at the end of a run, from its start to its end, of runs of 24 hours. The
journals were written by the code that writes every journal (``tests/bench/day.py``): outages of seconds and
minutes at random times, some in storms, services that fail by all of their checks, a reference that loses an
echo now and then, so that everything else has to be asked whether our own link was down. Several processes
work at a large report; its memory is that of the largest of them, times their number, though they share some.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from downtimer.report.cores import count_processes
from tests.bench.day import RUN, Size
from tests.bench.figures import Figure, Growth, Results

DAY: Final = Size(addresses=10_000, outages=20_000)
SIZES: Final = tuple(Size(addresses=count, outages=count * 9 // 2) for count in (1_000, 10_000, 100_000))
"""With ten spans for each address: five of good answers, the outages between them."""

_JSON: Final = """
import contextlib, sys
from downtimer import report
from downtimer.store.journal import JournalReader
with contextlib.closing(JournalReader(sys.argv[1])) as reader, open(sys.argv[2], "w") as file:
    file.writelines(report.render(reader, "json"))
"""


class Cost(NamedTuple):
    """What a report has cost.

    Attributes:
        wall_s: From the start of its process to the end.
        cpu_s: User and system time.
        peak_mb: It has never held more memory.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


def measure(directory: Path, runs: int) -> Results:
    """Measure it, in `runs` runs each."""
    day = directory / "day.sqlite"
    write(day, DAY)
    ordinary = [_text(day) for _ in range(runs)]
    rows, large, large_json, spans = [], [], [], 0
    for size in SIZES:
        journal = directory / f"{size.addresses}.sqlite"
        spans = write(journal, size)
        costs = [_text(journal) for _ in range(runs)]
        json = [_json(journal) for _ in range(runs)]
        rows.append((spans, *_medians(costs), *_medians(json)))
        large, large_json = costs, json
    columns = ["Spans", "Text, s", "CPU, s", "Peak memory, MB", "JSON, s", "CPU, s", "Peak memory, MB"]
    growth = Growth(what="How that grows with the spans", columns=tuple(columns), rows=tuple(rows))
    return Results(_figures(ordinary, large, large_json, spans), [growth])


def _figures(
    ordinary: Sequence[Cost], large: Sequence[Cost], large_json: Sequence[Cost], spans: int
) -> list[Figure]:
    many = f"100,000 addresses, {spans:,} spans"
    wall_s, cpu_s, peak_mb = (tuple(figures) for figures in zip(*large, strict=True))
    json_s, _, json_mb = (tuple(figures) for figures in zip(*large_json, strict=True))
    return [
        Figure(
            what="text report, 10,000 addresses, 20,000 outages",
            values=tuple(cost.wall_s for cost in ordinary),
            unit="s",
            at_most=2.0,
        ),
        Figure(what="its CPU", values=tuple(cost.cpu_s for cost in ordinary), unit="s"),
        Figure(what=f"text report, {many}", values=wall_s, unit="s", at_most=12.0),
        Figure(what="its CPU", values=cpu_s, unit="s"),
        Figure(what="its peak memory", values=peak_mb, unit="MB", at_most=300.0),
        Figure(what=f"JSON report, {many}", values=json_s, unit="s"),
        Figure(what="its peak memory", values=json_mb, unit="MB"),
    ]


def _medians(costs: Sequence[Cost]) -> Cost:
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


def write(journal: Path, size: Size) -> int:
    """Write a day as a journal; return how many spans it has.

    In a process of its own: how much memory a process has held counts for those that it starts, too.
    """
    argv = [sys.executable, "-m", "tests.bench.day", str(journal), str(size.addresses), str(size.outages)]
    return int(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)


def _text(journal: Path) -> Cost:
    options = ["--journal", str(journal), "--output", f"{journal}.text", "--run", RUN.id]
    return _cost_of(["-m", "downtimer.report.child", *options])


def _json(journal: Path) -> Cost:
    return _cost_of(["-c", _JSON, str(journal), f"{journal}.json"])


def _cost_of(argv: Sequence[str]) -> Cost:
    """Run a program of ours to its end; return what it has cost."""
    began_s = os.times().elapsed
    process = subprocess.Popen([sys.executable, *argv], stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    processes = 1 + count_processes()
    if process.returncode != 0:
        raise RuntimeError(f"a report failed with {process.returncode}: {said.decode()[-2000:]}")
    wall_s = os.times().elapsed - began_s
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, processes * usage.ru_maxrss * 1024 / 1e6)
