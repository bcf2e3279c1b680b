"""Our own stalls: how late the event loop is, and what that excuses.

A process that is stopped, starved of CPU or suspended reads late and sends late. None of that is a
target's downtime: what may have failed for it says nothing.
"""

from collections import deque
from itertools import takewhile
from typing import Final, NamedTuple

from downtimer.clock import RunClock
from downtimer.model import MILLISECOND_NS, NEVER_NS, SECOND_NS
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
    """A time in which the loop should have gone on and did not.

    Attributes:
        alive_ns: When it last went on before that.
        due_ns: When it should have again.
        came_ns: When it did, or how far it is.
        idle_ns: For how much of that the process did not run: it was stopped, starved or suspended.
        slept: The host was suspended in it.
    """

    alive_ns: int
    due_ns: int
    came_ns: int
    idle_ns: int
    slept: bool


class LoopWatch:
    """Measures how late the event loop is.

    Its selector tells when the loop goes to rest and when it is back (`downtimer.workers.loop`). It stands
    still in a rest from the instant on for which it had a timer; in a turn, in which it does what there is to
    do, from the beginning.

    A rest that ends earlier, with something that came in, may have been too long as well: that may have come
    at any time in it. So whoever has to know how old news is has the selector look round often (`be_sharp`).
    """

    def __init__(self, clock: RunClock) -> None:
        self._clock = clock
        self._turned_ns = self._alive_ns = self._due_ns = clock.now_ns()
        self._slept_ns = clock.slept_ns()
        self._cpu_ns = clock.cpu_ns()
        self._read_ns = self._alive_ns  # when that was
        self._late: deque[_Late] = deque(maxlen=_LATE_KEPT)
        self._worst_ns = 0
        self._tick_s: float | None = None

    def be_sharp(self) -> None:
        """From now on have the selector look round at least every 50 ms."""
        self._tick_s = _TICK_NS / SECOND_NS

    def rests(self, most_s: float | None) -> float | None:
        """The loop goes to rest, for `most_s` at most (None: without an end); return how long it may."""
        if self._tick_s is not None and (most_s is None or most_s > self._tick_s):
            most_s = self._tick_s
        now_ns = self._clock.now_ns()
        self._note(now_ns)
        self._alive_ns = now_ns
        self._due_ns = NEVER_NS if most_s is None else now_ns + int(most_s * SECOND_NS)
        return most_s

    def is_back(self) -> None:
        """The selector is back: the loop goes on with another turn, or rests again."""
        now_ns = self._clock.now_ns()
        self._note(now_ns)
        self._turned_ns = self._alive_ns = self._due_ns = now_ns
        if now_ns - self._read_ns > _TICK_NS:  # a call into the kernel, which not every turn is worth
            self._read_ns, self._cpu_ns = now_ns, self._clock.cpu_ns()

    def has_slept_since(self, at_ns: int) -> bool:
        """Tell whether the host was suspended since `at_ns`."""
        return any(late.slept for late in self._recent(at_ns))

    def late_ns(self, now_ns: int) -> int:
        """Return how old at most what we learn of now may be: so long has the loop just stood still.

        That it did before this turn, or does in it.
        """
        recent = self._recent(min(now_ns, self._turned_ns) - 1)
        return now_ns - recent[-1].alive_ns if recent else 0

    def held_up_ns(self, at_ns: int) -> int:
        """Return how long at most the loop has stood still in all since `at_ns`; 0 if never for `LATE_NS`.

        That may have begun as soon as it went to rest.
        """
        return sum(late.came_ns - max(late.alive_ns, at_ns) for late in self._recent(at_ns))

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
        slept_ns, slept = self._clock.slept_ns(), False
        if self._late and self._late[-1].due_ns == self._due_ns:
            slept = self._late.pop().slept  # the same time, of which more has passed
        slept = slept or slept_ns - self._slept_ns > LATE_NS
        self._slept_ns = slept_ns
        # What it ran shortly before that is taken off as well; so this is the least.
        idle_ns = max(late_ns - (self._clock.cpu_ns() - self._cpu_ns), 0)
        self._late.append(_Late(self._alive_ns, self._due_ns, now_ns, idle_ns, slept))

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
