"""The real daemon beside a simulated cloud: its configuration, and its commands run in the vantage."""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from downtimer.config import CONTROL_SOCKET
from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.processes import DemoError, kill

PR_SET_CHILD_SUBREAPER = 36
_COMMAND_S = 40.0
_GRACE_S = 3.0
_ROUNDS = 10
_LOG_LINES = 15
_PROGRAM = (sys.executable, "-m", "downtimer.cli")


class Daemon:
    """The daemon, from entering (it measures then) to leaving (it is gone then, however it went).

    While it exists orphans of ours become our children: so a daemon that does not obey can be ended
    by its pid, and none outlives the demo.

    Attributes:
        directory: For its configuration, state, log and report; removed at the end.

    Args:
        cloud: What it is to measure.
        keep_files: Whether to leave the directory in place.
        program: The command downtimer.
        sections: More of its configuration.
    """

    def __init__(
        self,
        cloud: SimulatedCloud,
        *,
        keep_files: bool = False,
        program: Sequence[str] = _PROGRAM,
        sections: str = "",
    ) -> None:
        self._cloud = cloud
        self._program = program
        self._sections = sections
        self._keep_files = keep_files
        self.directory = Path(tempfile.mkdtemp(prefix="downtimer-demo-"))
        self._config = self.directory / "conf.ini"
        self._pids: set[int] = set()
        self._running = False

    def __enter__(self) -> Self:
        _adopt_orphans(wanted=True)
        try:
            self._config.touch(mode=0o600)
            self._config.write_text(configuration(self._cloud, self.directory) + self._sections)
            before = _children()
            self._running = True
            try:
                self.command("start")
            finally:
                self._pids = _children() - before
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._running and self._pids:
                self.stop()
        except DemoError as error:
            sys.stderr.write(f"{error}\n")
        finally:
            self._end_all()
            _adopt_orphans(wanted=False)
            if not self._keep_files:
                shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def control_socket(self) -> str:
        """Where it listens."""
        return f"{self.directory}/run/{CONTROL_SOCKET}"

    def stop(self) -> str:
        """Stop it; return the report that it prints."""
        self._running = False
        self._pids = _with_descendants(self._pids)  # those that outlive their parent become ours
        return self.command("stop")

    def report(self) -> dict[str, Any]:
        """Return the report in JSON."""
        found: dict[str, Any] = json.loads(self.command("report", "--format", "json"))
        return found

    def command(self, *arguments: str) -> str:
        """Run one command of downtimer's in the vantage; return what it prints.

        Raises:
            DemoError: It failed, or did not end in time.
        """
        argv = [*self._program, *arguments, "--config", str(self._config)]
        said = self.directory / "said"
        # Into a file: a daemon that kept a pipe open would keep us waiting for its end.
        with said.open("wb") as output:
            process = self._cloud.run_in_vantage(argv, stdout=output, stderr=subprocess.STDOUT)
            try:
                status = process.wait(_COMMAND_S)
            except subprocess.TimeoutExpired:
                raise DemoError(f"downtimer {arguments[0]} did not end in {_COMMAND_S:g} s") from None
            finally:
                kill(process)
        text = said.read_text(errors="replace")
        if status != 0:
            raise DemoError(f"downtimer {arguments[0]} failed ({status}): {text.strip()}{self._log()}")
        return text

    def _end_all(self) -> None:
        """End what is left. In rounds, for whoever ends leaves its children to us."""
        deadline = time.monotonic() + _GRACE_S
        for _ in range(_ROUNDS):
            left = _with_descendants(self._pids & _children())
            if not left:
                return
            for pid in left:
                _end(pid, max(0.0, deadline - time.monotonic()))

    def _log(self) -> str:
        """Return the last lines of its log, on lines of their own; empty if it has none."""
        log = self.directory / "log"
        if not log.exists():
            return ""
        lines = log.read_text(errors="replace").splitlines()
        return "".join(f"\n  {line}" for line in lines[-_LOG_LINES:])


def configuration(cloud: SimulatedCloud, place: Path) -> str:
    """Return the configuration of the howto for a cloud, with places below `place` and without a database."""
    lines = [
        "[global]",
        f"keystone_endpoint={cloud.keystone_url}",
        f"user={cloud.config.user}",
        f"password={cloud.config.password}",
        f"report_file={place}/report",
        f"state_dir={place}/state",
        f"runtime_dir={place}/run",
        f"log_file={place}/log",
    ]
    if not cloud.has_network:  # the default is the default gateway, which is not the demo's
        lines += ["[vantage]", "reference=none"]
    return "\n".join([*lines, ""])


def _adopt_orphans(*, wanted: bool) -> None:
    """Become the parent of orphans among our descendants, or no longer."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def _parents() -> dict[int, int]:
    """Return the parent of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        found[int(stat.parent.name)] = int(fields[1])
    return found


def _children() -> set[int]:
    """Return the pids of our children."""
    return {pid for pid, parent in _parents().items() if parent == os.getpid()}


def _with_descendants(pids: set[int]) -> set[int]:
    """Return those processes and what they have started, and that, and so on."""
    parents = _parents()
    found = {pid for pid in pids if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _end(pid: int, grace_s: float) -> None:
    """See that a process which is or becomes our child ends, and reap it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([handle], [], [], grace_s)[0]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):  # reaped by another
        return
    finally:
        os.close(handle)
