"""The event loop of a child process: asyncio's, whose selector has it watched, and lets a reactor work.

A loop that has nothing to do is in its selector. Whoever is told when it goes there, for how long at most,
and when it is back, knows at every turn how late it is. A timer for that would wake a process that rests many
times a second, for nothing else.
"""

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from downtimer.workers.reactor import Reactor
    from downtimer.workers.stalls import LoopWatch

_T = TypeVar("_T")
_Came = TypeVar("_Came")


class WatchedSelector(selectors.EpollSelector):
    """A selector that tells of the loop's rests, and waits for a reactor as well.

    Attributes:
        watch: Is told; None, and nobody is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watch: LoopWatch | None = None
        self._reactor: Reactor | None = None

    def wait_with(self, reactor: "Reactor") -> None:
        """From now on let this one do its work whenever it has some, before asyncio does its own."""
        assert self._reactor is None, "there is one to a loop"  # noqa: S101
        self._reactor = reactor

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events; the loop comes back, too, when the reactor has done something."""
        reactor = self._reactor
        if reactor is None:
            return self._rest(super().select, timeout)
        came = self._rest(reactor.wait, reactor.rests(timeout))
        reactor.work(came)
        return super().select(0) if self.fileno() in came else []

    def _rest(self, wait: Callable[[float | None], _Came], most_s: float | None) -> _Came:
        """Wait for so long at most (None: without an end); if only the watch wants a look, go on waiting."""
        watch = self.watch
        if watch is None:
            return wait(most_s)
        until_s = math.inf if most_s is None else time.monotonic() + most_s
        while True:
            rest_s = watch.rests(most_s) if most_s is None or most_s > 0 else most_s
            came = wait(rest_s)
            watch.is_back()
            if came or rest_s == most_s:
                return came
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return came
            most_s = None if most_s is None else left_s


class Loop(asyncio.SelectorEventLoop):
    """asyncio's loop with such a selector."""

    def __init__(self) -> None:
        self.selector = WatchedSelector()
        super().__init__(self.selector)


def run(main: Callable[[WatchedSelector], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end in such a loop, as `asyncio.run` does; it is given the selector."""
    loop = Loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop.selector))
