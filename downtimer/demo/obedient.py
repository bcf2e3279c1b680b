"""A process of the simulated cloud as its owner sees it: it says when it began, and obeys lines."""

import subprocess
from collections.abc import Sequence

from downtimer.demo.processes import DemoError, Lines, Spawner, kill
from downtimer.demo.truth import Bracket

_ANSWER_S = 20.0


class Obedient:
    """A running process that answers every line with ``done EARLIEST LATEST``.

    Args:
        spawner: Starts it.
        argv: The command.
    """

    def __init__(self, spawner: Spawner, argv: Sequence[str]) -> None:
        self.process = spawner.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lines = Lines(self.process)

    def expect(self, word: str, within_s: float = _ANSWER_S) -> Bracket:
        """Wait for a line that begins with that word; return the instant that it names.

        Raises:
            DemoError: It said something else, or nothing in time, or ended.
        """
        line = self._lines.read(within_s)
        first, *rest = line.split()
        if first != word:
            raise DemoError(f"expected {word!r} of a process of the simulated cloud, got {line!r}")
        earliest_ns, latest_ns = map(int, rest)
        return Bracket(earliest_ns, latest_ns)

    def order(self, line: str) -> Bracket:
        """Have it do something; return when that took effect.

        Raises:
            DemoError: It could not, or is gone.
        """
        self.tell(line)
        return self.expect("done")

    def tell(self, line: str) -> None:
        """Have it do something, without waiting for its answer.

        Raises:
            DemoError: It is gone.
        """
        if self.process.stdin is None:
            raise DemoError("a process of the simulated cloud takes no orders")
        try:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise DemoError("a process of the simulated cloud ended unexpectedly") from error

    def close(self) -> None:
        """End and reap it."""
        kill(self.process)
