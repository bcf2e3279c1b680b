"""The event loop of a child process: asyncio's, whose selector has it watched.

A loop that has nothing to do is in its selector. Whoever is told when it goes there, for how long at most,
and when it is back, knows at every turn how late it is. A timer for that would wake a process that rests many
times a second, for nothing else.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from downtimer.workers.stalls import LoopWatch

_T = TypeVar("_T")


class WatchedSelector(selectors.EpollSelector):
    """A selector that tells of the loop's rests.

    Attributes:
        watch: Is told; None, and nobody is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watch: LoopWatch | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, yet no longer than the watch wants; the loop comes back if there were none."""
        watch = self.watch
        if watch is None:
            return super().select(timeout)
        if timeout is None or timeout > 0:
            timeout = watch.rests(timeout)
        found = super().select(timeout)
        watch.is_back()
        return found


def run(main: Callable[[WatchedSelector], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end in such a loop, as `asyncio.run` does; it is given the selector."""
    selector = WatchedSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(main(selector))
