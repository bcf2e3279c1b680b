"""A watch on a terminal: the whole screen, keys, another size. It leaves the terminal as it found it."""

import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final, Self

from rich.console import Console
from rich.live import Live

from downtimer.foreground import handling
from downtimer.terminal_line import size_of
from downtimer.watch import screen
from downtimer.watch.daemon import WatchedDaemon, wait_s

_QUIT: Final = frozenset(b"qQ")
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class _EndedError(BaseException):
    """A signal told us to end; nobody is to catch it on the way."""


def is_fit() -> bool:
    """Tell whether standard output is a terminal on which a screen can be drawn."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def watch(daemon: WatchedDaemon) -> None:
    """Show how things stand until the user quits, by q or Ctrl-C. The daemon has answered once.

    If it goes away the last picture stays, and it is waited for.
    """
    console = Console()
    with contextlib.suppress(KeyboardInterrupt), _ended_by_signals(), _Keys() as keys, _live(console) as live:
        while True:
            began_s = time.monotonic()
            _show(console, live, daemon)
            while (left_s := wait_s(began_s)) > 0:
                if keys.quit_within(left_s):
                    return
                _show(console, live, daemon)  # the terminal has another size
            daemon.ask()


def _live(console: Console) -> Live:
    return Live(
        console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    )


def _show(console: Console, live: Live, daemon: WatchedDaemon) -> None:
    assert daemon.answer is not None  # noqa: S101 - for the type checker
    away = None
    if daemon.why is not None and daemon.away_since is not None:
        away = screen.Away(daemon.away_since, daemon.why)
    console.size = size_of(sys.stdout)
    live.update(screen.render(daemon.answer, away, *reversed(console.size)), refresh=True)


class _Keys:
    """Keys of the terminal, one by one and unseen, and word of its having another size."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._woken, self._wake = os.pipe()

    def __enter__(self) -> Self:
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        self._former_wake = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._former_handler = signal.signal(signal.SIGWINCH, lambda *_: None)  # so that it wakes us
        if sys.stdin.isatty():
            self._fd = sys.stdin.fileno()
            self._former = termios.tcgetattr(self._fd)
            termios.tcsetattr(self._fd, termios.TCSADRAIN, _unseen(self._former))
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._former)
        signal.signal(signal.SIGWINCH, self._former_handler)
        signal.set_wakeup_fd(self._former_wake)
        os.close(self._woken)
        os.close(self._wake)

    def quit_within(self, seconds: float) -> bool:
        """Wait so long, or until a key or a signal; return whether the user wants to quit."""
        sources = [self._woken] if self._fd is None else [self._woken, self._fd]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 1024)
        if self._fd in ready and self._fd is not None:
            pressed = os.read(self._fd, 1024)
            if not pressed:  # the terminal is gone
                self._fd = None
            return not _QUIT.isdisjoint(pressed)
        return False


def _unseen(attributes: list[int | list[bytes | int]]) -> list[int | list[bytes | int]]:
    """Return a terminal's attributes such that keys come one by one, are not shown, and Ctrl-Z is none.

    Whoever is stopped would leave the terminal as no shell expects it.
    """
    changed = [part[:] if isinstance(part, list) else part for part in attributes]
    local, characters = changed[3], changed[6]
    assert isinstance(local, int)  # noqa: S101 - for the type checker
    assert isinstance(characters, list)  # noqa: S101 - as above
    changed[3] = local & ~(termios.ICANON | termios.ECHO)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    characters[termios.VSUSP] = b"\0"
    return changed


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have signals that end a process do so once the terminal is as it was."""
    received: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise _EndedError

    try:
        with handling(_ENDING, end):
            yield
    except _EndedError:
        sys.exit(128 + received[0])
