"""Puts a report where it belongs: whole, or not at all."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from downtimer.durable import sync_folder
from downtimer.errors import ConfigError, DowntimerError


def check_output(given: str) -> None:
    """Check that the file of ``--output`` can be written, as far as that can be known before there is a text.

    Raises:
        ConfigError: It can't be.
    """
    try:
        path = Path(given).resolve()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.is_file() or not path.exists():
            tempfile.TemporaryFile(dir=path.parent).close()
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, RuntimeError, ValueError) as exc:  # links in a circle, a NUL
        raise ConfigError(f"--output {given}: cannot be written: {_reason(exc)}") from exc


def write_atomically(
    path: Path, chunks: Iterable[str], *, mode: int = 0o640, what: str = "the report"
) -> None:
    """Replace the file at `path` by the text; a reader sees the old or the new one, never a part.

    Args:
        path: Of the file; where it is a link, what that points to is replaced. What is there and
            no regular file (``/dev/stdout``) is written to as it is.
        chunks: The text, in order. What they raise passes through; the old file stays.
        mode: Of the new file.
        what: It is, for errors.

    Raises:
        DowntimerError: It could not be written; the old file stays.
    """
    try:
        path = path.resolve()
        if path.exists() and not path.is_file():
            path.write_text("".join(chunks), encoding="utf-8", errors="backslashreplace")
            return
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except (OSError, RuntimeError) as exc:
        raise _failure(path, what, exc) from exc
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(chunks)
            file.flush()
            os.fchmod(handle, mode)
            os.fsync(handle)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as exc:
        raise _failure(path, what, exc) from exc
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _failure(path: Path, what: str, exc: Exception) -> DowntimerError:
    return DowntimerError(f"cannot write {what} {path}: {_reason(exc)}")


def _reason(exc: Exception) -> str:
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
