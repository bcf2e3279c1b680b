"""A running ip(8) that takes one command after another, so that each takes effect within a millisecond."""

import subprocess
import threading
from collections.abc import Callable, Sequence

from downtimer.demo.processes import DemoError, Lines, kill
from downtimer.demo.truth import Bracket, now_ns

ARGUMENTS = ("-o", "-batch", "-")
_ANSWER_S = 60.0
_ASK = "link show lo"  # its answer tells that all before it is done
_ANSWER = "1: lo:"


class IpBatch:
    """Runs commands where it was started; any thread may call it.

    Args:
        start: Starts ip with `ARGUMENTS` and pipes for its input and its output, which must not be
            buffered; its errors go the same way.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, commands: Sequence[str]) -> Bracket:
        """Run commands; return when they took effect.

        Raises:
            DemoError: One failed; those after it were not run.
        """
        with self._lock:
            if self._process is None:
                self._process = self._start()
                self._lines = Lines(self._process)
            try:
                return self._run(self._process, commands)
            except (DemoError, OSError) as error:
                self._end()
                raise DemoError(f"ip {'; '.join(commands)}: {error}") from error

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._end()

    def _run(self, process: subprocess.Popen[bytes], commands: Sequence[str]) -> Bracket:
        assert process.stdin is not None  # noqa: S101 - it was started with one
        before_ns = now_ns()
        process.stdin.write("".join(f"{command}\n" for command in [*commands, _ASK]).encode())
        process.stdin.flush()
        answer = self._lines.read(_ANSWER_S)
        when = Bracket(before_ns, now_ns())
        if not answer.startswith(_ANSWER):
            raise DemoError(answer)
        return when

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            kill(process)
