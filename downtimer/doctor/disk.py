"""Is there room, and may we write where a run will? Nothing is made that stays."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from downtimer.config import Config
from downtimer.doctor.finding import Finding, fail, ok, warn
from downtimer.errors import ConfigError
from downtimer.supervisor.lock import check_report_file, write_in

DISK: Final = "disk"
FILES: Final = "files"

_BASE_BYTES: Final = 10_000_000
_SERVICE_BYTES: Final = 2_000_000
_ADDRESS_BYTES: Final = 10_000
"""Of a day at most: as ``make bench`` bounds it, 100 MB for 10,000 addresses of which some always fail."""

_OUTBOX_BYTES: Final = 1 << 30
"""What may wait for an InfluxDB that is away."""

_LEAST_BYTES: Final = 64 << 20
_GIGABYTE: Final = 1_000_000_000


def journal_bytes(services: int, addresses: int, *, has_db: bool) -> int:
    """Return how large the journal of a day may become."""
    size = _BASE_BYTES + services * _SERVICE_BYTES + addresses * _ADDRESS_BYTES
    return size + (_OUTBOX_BYTES if has_db else 0)


def judge_room(folder: str, free: int, wanted: int | None) -> Finding:
    """Say whether there is room for a day's journal; None: nobody knows yet how large it becomes."""
    room = f"{folder}: {_size(free)} are free"
    if wanted is not None:
        room += f"; a day's journal takes {_size(wanted)} at most"
    if free < _LEAST_BYTES:
        return fail(DISK, room, "make room, or choose another [global] state_dir")
    if wanted is not None and free < wanted:
        return warn(DISK, room, "make room, or choose another [global] state_dir")
    return ok(DISK, room)


def _size(size: int) -> str:
    """Return a size as people say it."""
    return f"{size / 1e9:.1f} GB" if size >= _GIGABYTE else f"{size / 1e6:.0f} MB"


def examine(config: Config, services: int, addresses: int) -> Iterator[Finding]:
    """Look at the folders of the state, the log and the report.

    Args:
        config: Which names them.
        services: So many would be measured.
        addresses: Likewise; of neither any: what would be is not known.
    """
    section = config.global_
    runs = Path(section.state_dir) / "runs"
    wanted = None
    if services or addresses:
        wanted = journal_bytes(services, addresses, has_db=config.db is not None)
    yield judge_room(section.state_dir, shutil.disk_usage(_nearest(runs)).free, wanted)
    problems = {
        "state_dir": _why_not_in(runs),
        "runtime_dir": _why_not_in(Path(section.runtime_dir)),
        "log_file": _why_no_file(Path(section.log_file)),
        "report_file": _why_no_report(config),
    }
    for option, why in problems.items():
        if why is not None:
            yield fail(
                FILES, f"{config.path}: [global] {option}: {why}", "choose another, or give it to this user"
            )
    if not any(problems.values()):
        yield ok(
            FILES, f"state, sockets, log and report can be written, in {section.state_dir} and elsewhere"
        )


def _nearest(path: Path) -> Path:
    """Return the folder that is there already, nearest to one that would be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _why_not_in(folder: Path) -> str | None:
    """Return why no file can be made in a folder, which a start makes if it is missing."""
    there = _nearest(folder)
    if not there.is_dir():
        return f"{there} is no folder"
    if there != folder:
        is_open = os.access(there, os.W_OK | os.X_OK)
        return None if is_open else f"cannot make {folder}: no permission to write in {there}"
    try:
        write_in(folder)
    except OSError as exc:
        return f"cannot write in {folder}: {exc.strerror}"
    return None


def _why_no_file(path: Path) -> str | None:
    """Return why nothing can be added to a file."""
    if path.is_dir():
        return f"{path} is a folder"
    if path.exists():
        return None if os.access(path, os.W_OK) else f"no permission to write {path}"
    return _why_not_in(path.parent)


def _why_no_report(config: Config) -> str | None:
    """Return why there can be no report; a folder that is missing may be one that a start makes."""
    path = Path(config.global_.report_file)
    if not path.parent.exists() and _is_made(path.parent, config):
        return _why_not_in(path.parent)
    try:
        check_report_file(config)
    except ConfigError as exc:
        return str(exc).partition("report_file: ")[2]
    return None


def _is_made(folder: Path, config: Config) -> bool:
    """Tell whether a start makes that folder, for its state or its log is in it."""
    made = (Path(config.global_.state_dir), Path(config.global_.log_file).parent)
    return any(folder in (one, *one.parents) for one in made)
