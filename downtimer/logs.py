"""The log: one line per event with time (UTC), process and level, on standard error.

The supervisor opens the log file, once, as the standard error of itself and all its children; a line
is one write, so lines of several processes do not mix.
"""

import logging
import sys
import time


class _Formatter(logging.Formatter):
    """One line per event; what is not printable is escaped, so that no event can forge another."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        """Return the time in UTC, with milliseconds."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{at}.{int(record.msecs):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it if there is one."""
        line, *traceback = super().format(record).split("\n")
        text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
        return "\n    ".join([text, *traceback])


def set_up(level: str, process: str) -> None:
    """Log from now on, as `process`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(f"%(asctime)s {process}[%(process)d] %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("downtimer").setLevel(level.upper())
