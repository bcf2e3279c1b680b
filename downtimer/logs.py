"""The log: one line per event with time (UTC), process and level, on standard error.

The log file is the standard error of the supervisor and of all its children; a line is one write, so lines
of several processes do not mix. When the file was moved away each of them opens it anew.
"""

import contextlib
import errno
import logging
import os
import stat
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


def change(level: str, path: str | None) -> None:
    """Log no less and no more than `level`, and to what is at `path` now; None: to where it went before."""
    set_level(level)
    if path is None:
        return
    try:
        fd = open_file(path)
    except OSError as exc:
        logging.getLogger(__name__).error("the log stays where it was: %s: %s", path, exc.strerror)  # noqa: TRY400
        return
    for stream in (1, 2):
        os.dup2(fd, stream)
    os.close(fd)


def open_file(path: str) -> int:
    """Open a log to be added to, or make it, with mode 0640 whatever the umask; return its descriptor.

    Raises:
        OSError: It can't be.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that nobody reads is an error
    with contextlib.suppress(FileExistsError):
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(fd, 0o640)
        return fd
    fd = os.open(path, flags)
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
        os.close(fd)
        raise OSError(errno.EINVAL, "neither a file nor a device")  # a full pipe would hold up all who log
    os.set_blocking(fd, True)
    return fd


def set_level(level: str) -> None:
    """Log no less and no more than this from now on."""
    for ours in ("downtimer", "__main__"):  # the latter is the module that a process began with
        logging.getLogger(ours).setLevel(level.upper())
