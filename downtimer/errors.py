"""The errors that end a command, as a tree; each message is one line that says how to mend it.

::

    DowntimerError          1  something failed
    ├── ConfigError         2  wrong usage or configuration
    ├── NotRunningError     3  no daemon answers
    ├── ControlError        1  the daemon refused a request
    ├── StoreError          1  a journal or InfluxDB could not be read or written
    ├── ExchangeError       1  a file to be imported is wrong
    └── MessageError        1  a frame on the bus that is not one of ours

A target that is down is data, never an exception.
"""

import enum


class ExitCode(enum.IntEnum):
    """What a command's exit status means (and, for a child, why it ended)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    ASSERTION = 4
    NOT_BEGUN = 125  # `run` alone: the command was not begun, and that is our failure
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127
    SIGNALLED = 128  # and the number of the signal that ended it
    CANNOT_START = 78  # a child only: configuration or permission; EX_CONFIG of sysexits.h


class DowntimerError(Exception):
    """Root of all errors that are ours; ``exit_code`` is what the command returns."""

    exit_code = ExitCode.FAILED


class ConfigError(DowntimerError):
    """The configuration or the command line is wrong."""

    exit_code = ExitCode.USAGE


class NotRunningError(DowntimerError):
    """No daemon answers on the control socket."""

    exit_code = ExitCode.NOT_RUNNING


class ControlError(DowntimerError):
    """The daemon answered a request with an error; ``code`` is the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StoreError(DowntimerError):
    """A journal or an InfluxDB could not be opened, read or written."""


class ExchangeError(DowntimerError):
    """A file that is to be imported is none of those that can be, or wrong."""


class MessageError(DowntimerError):
    """A frame on the bus is not one of our messages."""
