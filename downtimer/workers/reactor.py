"""Tells the api worker's conversations when the kernel has something for them, and when their time is up.

Beside asyncio, which would do the same at several times the cost: there each wait for a socket registers it
and takes it back, each timer is compared in Python, and each wake-up makes two handles. Here a socket is
registered once for its life, and the loop's selector, when it waits, waits for us as well: asyncio knows
of none of that.

As with asyncio, whatever the kernel has is dealt with before any timer that is due as well.
"""

import asyncio
import heapq
import itertools
import select
import time
from collections.abc import Callable, Mapping
from typing import Final

from downtimer.workers.loop import Loop

Call = Callable[[], None]
Came = Mapping[int, Call | None]

_CHANGES: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_TIMERS_LEAST: Final = 1_000
_LONG_S: Final = 0.005
_LATE_S: Final = 0.005


class Timer:
    """Something that is to be called later."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call: Call | None = call

    def cancel(self) -> None:
        """Don't call it."""
        self.call = None


class Reactor:
    """Watches sockets and time for whoever is in the event loop that runs; there is one to a loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        assert isinstance(self._loop, Loop)  # noqa: S101 - for the type checker
        self._epoll = select.epoll()
        self._calls: dict[int, Call] = {}  # by descriptor
        self._timers: list[tuple[float, int, Timer]] = []
        self._serials = itertools.count()
        self._most = _TIMERS_LEAST
        self._loop.selector.wait_with(self)
        self._epoll.register(self._loop.selector.fileno(), select.EPOLLIN)  # tells of what asyncio has to do

    # --- sockets ---

    def watch(self, descriptor: int, call: Call) -> None:
        """Call whenever something changes for this socket, from now on until it is closed.

        That is not said twice: try whatever is to be done until the kernel says that it would block.
        """
        self._calls[descriptor] = call
        self._epoll.register(descriptor, _CHANGES)

    def watch_answer(self, descriptor: int, call: Call) -> None:
        """Call as long as there is something to read, or an end, from now on until this socket is closed."""
        self._calls[descriptor] = call
        self._epoll.register(descriptor, select.EPOLLIN)

    def watch_input(self, descriptor: int, call: Call) -> None:
        """Of a socket that is watched: call as long as there is something to read, or an end."""
        self._calls[descriptor] = call
        self._epoll.modify(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """This socket is about to be closed."""
        self._calls.pop(descriptor, None)

    # --- time ---

    def later(self, wait_s: float, call: Call) -> Timer:
        """Call after a while."""
        timers, timer = self._timers, Timer(call)
        heapq.heappush(timers, (time.monotonic() + wait_s, next(self._serials), timer))
        if len(timers) > self._most:  # mostly cancelled ones
            timers[:] = [entry for entry in timers if entry[2].call is not None]
            heapq.heapify(timers)
            self._most = max(2 * len(timers), _TIMERS_LEAST)
        return timer

    # --- called by the loop's selector ---

    def rests(self, most_s: float | None) -> float | None:
        """Return how long the loop may rest until a timer is due, at most `most_s` (None: without end)."""
        timers = self._timers
        while timers and timers[0][2].call is None:
            heapq.heappop(timers)
        if not timers:
            return most_s
        wait_s = max(timers[0][0] - time.monotonic(), 0)
        return wait_s if most_s is None or wait_s < most_s else most_s

    def wait(self, most_s: float | None) -> Came:
        """Wait until the kernel has something, for so long at most; return for which descriptors.

        Who is concerned is settled before the first is called: later a descriptor may be another's.
        """
        calls = self._calls
        return {
            descriptor: calls.get(descriptor) for descriptor, _ in self._epoll.poll(most_s, len(calls) + 1)
        }

    def work(self, came: Came) -> None:
        """Call those for whom something came, then what is due.

        If that takes long, not all that is due: what has come meanwhile is read first.
        """
        self._tell(came)
        timers, began_s = self._timers, time.monotonic()
        if timers and began_s - timers[0][0] > _LATE_S:
            self._tell(self.wait(0))  # an answer may have come since the last look, and before a deadline
        now_s = began_s
        while timers and timers[0][0] <= began_s and now_s - began_s < _LONG_S:
            call = heapq.heappop(timers)[2].call
            if call is not None:
                self._try(call)
                now_s = time.monotonic()

    def _tell(self, came: Came) -> None:
        for descriptor, call in came.items():
            if call is not None and self._calls.get(descriptor) is call:
                self._try(call)

    def _try(self, call: Call) -> None:
        try:
            call()
        except Exception as exc:  # noqa: BLE001 - the others would not be told again
            self._loop.call_exception_handler({"message": "a conversation broke", "exception": exc})
