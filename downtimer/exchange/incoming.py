"""Puts runs that came from elsewhere into the folder of journals: whole, or not at all.

The command `import` runs this. Journals are made in a folder of their own beside those that are kept, and
moved among these when all are complete.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from downtimer.durable import sync_folder
from downtimer.errors import StoreError
from downtimer.model import Run
from downtimer.store.facts import Facts
from downtimer.store.journal import JournalWriter, folder_of, journal_path

Arrival = tuple[Run, Iterable[Facts]]
"""A run with its facts, in parts. It is never gone on with here, whether or not it has an end."""

_PREFIX: Final = ".import-"


def put(state_dir: str, arrivals: Iterable[Arrival]) -> None:
    """Make the journals of some runs: of all, or of none.

    Args:
        state_dir: Where they shall be kept.
        arrivals: The runs, each with all its facts. What these raise passes through.

    Raises:
        StoreError: There is a run of such a name, or a journal can't be written.
    """
    folder = folder_of(state_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left_behind(folder)
        making = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=folder))
    except OSError as exc:
        raise StoreError(f"{folder}: cannot make a journal: {exc.strerror}") from exc
    try:
        for run, parts in arrivals:
            kept = Path(journal_path(state_dir, run.id))
            if kept.exists():
                removal = f"`downtimer runs --delete {run.id}` removes it"
                raise StoreError(f"run {run.id} is in {folder} already; {removal}")
            if (making / kept.name).exists():
                raise StoreError(f"two runs are called {run.id}")
            _write(str(making / kept.name), run, parts)
        for made in sorted(making.iterdir()):
            made.replace(folder / made.name)
        sync_folder(folder)
    except OSError as exc:
        raise StoreError(f"{folder}: cannot keep a journal: {exc.strerror}") from exc
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _write(path: str, run: Run, parts: Iterable[Facts]) -> None:
    writer = JournalWriter(path, run, ships=False)
    try:
        for facts in parts:
            writer.apply(facts)
        if run.end_ns is not None:
            writer.end_run(run.end_ns, interrupted=run.interrupted)
    finally:
        writer.close()


def _remove_left_behind(folder: Path) -> None:
    """Remove what an import that was killed has left."""
    for path in folder.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)
