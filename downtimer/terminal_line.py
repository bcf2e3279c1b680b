"""One line on a terminal that changes, and goes away when it has served its turn; elsewhere there is none."""

import os
import threading
from collections.abc import Callable
from typing import Final, TextIO

from downtimer.printable import printable

_CLEAR: Final = "\r\x1b[K"
_USUAL: Final = os.terminal_size((80, 24))


def size_of(stream: TextIO) -> os.terminal_size:
    """Return the size that a terminal has now; COLUMNS and LINES may be what it had when a shell began."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:  # it is none, or gone
        return _USUAL
    return size if size.columns and size.lines else _USUAL


class TerminalLine:
    """The line. Any thread may change it.

    Attributes:
        is_live: There is a terminal that can take a line back.
    """

    def __init__(self, stream: TextIO) -> None:
        self.is_live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._stream = stream
        self._lock = threading.Lock()
        self._text = ""

    def show(self, text: str) -> None:
        """Show this instead of what was there; empty: nothing."""
        with self._lock:
            self._text = printable(text)
            self._draw(self._text)

    def clear(self) -> None:
        """Take it away."""
        self.show("")

    def aside(self, write: Callable[[], object]) -> None:
        """Let something be written that stays, above it."""
        with self._lock:
            self._draw("")
            write()
            self._draw(self._text)

    def _draw(self, text: str) -> None:
        if self.is_live:
            columns, _ = size_of(self._stream)
            self._stream.write(f"{_CLEAR}{text[: columns - 1]}")
            self._stream.flush()
