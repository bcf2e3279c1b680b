"""Starting processes that cannot outlive us, and ending them. The only place that runs programs."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from downtimer.errors import DowntimerError

_KILL_S = 10.0


class DemoError(DowntimerError):
    """The simulated cloud cannot do what was asked."""


class Spawner:
    """Starts processes from one thread that lives as long as the cloud.

    The death signal of a child is sent when the *thread* that started it ends, so a fault played
    from a short-lived thread must not be what restarts a service.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own: Ctrl-C is for us, who then end it in order."""

        def run() -> subprocess.Popen[bytes]:
            return subprocess.Popen(  # noqa: S603 - programs and arguments are the demo's own
                list(argv),
                env=python_environment(),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                process_group=0,
            )

        return self._thread.submit(run).result()

    def close(self) -> None:
        """Let the thread end. Whatever it started is to be ended before."""
        self._thread.shutdown()


def python_environment() -> dict[str, str]:
    """Return our environment such that a child's ``python -m downtimer…`` finds this very package.

    Without the variables that OpenStack's clients read: what a demo measures is its own cloud.
    """
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return kept | {"PYTHONPATH": root if not inherited else f"{root}{os.pathsep}{inherited}"}


class Lines:
    """Reads lines of a process's output with a deadline, which a buffered file cannot."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            raise ValueError("the process was started without a pipe for its output")
        self._pipe = process.stdout
        self._buffer = b""

    def read(self, timeout_s: float) -> str:
        """Return the next line.

        Raises:
            DemoError: The other end closed, or said nothing in time.
        """
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise DemoError(f"a process of the simulated cloud said nothing for {timeout_s:g} s")
            more = os.read(self._pipe.fileno(), 65536)
            if not more:
                raise DemoError("a process of the simulated cloud ended unexpectedly")
            self._buffer += more
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process for certain, reap it, and close our ends of its pipes."""
    if process.poll() is None:
        process.kill()
    process.wait(_KILL_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # an order that it did not live to read
                pipe.close()
