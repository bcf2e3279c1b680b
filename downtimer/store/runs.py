"""The folder of journals: which runs there are, and which may go.

Runs that were imported are among them. None of these is the last run, which a start may go on with, nor is
one removed for being old.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from downtimer.errors import StoreError
from downtimer.model import Run, RunId
from downtimer.pauses import paused_since_ns
from downtimer.store.reading import read_events, read_run, read_through_ns
from downtimer.store.recording import JournalWriter, file_size
from downtimer.store.schema import SUFFIX, connect_to_read, translated


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """A run as listed.

    Attributes:
        id: Its name, which is its file's.
        path: Its journal.
        size_bytes: Of the journal on disk.
        label: The user's words for it; may be empty.
        start_utc_ns: UTC of its start, ns since the epoch; 0 where `error` is set.
        end_ns: Its end, ns since its start; None while it runs or if it was cut off.
        interrupted: It was cut off and closed later.
        is_imported: It came from a file.
        targets: How many services and addresses.
        backlog: Points that wait for InfluxDB.
        error: Why the file can't be read, one line; None if it can.
    """

    id: RunId
    path: str
    size_bytes: int
    label: str = ""
    start_utc_ns: int = 0
    end_ns: int | None = None
    interrupted: bool = False
    is_imported: bool = False
    targets: int = 0
    backlog: int = 0
    error: str | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the run goes on, or was cut off."""
        return self.error is None and self.end_ns is None and not self.is_imported


@dataclass(frozen=True, slots=True)
class LastRun:
    """The run that was begun last.

    Attributes:
        run: As its journal has it; its `end_ns` is None if it was cut off (or is still going on).
        path: Its journal.
        through_ns: Up to when everything is recorded.
        paused_ns: Since when it is paused; None if it is not.
    """

    run: Run
    path: str
    through_ns: int
    paused_ns: int | None = None


def list_runs(state_dir: str) -> list[RunEntry]:
    """Return the runs, the oldest first. A file that is no journal is listed with its error.

    Raises:
        StoreError: The folder can't be read.
    """
    return [_entry(path) for path in _journals(state_dir)]


def last_run(state_dir: str) -> LastRun | None:
    """Return the run that was begun last here, None if there is none; files that can't be read don't count.

    Raises:
        StoreError: The folder can't be read.
    """
    found = [entry for entry in list_runs(state_dir) if entry.error is None and not entry.is_imported]
    if not found:
        return None
    entry = max(found, key=lambda entry: (entry.start_utc_ns, entry.id))
    with _reading(entry.path) as connection:
        paused_ns = paused_since_ns(read_events(connection))
        through_ns = max(read_through_ns(connection), paused_ns or 0)
        return LastRun(read_run(connection, entry.path), entry.path, through_ns, paused_ns)


def folder_of(state_dir: str) -> Path:
    """Return the folder of the journals."""
    return Path(state_dir) / "runs"


def journal_path(state_dir: str, run: RunId) -> str:
    """Return where the journal of a run is, or would be."""
    return str(folder_of(state_dir) / f"{run}{SUFFIX}")


def close_interrupted(last: LastRun) -> None:
    """End a run that was cut off, as of its last record.

    Raises:
        StoreError: Its journal can't be written.
    """
    with _reading(last.path) as connection:
        (ships,) = connection.execute("SELECT ships FROM run").fetchone()
    writer = JournalWriter(last.path, last.run, ships=bool(ships))
    try:
        writer.end_run(last.through_ns, interrupted=True)
    finally:
        writer.close()


def delete_run(state_dir: str, run: RunId) -> None:
    """Remove a run. That it isn't under way is for the caller to know.

    Raises:
        StoreError: There is no such run, or it can't be removed.
    """
    for path in _journals(state_dir):
        if path.stem == run:
            _remove(path)
            return
    raise StoreError(f"no run {run} in {folder_of(state_dir)}; `downtimer runs` lists them")


def prune(state_dir: str, keep: int, *, never: RunId) -> list[RunEntry]:
    """Remove the oldest runs beyond `keep`, and return which.

    Args:
        state_dir: Where the runs are.
        keep: So many stay, `never` among them if it is there.
        never: A run that stays in any case. So do those that were imported, and files that are no journals.

    Raises:
        StoreError: One can't be removed.
    """
    entries = [entry for entry in list_runs(state_dir) if entry.error is None and not entry.is_imported]
    entries.sort(key=lambda entry: (entry.id == never, entry.start_utc_ns, entry.id))
    removed = [entry for entry in entries[: max(0, len(entries) - keep)] if entry.id != never]
    for entry in removed:
        _remove(Path(entry.path))
    return removed


def _journals(state_dir: str) -> list[Path]:
    folder = folder_of(state_dir)
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise StoreError(f"{folder}: cannot list the runs: {exc.strerror}") from exc


def _entry(path: Path) -> RunEntry:
    name, text = RunId(path.stem), str(path)
    size_bytes = file_size(text)
    query = """SELECT (SELECT count(*) FROM target
            WHERE state IS NOT NULL AND id NOT LIKE 'agent/%' AND id NOT LIKE 'reference/%'),
        (SELECT coalesce(sum(points), 0) FROM outbox)"""
    try:
        with _reading(text) as connection:
            run = read_run(connection, text)
            targets, backlog = connection.execute(query).fetchone()
    except StoreError as exc:
        return RunEntry(id=name, path=text, size_bytes=size_bytes, error=str(exc))
    return RunEntry(
        id=name,
        path=text,
        size_bytes=size_bytes,
        label=run.label,
        start_utc_ns=run.start_utc_ns,
        end_ns=run.end_ns,
        interrupted=run.interrupted,
        is_imported=run.is_imported,
        targets=targets,
        backlog=backlog,
    )


@contextlib.contextmanager
def _reading(path: str) -> Iterator[sqlite3.Connection]:
    connection = connect_to_read(path)
    try:
        with translated(path):
            yield connection
    finally:
        connection.close()


def _remove(path: Path) -> None:
    """Remove a journal; the helper files first, so that none is ever left without it."""
    try:
        for name in (f"{path}-wal", f"{path}-shm", f"{path}-journal"):
            Path(name).unlink(missing_ok=True)
        path.unlink()
    except OSError as exc:
        raise StoreError(f"{path}: cannot remove the run: {exc.strerror}") from exc
