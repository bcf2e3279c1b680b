"""A server that a test runs: a process group of its own, which ends with the test, on failure too."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.waiting import wait_until

LOG_TAIL_BYTES = 4_000


class ServerProcess:
    """Starts, ends, freezes and starts again one command; everything it started goes with it.

    The kernel kills the server if the thread that started it dies (PR_SET_PDEATHSIG), so that even a killed
    test run leaves nothing behind. Therefore start servers from the main thread.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        directory: Path,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a server, which `start` starts.

        Args:
            argv: The command; the program by its path, or to be found in PATH.
            directory: Its working directory, which also gets its output as `output.log`.
            prefix: A command that runs the rest of its line, such as one that enters a network namespace.
            environment: All of the server's environment but PATH and the language.
        """
        self.log = directory / "output.log"
        self._directory = directory
        # A prefix may change credentials, which clears the parent-death signal, so it is set on both sides.
        die_with_parent = (require_program("setpriv", "util-linux"), "--pdeathsig", "KILL", "--")
        self._argv = [*die_with_parent, *prefix, *(die_with_parent if prefix else ()), *argv]
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the leader, which is its group's id as well."""
        if self._process is None:
            raise RuntimeError("the server is not started")
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether the leader lives. It is not reaped here, so that its group's id stays ours."""
        if self._process is None:
            return False
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is None

    def start(self) -> None:
        """Start the server; its output is added to the log. Whether it serves is its owner's to find out."""
        if self._process is not None:
            raise RuntimeError("the server is started already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, *, timeout_s: float = 15) -> None:
        """End it as an administrator would: SIGTERM, a deadline, SIGKILL. Nothing if it is not started."""
        if self._process is None:
            return
        try:
            self.resume()
            os.kill(self.pid, signal.SIGTERM)
            wait_until(lambda: not self.is_running(), timeout_s=timeout_s, what="the server to end")
        except TimeoutError:
            pass  # what a kill is for
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group at once; return when all are gone. Nothing if it is not started."""
        if self._process is None:
            return
        self._signal_group(signal.SIGKILL)
        # The leader's children hold the listening socket too, and may take some milliseconds longer to go.
        wait_until(lambda: not _group_lives(self.pid), timeout_s=10, what="the killed group to end")
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP to the whole group: the kernel still accepts connections, and nothing is answered."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to the whole group."""
        self._signal_group(signal.SIGCONT)

    def log_tail(self) -> str:
        """The end of its output, for the message of a failure."""
        if not self.log.exists():
            return "(no output)"
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.pid, number)


class Server:
    """A real server that one test starts, ends, freezes and starts again; its data stays."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process id of its first process, which leads a group of its own."""
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether it lives; it may be frozen."""
        return self._process.is_running()

    def start(self) -> None:
        """Start it and wait until it answers."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it in good order; nothing if it does not run."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL to all its processes at once; nothing if it does not run."""
        self._process.kill()

    def pause(self) -> None:
        """Freeze it: connections are made, requests are not answered."""
        self._process.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._process.resume()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, on failure too."""
        self.stop()


def _group_lives(group: int) -> bool:
    """Tell whether any process of that group lives; zombies do not, and others' are not ours to reap."""
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            # What follows the command, which is in parentheses and may hold anything: state, parent, group.
            state, _, found = (directory / "stat").read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if int(found) == group and state not in "ZX":
            return True
    return False


def require_program(name: str, package: str) -> str:
    """Return the path of a program.

    Raises:
        RuntimeError: It is missing, which is a failure and no reason to skip a test.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise RuntimeError(
            f"{name} is missing: install Debian's package {package}, or call `make test`, which does"
        )
    return path


def run_step(argv: Sequence[str], *, timeout_s: float) -> str:
    """Run a command to its end, without input; return what it said.

    Raises:
        RuntimeError: It failed; the message holds the end of what it said.
        subprocess.TimeoutExpired: It took too long.
    """
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(argv)} failed with {done.returncode}:\n{done.stdout[-LOG_TAIL_BYTES:]}"
        )
    return done.stdout
