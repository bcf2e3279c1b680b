"""Gentleness towards services with few workers: one call at a time, and what becomes of one that hangs.

A call that hangs holds one of the service's workers, also after we have given up on it; a second one would
hold another, and soon the service's root would not answer for our calls' sake. So once its verdict is due, a
call is *pending*: it stays open, and no other is sent to that root, until it is answered (which tells to the
millisecond when the service has recovered) or has been so for long.
"""

from collections.abc import Callable
from typing import Final

from downtimer.model import SECOND_NS
from downtimer.workers.reactor import Reactor, Timer
from downtimer.workers.talk import Conversation

PENDING_NS: Final = 60 * SECOND_NS
"""So long a call is pending at most; after that twice as long each time."""

PENDING_MAX_NS: Final = 300 * SECOND_NS

DOUBT_S: Final = 1.0
"""When the root that a call was made to is well again, so long the answer to the call may still take."""


class Slot:
    """The right to send calls to one root, which is one series' at a time.

    Attributes:
        is_stuck: The call of the one that has it is pending.
        users: How many series share it.
    """

    def __init__(self) -> None:
        self.is_stuck = False
        self.users = 0
        self._holder: object = None

    def take(self, who: object) -> bool:
        """Take it; return False if another one has it."""
        if self._holder is None:
            self._holder = who
        return self._holder is who

    def give_back(self, who: object) -> None:
        """Give it back, if this one has it."""
        if self._holder is who:
            self._holder, self.is_stuck = None, False


class Pending:
    """The call of one series that hangs though its verdict is known; there is one at most.

    Attributes:
        is_down: Its verdict; False if it may have hung for want of us.

    Args:
        reactor: Has the time.
        give_up: Is called when it has been so for long; it is to `drop` it.
    """

    def __init__(self, reactor: Reactor, give_up: Callable[[], None]) -> None:
        self._reactor = reactor
        self._give_up = give_up
        self._call: Conversation | None = None
        self._end: Timer | None = None
        self._hangs = 0  # one after another
        self._is_doubted = False
        self.is_down = False

    def __bool__(self) -> bool:
        return self._call is not None

    def is_it(self, probe: Conversation) -> bool:
        """Tell whether this is the call."""
        return probe is self._call

    def patience_ns(self) -> int:
        """Return for how long this one is held, or else the next one would be."""
        return min(PENDING_NS << self._hangs, PENDING_MAX_NS)

    def hold(self, probe: Conversation, *, is_down: bool) -> None:
        """Hold this one."""
        self._call, self.is_down, self._is_doubted = probe, is_down, False
        self._end = self._reactor.later(self.patience_ns() / SECOND_NS, self._give_up)
        probe.watch()

    def doubt(self) -> None:
        """Wait only a little longer: what the call was made to has been down, and is well again.

        It may have been lost. But if that has been tried since a call was last answered in time, go on
        waiting: so many hung calls at most hold one of the service's workers each.
        """
        if self._call is not None and self._end is not None and self._hangs == 0 and not self._is_doubted:
            self._is_doubted = True
            self._end.cancel()
            self._end = self._reactor.later(DOUBT_S, self._give_up)

    def drop(self) -> bool:
        """Let go of it; return False if there is none."""
        if self._call is None:
            return False
        if self._end is not None:
            self._end.cancel()
        self._call.close()
        self._call = None
        self._hangs += 1
        return True

    def forget_hangs(self) -> None:
        """Note that a call was answered in time."""
        self._hangs = 0
