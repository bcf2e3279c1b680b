"""From the command line to a daemon: a fresh interpreter in a session of its own.

Its orders (the configuration, with its secrets) are in an anonymous file that it inherits and closes
at once; nothing is in its arguments or environment. Its answer, "measuring" or the reason why not,
comes back over an inherited pipe.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from downtimer import logs
from downtimer.config import Config
from downtimer.errors import ConfigError, DowntimerError, ExitCode
from downtimer.supervisor.children import child_environment
from downtimer.supervisor.lock import make_folder

MODULE: Final = "downtimer.supervisor.daemon"


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a new daemon is to do.

    Attributes:
        config: The configuration.
        label: The user's words for the run; may be empty.
        resume: True: go on with the last run; False: begin a new one; None: as its age decides.
    """

    config: Config
    label: str = ""
    resume: bool | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A line from the daemon while it starts.

    Attributes:
        text: For the user; one line.
        code: None: more lines follow. 0: it measures. Else it could not start, and this is why.
        is_warning: Of the configuration something has no effect.
    """

    text: str
    code: int | None = None
    is_warning: bool = False


def start_daemon(orders: Orders, tell: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Start a daemon, and wait until it measures.

    Args:
        orders: What it is to do.
        tell: Called with lines that tell how far it is.
        warn: Likewise with what of the configuration has no effect.

    If something is raised meanwhile, as on Ctrl-C, the daemon is told to end.

    Raises:
        DowntimerError: It could not; the message says why.
    """
    read_fd, write_fd = os.pipe()
    log_fd = _open_log(orders.config)
    orders_fd = _anonymous_file(orders)
    try:
        command = [*_command(orders_fd), "--answer-fd", str(write_fd)]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            env=child_environment(),
            cwd="/",
            pass_fds=(orders_fd, write_fd),
            start_new_session=True,
            umask=0o077,
        )
    finally:
        for fd in (write_fd, log_fd, orders_fd):
            os.close(fd)
    try:
        conclusion = _listen(read_fd, tell, warn)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if conclusion is not None:
        return _conclude(process, conclusion)
    process.wait()
    raise DowntimerError(f"the daemon ended before it measured; see {orders.config.global_.log_file}")


def _listen(read_fd: int, tell: Callable[[str], None], warn: Callable[[str], None]) -> Answer | None:
    """Return the daemon's last word, None if it ended without one; what comes before it is told."""
    with open(read_fd, "rb") as answers:
        for line in answers:
            answer = msgspec.json.decode(line, type=Answer)
            if answer.code is None or answer.code == ExitCode.DONE:
                (warn if answer.is_warning else tell)(answer.text)
            if answer.code is not None:
                return answer
    return None


def become_daemon(orders: Orders) -> None:
    """Replace this process by a daemon in the foreground, which logs to standard error. Never returns."""
    command = _command(_anonymous_file(orders))
    os.umask(0o077)
    os.chdir("/")
    os.execve(command[0], [*command, "--foreground"], child_environment())  # noqa: S606 - our own module


def read_orders(fd: int) -> Orders:
    """Return the orders in an inherited file, and close it."""
    with open(fd, "rb") as file:
        file.seek(0)
        return msgspec.msgpack.decode(file.read(), type=Orders)


def _command(orders_fd: int) -> list[str]:
    return [sys.executable, "-m", MODULE, "--orders-fd", str(orders_fd)]


def _anonymous_file(orders: Orders) -> int:
    fd = os.memfd_create("downtimer-orders", 0)
    os.write(fd, msgspec.msgpack.encode(orders))
    return fd


def _open_log(config: Config) -> int:
    path = config.global_.log_file
    try:
        make_folder(Path(path).parent)
        return logs.open_file(path)
    except OSError as exc:
        raise ConfigError(f"{config.path}: [global] log_file: cannot write {path}: {exc.strerror}") from exc


def _conclude(process: "subprocess.Popen[bytes]", answer: Answer) -> None:
    if answer.code == ExitCode.DONE:
        process.returncode = 0  # it lives on; not ours to wait for
        return
    process.wait()
    error = ConfigError if answer.code == ExitCode.USAGE else DowntimerError
    raise error(answer.text)
