"""Is the wall clock synchronised? The kernel knows, whoever does it (chrony, ntpd, PTP)."""

import ctypes
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from downtimer.doctor.finding import Finding, ok, warn

NAME: Final = "clock"
_STA_UNSYNC: Final = 0x0040  # of adjtimex(2)
_TIME_ERROR: Final = 5
_ERROR_MAX_US: Final = 1_000_000
_REMEDY: Final = "start chrony or systemd-timesyncd; durations are right without, instants in UTC are not"


class ClockState(NamedTuple):
    """What the kernel says of its clock.

    Attributes:
        state: What adjtimex(2) returns.
        status: Its bits.
        error_us: The largest error that is expected.
    """

    state: int
    status: int
    error_us: int


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def read() -> ClockState:
    """Ask the kernel; nothing is changed.

    Raises:
        OSError: It does not tell.
    """
    answer = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.byref(answer))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return ClockState(state, answer.status, answer.maxerror)


def judge(found: ClockState) -> Finding:
    """Say what that means."""
    if found.state == _TIME_ERROR or found.status & _STA_UNSYNC:
        return warn(NAME, "the kernel says that nothing synchronises this host's clock", _REMEDY)
    if found.error_us > _ERROR_MAX_US:
        return warn(NAME, f"this host's clock may be off by {found.error_us / 1e6:.1f} s", _REMEDY)
    return ok(NAME, f"synchronised, off by {found.error_us / 1e3:.0f} ms at most")


def examine() -> Iterator[Finding]:
    """Look at the clock."""
    yield judge(read())
