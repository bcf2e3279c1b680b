"""The log: one line per event with time (UTC), process and level, on standard error.

The supervisor opens the log file, once, as the standard error of itself and all its children; a line
is one write, so lines of several processes do not mix.
"""

import logging
import sys
import textwrap
import time

from downtimer.printable import printable


class _Formatter(logging.Formatter):
    """One line per event, with a traceback indented below it; no text in an event can forge another."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        who = f"{self._process}[{record.process}] {record.levelname}"
        line = printable(f"{at}.{int(record.msecs):03d}Z {who} {record.getMessage()}")
        if record.exc_info:
            line += "\n" + textwrap.indent(self.formatException(record.exc_info), "    ")
        return line


def set_up(level: str, process: str) -> None:
    """Log from now on, as `process`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Log no less and no more than this from now on."""
    logging.getLogger("downtimer").setLevel(level.upper())
