"""Measure what downtimer costs, and print the tables.

Usage: tests.bench [options] [BENCHMARK...]

Without a name all of them run, one after the other, on a machine that should have nothing else to do.

Options:
  --runs=N      Of each benchmark; its figures are the medians [default: 5].
  --write=FILE  Write the document there, too.

The exit code is 1 if a promise was not kept.
"""

import importlib
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from docopt import docopt

from tests.bench import document
from tests.bench.figures import Results

BENCHMARKS: Final = ("echoes", "requests", "small", "storage", "discovery", "reports")
"""Modules of this package; each has ``measure(directory, runs)``."""


def main() -> int:
    """Measure; return the exit code."""
    arguments = docopt(__doc__)
    found: list[tuple[str, Results]] = []
    for name in arguments["BENCHMARK"] or BENCHMARKS:
        sys.stderr.write(f"{name} …\n")
        found.append(run(name, int(arguments["--runs"])))
    text = document.compose(found)
    sys.stdout.write(text)
    if arguments["--write"]:
        Path(arguments["--write"]).write_text(text)
    return 0 if all(figure.is_kept for _, results in found for figure in results.figures) else 1


def run(name: str, runs: int) -> tuple[str, Results]:
    """Run a benchmark in a process of its own; return what it says of itself, and its results.

    The memory that a process has held counts for those that it starts, too: the kernel puts the peak of what
    is replaced by an exec into ``ru_maxrss``.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        return alone.submit(_measure, name, runs).result()


def _measure(name: str, runs: int) -> tuple[str, Results]:
    module = importlib.import_module(f"tests.bench.{name}")
    with tempfile.TemporaryDirectory(prefix=f"downtimer-bench-{name}-") as directory:
        return module.__doc__ or name, module.measure(Path(directory), runs)


if __name__ == "__main__":
    sys.exit(main())
