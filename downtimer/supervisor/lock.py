"""The lock that only one daemon per runtime folder may hold, and the folder itself."""

import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Final

from downtimer.config import Config
from downtimer.errors import ConfigError, DowntimerError

_POLL_S: Final = 0.02


def make_runtime_dir(path: str) -> None:
    """Make the folder for sockets, or check that the one there is ours alone.

    Raises:
        ConfigError: It is a link, no folder, someone else's, or cannot be made.
    """
    try:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise ConfigError(f"[global] runtime_dir: {path} is a link or no folder; remove it")
        if found.st_uid != os.geteuid():
            raise ConfigError(f"[global] runtime_dir: {path} belongs to user {found.st_uid}; choose another")
        if found.st_mode & 0o077:
            Path(path).chmod(0o700)
    except OSError as exc:
        raise ConfigError(f"[global] runtime_dir: cannot make {path}: {exc.strerror}") from exc


def take_lock(config: Config) -> None:
    """Take the lock for the life of this process: the kernel releases it at its very end.

    Raises:
        DowntimerError: Another daemon holds it.
    """
    fd = os.open(_path(config), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        pid = os.read(fd, 20).decode("ascii", "replace").strip()
        raise DowntimerError(
            f"downtimer runs already (pid {pid}); `downtimer status` shows it, `downtimer stop` ends it"
        ) from exc
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())


def wait_for_end(config: Config, timeout_s: float) -> None:
    """Wait until the daemon that was told to stop has ended, so that another can be started at once."""
    deadline = time.monotonic() + timeout_s
    try:
        fd = os.open(_path(config), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # removed, with the folder
        return
    try:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_POLL_S)
            else:
                return
    finally:
        os.close(fd)


def _path(config: Config) -> Path:
    return Path(config.global_.runtime_dir) / "lock"
