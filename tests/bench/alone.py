"""A benchmark in a process of its own."""

import importlib
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.bench.figures import Results


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
