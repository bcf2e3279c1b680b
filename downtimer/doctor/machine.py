"""What else of this machine matters: descriptors, a daemon that runs already, and the unit for systemd."""

import os
import pwd
import resource
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from downtimer.config import Config
from downtimer.control import client
from downtimer.doctor.finding import Finding, fail, ok, warn
from downtimer.errors import ControlError, NotRunningError
from downtimer.supervisor.lock import holder

DESCRIPTORS: Final = "descriptors"
DAEMON: Final = "daemon"
UNIT: Final = "systemd"

UNIT_NAME: Final = "downtimer.service"
UNIT_FOLDERS: Final = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")

_PING_S: Final = 5.0
_LEAST_FILES: Final = 1_024
_PER_SERVICE: Final = 16
"""Probes under way, kept connections, calls."""


def judge_descriptors(hard: int, services: int) -> Finding:
    """Say whether a process may open as many files as it may need."""
    wanted = _LEAST_FILES + services * _PER_SERVICE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return warn(
            DESCRIPTORS,
            f"a process may open {hard} files; {services} services may need {wanted}",
            "raise `ulimit -Hn`, or LimitNOFILE in the unit",
        )
    return ok(DESCRIPTORS, f"a process may open {'any number of' if hard < 0 else hard} files")


def examine_descriptors(services: int) -> Iterator[Finding]:
    """Look at the limit of this process, which a daemon inherits."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield judge_descriptors(hard, services)


def examine_daemon(config: Config) -> Iterator[Finding]:
    """See whether a daemon runs already; it is not disturbed."""
    try:
        answer = client.request(config.control_socket, "ping", timeout_s=_PING_S)
    except NotRunningError:
        pid = holder(config.global_.state_dir)
        if pid is None:
            yield ok(DAEMON, "none runs yet")
        else:
            yield fail(
                DAEMON,
                f"{config.global_.state_dir} is in use by a downtimer with another runtime_dir",
                f"`kill {pid}` ends it, with a report",
            )
    except ControlError as exc:
        yield fail(DAEMON, str(exc))
    else:
        state = "measures already" if answer["measuring"] else "is idle, and waits for `downtimer start`"
        yield ok(DAEMON, f"one (pid {answer['pid']}) {state}")


def examine_unit(config: Config, folders: tuple[str, ...] = UNIT_FOLDERS) -> Iterator[Finding]:
    """Look at the unit for systemd, if it is installed."""
    paths = [path for folder in folders if (path := Path(folder) / UNIT_NAME).is_file()]
    if not paths:
        yield ok(UNIT, "no unit is installed; `downtimer start` needs none")
        return
    path = paths[0]
    options = read_unit(path.read_text(encoding="utf-8", errors="replace"))
    problems = list(_problems(path, options, config))
    yield from problems
    if not problems:
        yield ok(UNIT, f"{path} starts {options['ExecStart']} as {options.get('User', 'root')}")


def read_unit(text: str) -> Mapping[str, str]:
    """Return the options of a unit; of those that are given several times the last."""
    pairs = (line.partition("=") for line in text.splitlines() if line[:1].isalpha())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _problems(path: Path, options: Mapping[str, str], config: Config) -> Iterator[Finding]:
    program = _program(options.get("ExecStart", ""))
    if not os.access(program, os.X_OK):
        yield fail(UNIT, f"{path}: ExecStart: {program or 'nothing'} can't be run", "name where downtimer is")
    name = options.get("User", "root")
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        yield fail(
            UNIT, f"{path}: there is no user {name}", "run systemd-sysusers, see etc/downtimer.sysusers"
        )
        return
    if not _may_read(config.path, user):
        yield fail(
            UNIT,
            f"user {name} of {path} may not read {config.path}",
            f"`chgrp {name} {config.path} && chmod 640 {config.path}`",
        )
    if user.pw_uid != os.geteuid():
        yield warn(
            UNIT,
            f"the unit runs as {name}, and permissions were looked at as those of {_own_name()}",
            f"`runuser -u {name} -- downtimer doctor` looks at that user's",
        )


def _program(line: str) -> str:
    """Return what a line of a unit starts; empty if that can't be told."""
    try:
        words = shlex.split(line)
    except ValueError:  # a quote that does not end
        return ""
    return words[0].lstrip("@-:+!") if words else ""


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _may_read(path: str, user: pwd.struct_passwd) -> bool:
    """Tell whether a user may read a file, by its mode alone."""
    found = os.stat(path)  # noqa: PTH116 - pathlib's says no more
    if user.pw_uid == 0:
        return True
    if found.st_uid == user.pw_uid:
        return bool(found.st_mode & 0o400)
    if found.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        return bool(found.st_mode & 0o040)
    return bool(found.st_mode & 0o004)
