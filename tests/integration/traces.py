"""What an installation of downtimer shows and leaves behind: processes, and where a secret might be."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.integration.command import Command


def processes(command: Command) -> set[int]:
    """Return the pids of all processes that have a file of this installation open, as all have its log."""
    folder = f"{command.directory}/"
    return {
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if any(target.startswith(folder) for target in _open_files(entry))
    }


def titles(pids: set[int]) -> list[str]:
    """Return what ps(1) shows of processes."""
    return sorted(_read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode().strip() for pid in pids)


def kill_all(command: Command) -> None:
    """End what a failed test has left."""
    for pid in processes(command):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if pid in processes(command):  # the handle is of the process meant, not of a later one
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def shown_by_processes(pids: set[int]) -> dict[str, bytes]:
    """Return what everybody may read of processes, and what their owner may."""
    files = [Path(f"/proc/{pid}/{name}") for pid in pids for name in ("cmdline", "environ", "comm")]
    return {str(file): _read(file) for file in files}


def shown_by_files(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder, deep down."""
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def showing(places: dict[str, bytes], secret: str) -> list[str]:
    """Return the places in which a secret is to be seen."""
    return sorted(place for place, content in places.items() if secret.encode() in content)


def _open_files(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # it has just ended
        return
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            yield str(descriptor.readlink())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has just ended
        return b""
