"""Child processes: started, watched, restarted with growing back-off, ended.

Owned by a measurement. Processes are forked from the main thread only, because the kernel ties
PR_SET_PDEATHSIG to the thread that forked. States and the one method that moves between them::

    STARTING ──hello──► RUNNING ──finish──► STOPPING ──exit──► ENDED
        │                  │
        └──────exit────────┴──► BACKOFF ──due──► STARTING
        exit with CANNOT_START ──► FATAL
"""

import enum
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import downtimer
from downtimer.errors import ExitCode
from downtimer.messages import CannotStart
from downtimer.model import SECOND_NS, Incarnation

log = logging.getLogger(__name__)

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MOST_S: Final = 5.0
STEADY_S: Final = 10.0
"""A child that lived so long starts over with the shortest back-off."""

BEAT_OVERDUE_S: Final = 5.0
HELLO_OVERDUE_S: Final = 30.0


class State(enum.StrEnum):
    """Where a child is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    ENDED = "ended"
    FATAL = "fatal"


class Child:
    """One child process and its successors.

    Attributes:
        name: Its class: ``api``, ``icmp``, ``discovery``, ``writer``.
        state: Where it is in its life.
        incarnation: Of the process that runs now, or ran last.
        restarts: How often it was started again after it had ended by itself, or was silent.
        reason: Why it is FATAL, None otherwise.
    """

    def __init__(self, name: str, *, bus: str, run: str) -> None:
        self.name = name
        self.state = State.ENDED
        self.incarnation = Incarnation("")
        self.restarts = 0
        self.reason: str | None = None
        self.is_misconfigured = False
        self._bus = bus
        self._run = run
        self._process: subprocess.Popen[bytes] | None = None
        self._started_ns = 0
        self._heard_ns = 0
        self._restart_ns = 0
        self._backoff_s = BACKOFF_FIRST_S
        self._is_replaced = False

    @property
    def pid(self) -> int | None:
        """The process id, None while there is no process."""
        return self._process.pid if self._process is not None else None

    def start(self, now_ns: int) -> None:
        """Start a process: a fresh interpreter, introduced to the bus by its arguments.

        Raises:
            OSError: There can't be another process now; it is due again after a back-off.
        """
        self._started_ns = self._heard_ns = now_ns
        self.incarnation = Incarnation(f"{self.name}.{os.urandom(8).hex()}")
        arguments = {
            "--bus": self._bus,
            "--incarnation": self.incarnation,
            "--run": self._run,
            "--parent": str(os.getpid()),
        }
        command = [sys.executable, "-m", f"downtimer.workers.{self.name}"]
        command += [word for pair in arguments.items() for word in pair]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, stdin=subprocess.DEVNULL, env=child_environment(), cwd="/"
            )
        except OSError:
            self._back_off(now_ns)
            raise
        self._move(State.STARTING)

    def heard(self, now_ns: int) -> None:
        """Note a sign of life."""
        self._heard_ns = now_ns
        if self.state is State.STARTING:
            self._move(State.RUNNING)

    def count_anew(self, now_ns: int) -> None:
        """Forgive silence up to now: the supervisor itself was late."""
        self._heard_ns = max(self._heard_ns, now_ns)

    def age_s(self, now_ns: int) -> float:
        """Return how long ago it was last heard."""
        return (now_ns - self._heard_ns) / SECOND_NS

    def is_overdue(self, now_ns: int) -> bool:
        """Tell whether it has been silent for too long and should be killed."""
        left_s = self.overdue_in_s(now_ns)
        return left_s is not None and left_s < 0

    def overdue_in_s(self, now_ns: int) -> float | None:
        """Return how long until it should be killed if nothing is heard of it; None if it never is."""
        limit_s = {State.RUNNING: BEAT_OVERDUE_S, State.STARTING: HELLO_OVERDUE_S}.get(self.state)
        return None if limit_s is None else limit_s - self.age_s(now_ns)

    def is_due(self, now_ns: int) -> bool:
        """Tell whether its back-off is over."""
        return self.state is State.BACKOFF and now_ns >= self._restart_ns

    def stopping(self) -> None:
        """Note that it was told to finish: its exit is expected, whatever the code."""
        if self.state in (State.STARTING, State.RUNNING):
            self._move(State.STOPPING)
        elif self.state is State.BACKOFF:
            self._move(State.ENDED)

    def kill(self) -> None:
        """Kill the process if there is one."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def replace(self) -> None:
        """Kill the process so that another takes its place, at once: nothing is wrong with it."""
        self._is_replaced = True
        self.kill()

    def reap(self, now_ns: int) -> int | None:
        """Notice that the process has ended; return its exit code (negative: the signal), else None."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._process = None
        if self.state is State.STOPPING:
            self._move(State.ENDED)
        elif code == ExitCode.CANNOT_START:
            self._move(State.FATAL)
        elif self._is_replaced:
            self._restart_ns = now_ns
            self._move(State.BACKOFF)
        else:
            self._back_off(now_ns)
        self._is_replaced = False
        return code

    def cannot_start(self, why: CannotStart) -> None:
        """Note why it cannot start; it exits after it said so."""
        self.reason, self.is_misconfigured = why.reason, why.by_configuration

    def _back_off(self, now_ns: int) -> None:
        if now_ns - self._started_ns >= STEADY_S * SECOND_NS:
            self._backoff_s = BACKOFF_FIRST_S
        self._restart_ns = now_ns + int(self._backoff_s * SECOND_NS)
        self._backoff_s = min(2 * self._backoff_s, BACKOFF_MOST_S)
        self.restarts += 1
        self._move(State.BACKOFF)

    def _move(self, state: State) -> None:
        log.info("%s: %s → %s (pid %s)", self.name, self.state, state, self.pid)
        self.state = state


_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""numpy's linear algebra, of which we use none, starts a thread per core as it is imported."""


def child_environment() -> dict[str, str]:
    """Return the environment of our processes: no OpenStack credentials, and our own package importable."""
    package = str(Path(downtimer.__file__).parent.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    paths = [package, *filter(None, [environment.get("PYTHONPATH")])]
    return environment | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(paths)}
