"""Who may send next when the budget is short: whoever has waited longest. Used by the api worker's series.

If all who wait tried again whenever there may be room for one, ten thousand would try for each probe that is
sent, and some would be passed over for minutes.
"""

from collections import deque

from downtimer.clock import RunClock
from downtimer.model import SECOND_NS
from downtimer.pace import Bucket
from downtimer.workers.reactor import Call, Reactor, Timer


class Turns:
    """The budget, and those who wait for it."""

    def __init__(self, bucket: Bucket, reactor: Reactor, clock: RunClock) -> None:
        self._bucket = bucket
        self._reactor = reactor
        self._clock = clock
        self._waiting: deque[Timer] = deque()
        self._is_armed = False

    def take(self, now_ns: int) -> bool:
        """Take one from the budget, unless it is empty or somebody waits for it."""
        return not self._waiting and not self._bucket.wait_ns(now_ns)

    def wait(self, call: Call) -> Timer:
        """Call when one has been taken for this caller."""
        turn = Timer(call)
        self._waiting.append(turn)
        if not self._is_armed:
            self._serve()
        return turn

    def _serve(self) -> None:
        """Give to those who wait as many as there are."""
        self._is_armed = True  # whoever is called may wait again
        while self._waiting:
            if self._waiting[0].call is None:
                self._waiting.popleft()
            elif wait_ns := self._bucket.wait_ns(self._clock.now_ns()):
                self._reactor.later(wait_ns / SECOND_NS, self._serve)
                return
            elif (call := self._waiting.popleft().call) is not None:
                call()
        self._is_armed = False
