"""The journal: SQLite, one file per run, ``STATE_DIR/runs/RUNID.sqlite``. What others use of it.

The modules behind it: `schema` (tables, version, opening), `recording` (writing), `reading`, `runs`
(the folder), `outbox` (what waits for InfluxDB).
"""

from downtimer.store.facts import Delivered, Facts
from downtimer.store.reading import JournalReader
from downtimer.store.recording import JournalWriter
from downtimer.store.runs import (
    LastRun,
    RunEntry,
    close_interrupted,
    delete_run,
    folder_of,
    journal_path,
    last_run,
    list_runs,
    prune,
)
from downtimer.store.schema import TransientStoreError

__all__ = [
    "Delivered",
    "Facts",
    "JournalReader",
    "JournalWriter",
    "LastRun",
    "RunEntry",
    "TransientStoreError",
    "close_interrupted",
    "delete_run",
    "folder_of",
    "journal_path",
    "last_run",
    "list_runs",
    "prune",
]
