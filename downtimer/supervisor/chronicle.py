"""What the log is told of outages: each that begins or ends, a line; of many at once, how many.

Owned by a measurement, in the supervisor. Does no I/O but by the function it is given. The lines are by what
workers say first, for whoever watches; what a report makes of it all is another matter.
"""

from collections.abc import Callable
from typing import Final

from downtimer.messages import Turned
from downtimer.model import SECOND_NS

LINES_MOST: Final = 20
"""So many lines from one `tick` to the next, which is a second."""


class Chronicle:
    """Tells of outages.

    Args:
        name_of: Tells how the target of one is called.
        tell: Takes a line.
    """

    def __init__(self, name_of: Callable[[Turned], str], tell: Callable[[str], None]) -> None:
        self._name_of = name_of
        self._tell = tell
        self._lines = 0
        self._begun = self._ended = 0  # that have no line

    def take(self, turned: Turned, down_ns: int | None) -> None:
        """Tell of a check that has turned.

        Args:
            turned: How.
            down_ns: Since when it was down; None if it was not.
        """
        has_room = self._lines < LINES_MOST
        self._lines += has_room
        if turned.cause is not None:
            self._begun += not has_room
        else:
            self._ended += not has_room
        if has_room:
            self._tell(f"{self._name_of(turned)}, {turned.check}: {_change(turned, down_ns)}")

    def tick(self) -> None:
        """Another second begins: tell of what had no line in the last one."""
        if self._begun or self._ended:
            self._tell(f"and {self._begun} more are down, {self._ended} more are up again")
        self._lines = self._begun = self._ended = 0


def _change(turned: Turned, down_ns: int | None) -> str:
    if turned.cause is not None:
        return f"is down: {turned.cause}"
    if down_ns is None:
        return "is up"
    return f"is up again, after {(turned.since_ns - down_ns) / SECOND_NS:.1f} s"
