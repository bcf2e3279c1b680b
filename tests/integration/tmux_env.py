"""A real terminal for one test: tmux. To a program it is one as any other, and it tells us what is on it."""

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.processes import require_program
from tests.waiting import wait_until


class Terminal:
    """A terminal in which a shell runs one command, and says afterwards how that ended.

    Args:
        directory: For its socket.
        argv: The command.
        columns: Of the terminal; `rows` likewise.
        environment: Beside that of the test.
    """

    def __init__(
        self,
        directory: Path,
        argv: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str],
    ) -> None:
        self._tmux = [require_program("tmux", "tmux"), "-S", str(directory / "tmux.sock"), "-f", "/dev/null"]
        self._argv = argv
        self._size = ["-x", str(columns), "-y", str(rows)]
        self._environment = environment

    def __enter__(self) -> Self:
        """Start it."""
        words = [f"{name}={value}" for name, value in self._environment.items()]
        command = shlex.join(["env", *words, *self._argv])
        after = 'printf "ended %s " $?; stty -a | grep -o ".icanon .iexten\\|.icanon"; sleep 600'
        self._do("new-session", "-d", *self._size, f"{command}; {after}")
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and whatever runs in it."""
        self._do("kill-server")

    def screen(self, *options: str) -> str:
        """Return what is on the screen; `-e`: with colours."""
        return self._do("capture-pane", "-p", *options)

    def press(self, *keys: str) -> None:
        """Press keys, named as tmux does."""
        self._do("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        """Give it another size."""
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def pid(self) -> int:
        """Return the process id of the command."""
        shell = self._do("display", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    def until(self, holds: Callable[[str], bool], what: str, *, timeout_s: float = 20) -> str:
        """Wait until that holds of the screen, and return it."""

        def look() -> str | None:
            shown = self.screen()
            return shown if holds(shown) else None

        try:
            found = wait_until(look, timeout_s=timeout_s, what=what)
        except TimeoutError as exc:
            raise AssertionError(f"{exc}:\n{self.screen()}") from exc
        assert found is not None
        return found

    def ended(self) -> str:
        """Wait until the command has ended; return its exit status."""
        shown = self.until(lambda text: "ended " in text and "icanon" in text, "the command to end")
        assert " icanon" in shown, "keys are still read one by one"
        assert self._do("display", "-p", "#{alternate_on} #{cursor_flag}").split() == ["0", "1"]
        return shown.partition("ended ")[2].split()[0]

    def _do(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
