"""The folders of a daemon, and the locks in them that tell that it lives.

Only one daemon per runtime folder, and only one per state folder: the runtime folder may be removed
while a daemon runs, and two configurations may share the state folder, yet a run must never be
measured, or removed, by two.
"""

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from downtimer.config import CONTROL_SOCKET, Config
from downtimer.errors import ConfigError, DowntimerError

_POLL_S: Final = 0.02
_LEAST: Final = 64 * 1024  # bytes that there must be room for: a journal without anything in it has so many
_NAME: Final = "lock"
_OURS: Final = frozenset({_NAME, CONTROL_SOCKET, "bus.sock", "points.sock"})
"""What is in a folder for sockets, also if a daemon was killed."""


class HeldError(DowntimerError):
    """Another process holds a lock; `holder` is its pid, as text."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is held by another downtimer (pid {holder})")
        self.holder = holder


def make_runtime_dir(config: Config) -> None:
    """Make the folder for sockets, or check that the one there is ours alone.

    With ``control_group`` its members may pass through, to what they know the name of and may use.

    Raises:
        ConfigError: It is a link, no folder, someone else's, where others could put another in its place,
            or cannot be made.
    """
    path = config.global_.runtime_dir
    option = f"{config.path}: [global] runtime_dir"
    try:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_parents(path, option)
        folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileExistsError, NotADirectoryError) as exc:
        if not os.path.lexists(path):
            raise ConfigError(f"{option}: cannot make {path}: {exc.strerror}") from exc
        raise ConfigError(f"{option}: {path} is a link or no folder; remove it") from exc
    except OSError as exc:
        raise ConfigError(f"{option}: cannot make {path}: {exc.strerror}") from exc
    try:
        owner = os.fstat(folder).st_uid
        if owner != os.geteuid():
            raise ConfigError(f"{option}: {path} belongs to user {owner}; choose another")
        _check_use(folder, path, option)
        _let_in(config, f"/proc/self/fd/{folder}")  # chmod(2) by a descriptor of this kind there is not
    finally:
        os.close(folder)


def _check_use(folder: int, path: str, option: str) -> None:
    """Check that a folder which is to be closed to others is used for nothing else.

    Raises:
        ConfigError: It is open to others, and has more in it than a daemon's.
    """
    mode = os.fstat(folder).st_mode
    strangers = {entry.name for entry in os.scandir(f"/proc/self/fd/{folder}")} - _OURS
    if strangers and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(
            f"{option}: {path} is open to others, and has {min(strangers)!r} in it; choose a folder that "
            "nothing else uses"
        )


def _let_in(config: Config, folder: str) -> None:
    """Open the folder for sockets to those who may command the daemon, and to nobody else."""
    group = config.global_.control_group
    path = config.global_.runtime_dir
    try:
        if group is not None:
            os.chown(folder, -1, group)
    except OSError as exc:
        raise ConfigError(
            f"{config.path}: [global] control_group: cannot give {path} to group {group}: {exc.strerror}; "
            "the daemon's user has to be a member"
        ) from exc
    try:
        Path(folder).chmod(0o700 if group is None else 0o710)
    except OSError as exc:
        raise ConfigError(f"{config.path}: [global] runtime_dir: {path}: {exc.strerror}") from exc


def _check_parents(path: str, option: str) -> None:
    """Check that nobody but ourselves and root may put something else in place of `path`.

    Raises:
        ConfigError: Somebody may.
        OSError: It can't be known.
    """
    trusted = {os.geteuid(), Path("/").stat().st_uid}  # not 0 where root is mapped to something else
    groups = {os.getegid(), 0}  # a user's own group, where each has one
    for parent in Path(path).parents:
        found = os.lstat(parent)
        if found.st_uid not in trusted:
            raise ConfigError(f"{option}: {parent} belongs to user {found.st_uid}; choose another folder")
        if stat.S_ISLNK(found.st_mode):
            _check_parents(str(parent.parent / parent.readlink() / Path(path).name), option)
        elif not found.st_mode & stat.S_ISVTX and (
            found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid not in groups)
        ):
            raise ConfigError(f"{option}: others may write in {parent}; choose another folder")


def make_state_dir(config: Config) -> None:
    """Make the folder for the runs, or check that we may write in it.

    Raises:
        ConfigError: It can't be.
    """
    path = Path(config.global_.state_dir) / "runs"
    try:
        make_folder(path)
        write_in(path)
    except OSError as exc:
        raise ConfigError(
            f"{config.path}: [global] state_dir: cannot write in {path}: {exc.strerror}"
        ) from exc


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, for the user and the group, whatever the umask.

    Raises:
        OSError: It can't be.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    else:
        path.chmod(0o750)


def check_report_file(config: Config) -> None:
    """Check that there may be a report, as far as that can be known before there is one.

    Raises:
        ConfigError: It can't be.
    """
    option = f"{config.path}: [global] report_file"
    try:
        path = Path(config.global_.report_file).resolve()
        if path.is_dir():
            raise ConfigError(f"{option}: {path} is a folder")
        if path.is_file() or not path.exists():  # else it is written to as it is
            write_in(path.parent)
    except (OSError, RuntimeError) as exc:  # links in a circle
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise ConfigError(f"{option}: cannot write {config.global_.report_file}: {reason}") from exc


def write_in(folder: Path) -> None:
    """Write a file in a folder, which is gone at once.

    Raises:
        OSError: It can't be.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(_LEAST))
        os.fsync(file.fileno())


def take_locks(config: Config) -> None:
    """Take both locks for the life of this process: the kernel releases them at its very end.

    Raises:
        ConfigError: There are no two folders for them.
        DowntimerError: Another daemon holds one.
    """
    runtime_dir, state_dir = config.global_.runtime_dir, config.global_.state_dir
    if Path(runtime_dir).samefile(state_dir):
        raise ConfigError(
            f"{config.path}: [global] runtime_dir: is the folder of state_dir; they must differ"
        )
    try:
        take(runtime_dir)
    except HeldError as exc:
        raise DowntimerError(
            f"a daemon runs already (pid {exc.holder}); `downtimer status` shows it, `downtimer stop` ends it"
        ) from exc
    try:
        take(state_dir)
    except HeldError as exc:
        raise DowntimerError(
            f"{config.path}: [global] state_dir: {state_dir} is in use by a downtimer whose runtime_dir is "
            f"another, or was removed (pid {exc.holder}); `kill {exc.holder}` ends it, with a report"
        ) from exc


def take(folder: str) -> int:
    """Take the lock of a folder, until the descriptor that is returned is closed.

    Raises:
        HeldError: Another process holds it.
        ConfigError: There can be no lock in it.
    """
    path = Path(folder) / _NAME
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise ConfigError(f"cannot lock {path}: {exc.strerror}") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.read(fd, 20).decode("ascii", "replace").strip()
        os.close(fd)
        raise HeldError(path, holder) from exc
    try:
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
    except OSError as exc:
        os.close(fd)
        raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc
    return fd


def holder(folder: str) -> str | None:
    """Return the pid, as text, of the daemon that has a folder; None if none has, or that can't be known."""
    try:
        fd = os.open(Path(folder) / _NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # whoever only asks makes none
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(fd, 20).decode("ascii", "replace").strip()
    finally:
        os.close(fd)
    return None


@contextlib.contextmanager
def measuring_nowhere(state_dir: str) -> Iterator[None]:
    """Make sure that no daemon measures into this folder, and that none begins to.

    Raises:
        HeldError: One does.
        ConfigError: There can be no lock in it.
    """
    fd = take(state_dir)
    try:
        yield
    finally:
        os.close(fd)


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
    return Path(config.global_.runtime_dir) / _NAME
