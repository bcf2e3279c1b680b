"""One function of many things, on all cores."""

import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Final, Generic, TypeVar

from downtimer.errors import DowntimerError
from downtimer.parent import die_with_parent

FEW: Final = 1_000
"""So many things are done before other processes are worth their start."""

BATCH: Final = 300
"""So many things travel together."""

_MOST: Final = 4
"""Processes: one that reads things for more, and gathers what became of them, has no time to spare."""

_FORK: Final = get_context("fork")

_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")


def count_processes() -> int:
    """Return how many processes work at many things; 0 if this one does it alone."""
    cores = len(os.sched_getaffinity(0))
    return 0 if cores == 1 else min(cores, _MOST)


def spread(function: Callable[[_Thing], _Result], things: Iterable[_Thing]) -> Iterator[_Result]:
    """Yield the function's result for each thing, in order, as `map` does.

    Many things are worked at by several processes. They leave the processor to whoever else wants it, since a
    report may be asked for while the measurement goes on.

    Args:
        function: Is called in forks of this process, so it may be any.
        things: Are read in this process, a few ahead. They, and the results, can be pickled.

    Raises:
        DowntimerError: One of the processes was killed.
    """
    rest = iter(things)
    yield from map(function, islice(rest, FEW))
    first = list(islice(rest, BATCH))
    idle: list[_Process[_Thing, _Result]] = []
    busy: deque[_Process[_Thing, _Result]] = deque()
    try:
        if len(first) == BATCH:
            with suppress(OSError):  # there may be no more processes: those that there are do it
                for _ in range(count_processes()):
                    idle.append(_Process(function))  # noqa: PERF401 - what was started is kept if another fails
        if not idle:
            yield from map(function, chain(first, rest))
            return
        batch = first
        while batch:
            if not idle:
                yield from busy[0].results()
                idle.append(busy.popleft())
            busy.append(idle.pop())
            busy[-1].begin(batch)
            batch = list(islice(rest, BATCH))
        for process in busy:
            yield from process.results()
    finally:
        for process in (*idle, *busy):
            process.end()


class _Process(Generic[_Thing, _Result]):
    """A fork of this process that works at one batch after the other.

    There is no thread between it and us, as in a pool: reading rows gives way to other threads at each row.
    """

    def __init__(self, function: Callable[[_Thing], _Result]) -> None:
        self._connection, theirs = _FORK.Pipe()
        with theirs:
            self._process = _FORK.Process(target=_work, args=(function, theirs, os.getpid()), daemon=True)
            self._process.start()

    def begin(self, things: list[_Thing]) -> None:
        """Have it work at these. It has nothing else to do, so it reads them at once."""
        with suppress(BrokenPipeError):  # `results` will say so
            self._connection.send(things)

    def results(self) -> list[_Result]:
        """Return what came of them, when it is done."""
        try:
            results: list[_Result] | Exception = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise DowntimerError(
                "a process that worked at the report has ended; was it killed for want of memory?"
            ) from None
        if isinstance(results, Exception):
            raise results
        return results

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _work(function: Callable[[Any], Any], connection: Connection, parent: int) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asked for the report
    os.nice(10)
    while True:
        things = connection.recv()
        try:
            connection.send(list(map(function, things)))
        except Exception as exc:  # noqa: BLE001 - it is raised again where the results were wanted
            exc.add_note(traceback.format_exc())
            connection.send(exc)
