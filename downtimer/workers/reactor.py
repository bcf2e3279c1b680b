"""Tells the api worker's conversations when the kernel has something for them, and when their time is up.

On top of asyncio's loop, which would do the same at several times the cost: there each wait for a socket
registers it and takes it back, and each timer is compared in Python. Here a socket is registered once for
its life, and asyncio knows of one descriptor and one timer.

As with asyncio, whatever the kernel has is dealt with before any timer that is due as well.
"""

import asyncio
import heapq
import itertools
import math
import select
from collections.abc import Callable
from typing import Final

Call = Callable[[], None]

_CHANGES: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_TIMERS_LEAST: Final = 1_000
_LONG_S: Final = 0.005
_LATE_S: Final = 0.005
_NEVER: Final = math.inf


class Timer:
    """Something that is to be called later."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call: Call | None = call

    def cancel(self) -> None:
        """Don't call it."""
        self.call = None


class Reactor:
    """Watches sockets and time, for whoever is in its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._calls: dict[int, Call] = {}  # by descriptor
        self._loop.add_reader(self._epoll.fileno(), self._look)
        self._timers: list[tuple[float, int, Timer]] = []
        self._serials = itertools.count()
        self._most = _TIMERS_LEAST
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = _NEVER  # when it rings; what is due before that needs another one

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

    def _look(self) -> None:
        """Deal with all that the kernel has by now.

        Who is concerned is settled before the first is called: later a descriptor may be another's.
        """
        calls = self._calls
        found = self._epoll.poll(0, len(calls) + 1)
        for descriptor, call in [(descriptor, calls.get(descriptor)) for descriptor, _ in found]:
            if call is not None and calls.get(descriptor) is call:
                try:
                    call()
                except Exception as exc:  # noqa: BLE001 - the others would not be told again
                    self._loop.call_exception_handler({"message": "a conversation broke", "exception": exc})
        if self._timers and self._timers[0][2].call is None:
            self._set_alarm()  # most timers are cancelled by what comes, and waking up costs more than this

    # --- time ---

    def later(self, wait_s: float, call: Call) -> Timer:
        """Call after a while."""
        timer = Timer(call)
        at_s = self._loop.time() + wait_s
        heapq.heappush(self._timers, (at_s, next(self._serials), timer))
        if at_s < self._alarm_s:
            self._set_alarm()
        return timer

    def _ring(self) -> None:
        """Call what is due; if that takes long, not all of it: what has come meanwhile is read first."""
        timers, began_s = self._timers, self._loop.time()
        if timers and began_s - timers[0][0] > _LATE_S:
            self._look()  # an answer may have come since the loop has looked, and before a deadline
        now_s = began_s
        self._alarm_s = -_NEVER  # it is set once, at the end
        try:
            while timers and timers[0][0] <= began_s and now_s - began_s < _LONG_S:
                call = heapq.heappop(timers)[2].call
                if call is not None:
                    call()
                    now_s = self._loop.time()
        finally:
            self._set_alarm()

    def _set_alarm(self) -> None:
        """Have it ring when the first timer is due that was not cancelled."""
        timers = self._timers
        if len(timers) > self._most:  # mostly cancelled ones
            timers[:] = [entry for entry in timers if entry[2].call is not None]
            heapq.heapify(timers)
            self._most = max(2 * len(timers), _TIMERS_LEAST)
        while timers and timers[0][2].call is None:
            heapq.heappop(timers)
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_s = None, _NEVER
        if timers:
            self._alarm_s = timers[0][0]
            self._alarm = self._loop.call_at(self._alarm_s, self._ring)
