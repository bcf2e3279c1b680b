"""Our own stalls: how late the event loop is, and what that excuses.

A process that is stopped, starved of CPU or suspended reads late and sends late. None of that is a
target's downtime: what may have failed for it says nothing.
"""

import asyncio
from collections import deque
from itertools import takewhile
from typing import Final, NamedTuple

from downtimer.clock import RunClock
from downtimer.model import MILLISECOND_NS, SECOND_NS
from downtimer.pace import Rates
from downtimer.series import Series
from downtimer.verdicts import HELD_UP, may_be_ours

LATE_NS: Final = 50 * MILLISECOND_NS
"""A loop that is late by less is none that stands still."""

DOUBT_NS: Final = 10 * MILLISECOND_NS
"""If sending a probe took longer, it is not known well enough when it left, and it says nothing."""

_EXCUSED: Final = 10  # a failure, if we stood still for more than this part of the timeout
_TICK_NS: Final = 50 * MILLISECOND_NS
_LATE_KEPT: Final = 1_000  # more than can be since a probe under way was sent


class _Late(NamedTuple):
    """A time in which the loop should have come to its timer and did not.

    Attributes:
        due_ns: When it should have.
        came_ns: When it did, or how far it is.
        idle_ns: For how much of that the process did not run: it was stopped, starved or suspended.
        slept: The host was suspended in it.
    """

    due_ns: int
    came_ns: int
    idle_ns: int
    slept: bool


class LoopWatch:
    """Measures how late the event loop is, with a timer that should fire every 50 ms."""

    def __init__(self, clock: RunClock) -> None:
        self._clock = clock
        self._due_ns = clock.now_ns()
        self._slept_ns = clock.slept_ns()
        self._cpu_ns = clock.cpu_ns()
        self._late: deque[_Late] = deque(maxlen=_LATE_KEPT)
        self._worst_ns = 0

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            self._due_ns = self._clock.now_ns() + _TICK_NS
            self._slept_ns = self._clock.slept_ns()
            self._cpu_ns = self._clock.cpu_ns()
            await asyncio.sleep(_TICK_NS / SECOND_NS)
            self._note(self._clock.now_ns())

    def was_late_since(self, at_ns: int) -> bool:
        """Tell whether the loop has been late by more than `LATE_NS` at a time since `at_ns`."""
        return bool(self._recent(at_ns))

    def has_slept_since(self, at_ns: int) -> bool:
        """Tell whether the host was suspended since `at_ns`."""
        return any(late.slept for late in self._recent(at_ns))

    def late_ns(self, now_ns: int) -> int:
        """Return how old at most what we learn of now may be: so long has the loop just stood still."""
        return max((late.came_ns - late.due_ns + _TICK_NS for late in self._recent(now_ns - 1)), default=0)

    def held_up_ns(self, at_ns: int) -> int:
        """Return how long at most the loop has stood still in all since `at_ns`; 0 if never for `LATE_NS`.

        That may have begun as soon as the timer was set.
        """
        return sum(late.came_ns - max(late.due_ns - _TICK_NS, at_ns) for late in self._recent(at_ns))

    def trouble_since(self, at_ns: int, most_ns: int, *, is_busy_trouble: bool = True) -> str | None:
        """Return the cause if the loop stood still for more than `most_ns` in all since `at_ns`, else None.

        Counted are times of more than `LATE_NS` only.

        Args:
            at_ns: Since when.
            most_ns: So much is no trouble.
            is_busy_trouble: Whether the loop stands still, too, while it is busy with something else.
        """
        recent = self._recent(at_ns)
        lost_ns = 0
        for late in recent:
            length_ns = late.came_ns - max(late.due_ns, at_ns)
            lost_ns += length_ns if is_busy_trouble else min(late.idle_ns, length_ns)
        if lost_ns <= most_ns:
            return None
        return "suspended" if any(late.slept for late in recent) else HELD_UP

    def take_worst_ns(self) -> int:
        """Return the largest lateness since the last call."""
        worst_ns, self._worst_ns = self._worst_ns, 0
        return worst_ns

    def _recent(self, at_ns: int) -> list[_Late]:
        self._note(self._clock.now_ns())
        return list(takewhile(lambda late: late.came_ns > at_ns, reversed(self._late)))

    def _note(self, now_ns: int) -> None:
        late_ns = now_ns - self._due_ns
        self._worst_ns = max(self._worst_ns, late_ns)
        if late_ns <= LATE_NS:
            return
        if self._late and self._late[-1].due_ns == self._due_ns:
            self._late.pop()  # the same time, of which more has passed
        slept = self._clock.slept_ns() - self._slept_ns > LATE_NS
        # What it ran before it was due is taken off as well; so this is the least.
        idle_ns = max(late_ns - (self._clock.cpu_ns() - self._cpu_ns), 0)
        self._late.append(_Late(self._due_ns, now_ns, idle_ns, slept))

    def excuse(self, cause: str, sent_ns: int, timeout_ns: int) -> str:
        """Return the cause of a failure once our own lateness is taken into account.

        An echo reply is stamped and kept by the kernel, however busy we are; only while we do not run at
        all may something be lost. A conversation over TCP needs us at each of its steps.

        Args:
            cause: As it looks.
            sent_ns: When the probe was sent.
            timeout_ns: How long it may take.
        """
        if not may_be_ours(cause):
            return cause
        needs_us = cause != "no-reply"
        return self.trouble_since(sent_ns, timeout_ns // _EXCUSED, is_busy_trouble=needs_us) or cause


def note_suspension(series: Series, watch: LoopWatch, now_ns: int, rates: Rates) -> None:
    """If the host slept since the last probe, say so: a gap alone does not tell why it is there.

    Called before a probe is sent.
    """
    slot_ns = series.missed_ns(now_ns)
    if slot_ns is not None and watch.trouble_since(slot_ns, 0) == "suspended":
        series.skip(slot_ns, "suspended", rates)
