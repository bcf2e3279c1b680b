"""Is the configuration one to begin with?"""

import os
import pwd
import stat
from collections.abc import Iterator
from typing import Final

from downtimer import certificates, secrecy
from downtimer.config import Config
from downtimer.doctor.finding import Finding, ok, warn

NAME: Final = "configuration"


def examine(given: Config, found: Config) -> Iterator[Finding]:
    """Say what there is about a configuration without a fault.

    Args:
        given: As it was read.
        found: With what it takes to sign in.
    """
    if os.path.exists(given.path):  # noqa: PTH110 - a text
        yield ok(NAME, f"{given.path} can be read, and every option is known{_owner(given.path)}")
    else:
        yield ok(NAME, f"{given.path} is not there, so that every option has its default")
    yield from examine_secrecy(given)
    for line in certificates.unverified(found):
        yield warn(NAME, line, "name their CA in cacert instead")


def examine_secrecy(given: Config) -> Iterator[Finding]:
    """Say which secrets every user of this machine may read.

    Args:
        given: As it was read.
    """
    for line in secrecy.readable_by_others(given):
        yield warn(NAME, line)


def _owner(path: str) -> str:
    """Return whose the file is, to end a sentence with; empty if that can't be known."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib's says no more
        name = pwd.getpwuid(found.st_uid).pw_name
    except (OSError, KeyError):
        return ""
    return f" (mode {stat.S_IMODE(found.st_mode):04o}, of {name})"
