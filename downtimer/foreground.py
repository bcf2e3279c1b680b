"""A command in the foreground of our own: it has our terminal, and gets the signals that we get.

Runs in the command line's process, which has one thread then. While the command runs, signals to us are taken
one by one, with what the kernel tells of each: what a terminal sends (Ctrl-C) all processes in its foreground
get, so that is not passed on, or the command would get it twice. Before, a signal ends us in order, and more
of them are ignored meanwhile; afterwards, the second one does.
"""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, Self

from downtimer.errors import DowntimerError, ExitCode
from downtimer.printable import printable

DEADLY: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PASSED_ON: Final = (*DEADLY, signal.SIGUSR1, signal.SIGUSR2)

_OURS: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these, and a command would inherit that."""

_KERNEL: Final = 0x80
"""Who has sent a signal (SI_KERNEL): a terminal, as we get it."""


@contextmanager
def handling(numbers: Iterable[int], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have these signals handled so until leaving; then as before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


class InterruptionError(BaseException):
    """A signal told us to end; like KeyboardInterrupt nobody is to catch it on the way.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class CommandError(DowntimerError):
    """There is no such command, or it can't be run."""

    def __init__(self, word: str, number: int | None) -> None:
        reason = "command not found" if number == errno.ENOENT else os.strerror(number or errno.EACCES)
        super().__init__(f"{printable(word)}: {reason}")
        self.exit_code = ExitCode.NOT_FOUND if number == errno.ENOENT else ExitCode.NOT_EXECUTABLE


class Signals:
    """What signals to us bring about, from entering to leaving; what is ignored already stays so.

    Attributes:
        is_urged: A signal was answered with a line.
    """

    def __init__(self) -> None:
        self.is_urged = False
        self._patience: str | None = None
        self._is_over = False
        self._before = {
            number: handler
            for number in PASSED_ON
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN
        }

    def __enter__(self) -> Self:
        for number in self._before:
            signal.signal(number, self._on_signal)
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # if it was ignored, nobody would tell how a child ended
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def be_patient(self, line: str) -> None:
        """From now on answer the first signal with this line; the second one is an InterruptionError."""
        self._patience, self._is_over, self.is_urged = line, False, False

    def run(self, argv: Sequence[str], environment: Mapping[str, str], patience: str) -> int:
        """Run a command to its end; return the exit code that tells of it.

        Args:
            argv: Its words.
            environment: In which it runs.
            patience: See `be_patient`, for afterwards.

        Raises:
            CommandError: It can't be run.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*self._before, signal.SIGCHLD})
        try:
            pid = os.posix_spawnp(argv[0], list(argv), environment, setsigmask=before, setsigdef=_OURS)
            code = self._until_ended(pid)
            self.be_patient(patience)
        except OSError as exc:
            raise CommandError(argv[0], exc.errno) from exc
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return code if code >= 0 else ExitCode.SIGNALLED - code

    def _until_ended(self, pid: int) -> int:
        while True:
            told = signal.sigwaitinfo({*self._before, signal.SIGCHLD})
            if told.si_signo != signal.SIGCHLD:
                if told.si_code != _KERNEL:
                    os.kill(pid, told.si_signo)  # it is not reaped, so it is there
                continue
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number not in DEADLY or self._is_over:
            return
        if self._patience is None:
            self._is_over = True
            raise InterruptionError(number)
        line, self._patience, self.is_urged = self._patience, None, True
        os.write(sys.stderr.fileno(), f"downtimer: {line}\n".encode())  # whatever we were just writing


def check_command(word: str) -> None:
    """See whether there is such a command.

    Raises:
        CommandError: There is none, or it can't be run.
    """
    if shutil.which(word) is not None:
        return
    folders = [""] if "/" in word else os.environ.get("PATH", os.defpath).split(os.pathsep)
    is_there = word and any((Path(folder) / word).exists() for folder in folders)
    raise CommandError(word, errno.EACCES if is_there else errno.ENOENT)
