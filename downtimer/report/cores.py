"""One function of many things, on all cores."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final, TypeVar

from downtimer.errors import DowntimerError
from downtimer.parent import die_with_parent

FEW: Final = 1_000
"""So many things are done before other processes are worth their start."""

BATCH: Final = 300
"""So many things travel together."""
_AHEAD: Final = 2  # batches that a process has waiting for it, or done

_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")


def spread(function: Callable[[_Thing], _Result], things: Iterable[_Thing]) -> Iterator[_Result]:
    """Yield the function's result for each thing, in order, as `map` does.

    Many things are worked at by a process for each core. They leave the processor to whoever else wants it,
    since a report may be asked for while the measurement goes on.

    Args:
        function: Is called in forks of this process, so it may be any.
        things: Are read in this process, a few ahead. They, and the results, can be pickled.

    Raises:
        DowntimerError: One of the processes was killed.
    """
    rest = iter(things)
    yield from map(function, islice(rest, FEW))
    cores = len(os.sched_getaffinity(0))
    if cores == 1:
        yield from map(function, rest)
        return
    batches = iter(lambda: list(islice(rest, BATCH)), [])
    first = next(batches, None)
    if first is None:
        return
    waiting: deque[Future[list[_Result]]] = deque()
    pool = ProcessPoolExecutor(cores, get_context("fork"), _begin, (function, os.getpid()))
    try:
        waiting.append(pool.submit(_work, first))
        for batch in batches:
            if len(waiting) == cores * _AHEAD:
                yield from waiting.popleft().result()
            waiting.append(pool.submit(_work, batch))
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as exc:
        raise DowntimerError(
            "a process that worked at the report was killed; is there memory enough?"
        ) from exc
    finally:
        pool.shutdown(cancel_futures=True)


_function: Callable[[Any], Any]  # what this process is for, in those that `spread` starts


def _begin(function: Callable[[Any], Any], parent: int) -> None:
    global _function  # noqa: PLW0603 - a pool's process has no other place for what it is to do
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asked for the report
    os.nice(10)
    _function = function


def _work(things: Sequence[Any]) -> list[Any]:
    return list(map(_function, things))
