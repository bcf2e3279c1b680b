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


def examine(config: Config) -> Iterator[Finding]:
    """Say what there is about a configuration that was read without a fault."""
    if os.path.exists(config.path):  # noqa: PTH110 - a text
        yield ok(NAME, f"{config.path} can be read, and every option is known{_owner(config.path)}")
    else:
        yield ok(NAME, f"{config.path} is not there, so that every option has its default")
    for line in secrecy.readable_by_others(config):
        yield warn(NAME, line)


def examine_trust(config: Config) -> Iterator[Finding]:
    """Say which connections anybody may be at the other end of.

    Args:
        config: With what it takes to sign in.
    """
    for line in certificates.unverified(config):
        yield warn(NAME, line, "name their CA in cacert instead")


def _owner(path: str) -> str:
    """Return whose the file is, to end a sentence with; empty if that can't be known."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib's says no more
        name = pwd.getpwuid(found.st_uid).pw_name
    except (OSError, KeyError):
        return ""
    return f" (mode {stat.S_IMODE(found.st_mode):04o}, of {name})"
