"""What a process has cost until now, as the kernel counts it."""

import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024


def cpu_s(pid: int) -> float:
    """Return how long a process has run, user and system together; with all its threads."""
    # What follows the command, which is in parentheses and may hold anything, begins with the third field.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident."""
    return _KIB * _of_status(pid, "VmHWM")


def _of_status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
