"""The journal's file: its tables, its version, and how it is opened. Only the store uses this.

SQLite in WAL mode while a run is measured: one process writes, any number read, none waits. The
application id tells a journal from any other file; the user version counts the layouts. A reader
takes its own layout only. A writer lifts an older one, a step of `_MIGRATIONS` and its new number
in one transaction; a newer one is refused by both, in words that say so.

Texts that repeat are stored once and referred to by number: a target's id, a worker's incarnation.
A span has its end as a length and its verdict as a digit.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from downtimer import messages
from downtimer.errors import StoreError

APPLICATION_ID: Final = 0x646F776E  # "down"
VERSION: Final = 4
BUSY_S: Final = 10.0
SUFFIX: Final = ".sqlite"

VERDICTS: Final = messages.VERDICTS
"""A span's verdict is stored as its index here."""

_WAL_LIMIT: Final = 16 * 1024 * 1024
_TRANSIENT: Final = frozenset(
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,  # a disk that has failed is mounted anew like that
        sqlite3.SQLITE_CANTOPEN,
    ]
)
_PROGRESS: Final = """
CREATE TABLE progress (
    incarnation INTEGER NOT NULL,
    "check" TEXT NOT NULL,
    through_ns INTEGER NOT NULL,
    interval_ns INTEGER NOT NULL,
    widest_ns INTEGER NOT NULL,
    PRIMARY KEY (incarnation, "check")
) WITHOUT ROWID;
"""
_OUTBOX: Final = """
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the shipper remembers how far it is
    points INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    lines TEXT NOT NULL  -- of line protocol, divided by line breaks; one that has any is alone in its row
);
"""
_MIGRATIONS: Final[Mapping[int, str]] = {
    # Progress was by worker; it held for all checks alike.
    1: _PROGRESS
    + """
INSERT INTO progress SELECT DISTINCT span.incarnation, span."check", worker.through_ns, worker.interval_ns,
    worker.widest_ns
FROM span JOIN incarnation AS worker ON worker.key = span.incarnation WHERE worker.through_ns IS NOT NULL;
ALTER TABLE incarnation DROP COLUMN through_ns;
ALTER TABLE incarnation DROP COLUMN interval_ns;
ALTER TABLE incarnation DROP COLUMN widest_ns;
""",
    # Until when a probe that hung was watched was not known.
    2: "ALTER TABLE span ADD COLUMN watched_ns INTEGER;",
    # What waits for InfluxDB was JSON arrays of lines.
    3: "ALTER TABLE outbox RENAME TO former;\n"
    + _OUTBOX
    + """
INSERT INTO outbox (points, bytes, lines) SELECT 1, length(CAST(value AS BLOB)), value
FROM former, json_each(former.lines) ORDER BY former.id, json_each.key;
DROP TABLE former;
""",
}
"""By the version they start from, the statements that lead to the next."""

_TABLES: Final = f"""
CREATE TABLE run (
    id TEXT NOT NULL,
    label TEXT NOT NULL,
    vantage TEXT NOT NULL,
    cloud TEXT NOT NULL,
    start_utc_ns INTEGER NOT NULL,
    boot_origin_ns INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    end_ns INTEGER,
    interrupted INTEGER NOT NULL DEFAULT 0,
    ships INTEGER NOT NULL DEFAULT 0  -- its facts go to InfluxDB too
);
CREATE TABLE target (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 0,  -- counts the states
    state TEXT  -- JSON; NULL until it is known
);
CREATE TABLE incarnation (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
{_PROGRESS}CREATE TABLE span (
    target INTEGER NOT NULL,
    "check" TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    length_ns INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    probes INTEGER NOT NULL,
    widest_ns INTEGER NOT NULL,
    causes TEXT,  -- JSON; NULL for none
    max_gap_ns INTEGER NOT NULL,
    dated_ns INTEGER,
    incarnation INTEGER,
    is_open INTEGER NOT NULL,
    watched_ns INTEGER,
    PRIMARY KEY (target, "check", first_ns)
) WITHOUT ROWID;
CREATE TABLE latency (
    target INTEGER NOT NULL,
    "check" TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    min_ns INTEGER NOT NULL,
    median_ns INTEGER NOT NULL,
    max_ns INTEGER NOT NULL,
    PRIMARY KEY (target, "check", start_ns)
) WITHOUT ROWID;
CREATE TABLE mark (
    at_ns INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (at_ns, text)
) WITHOUT ROWID;
CREATE TABLE event (
    at_ns INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (at_ns, kind, text)
) WITHOUT ROWID;
{_OUTBOX}CREATE TABLE rejected (
    id INTEGER PRIMARY KEY, error TEXT NOT NULL, line TEXT NOT NULL
);
CREATE TABLE counter (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL
) WITHOUT ROWID;
"""


class TransientStoreError(StoreError):
    """The journal can't be written now (disk full, locked), but may be later."""


def connect(path: str, *, create: bool = False) -> sqlite3.Connection:
    """Open a journal for writing; its layout is made, or lifted to ours.

    Args:
        path: The file.
        create: Make it if it is missing.

    Raises:
        StoreError: It can't be opened, or is no journal of ours.
    """
    with translated(path):
        connection = _open(path, "rwc" if create else "rw")
        try:
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_read(path: str) -> sqlite3.Connection:
    """Open a journal read-only. If its last change was cut off halfway outside of WAL mode, that is undone.

    Raises:
        StoreError: It can't be opened, or is no journal of ours.
    """
    with translated(path):
        try:
            return _connect_to_read(path)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        _roll_back(path)
        return _connect_to_read(path)


def _connect_to_read(path: str) -> sqlite3.Connection:
    connection = _open(path, "ro")
    try:
        _check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _roll_back(path: str) -> None:
    """Have SQLite undo what was cut off; that takes a connection that may write, whatever it asks."""
    connection = _open(path, "rw")
    try:
        connection.execute("PRAGMA schema_version")
    finally:
        connection.close()


def scratch() -> sqlite3.Connection:
    """Open tables for as long as the connection is; SQLite keeps on disk what is large."""
    connection = sqlite3.connect("", isolation_level=None)
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    return connection


def disconnect(connection: sqlite3.Connection, *, for_good: bool) -> None:
    """Close a journal opened for writing.

    Args:
        connection: The journal's.
        for_good: The run has ended: leave one plain file, which can be read, and copied, without the
            helper files that WAL mode needs. Someone who reads at this moment prevents it; no harm.
    """
    try:
        if for_good:
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` would free a single page
            connection.execute("PRAGMA busy_timeout = 100")
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        pass  # it stays in WAL mode
    finally:
        connection.close()


def unmade(path: str) -> StoreError:
    """Return what is to be said of a journal that is of no run yet."""
    name = Path(path).stem
    return StoreError(
        f"{path}: no run is in it, since it was cut off while it was made; "
        f"`downtimer runs --delete {name}` removes it"
    )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have ended it already
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what SQLite raises into our error, one line that names the file."""
    try:
        yield
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        kind = TransientStoreError if code in _TRANSIENT else StoreError
        raise kind(f"{path}: {exc}") from exc


def _open(path: str, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(Path(path).absolute()))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make or lift the layout, and set how the file is written."""
    is_new = _is_empty(connection)
    if is_new:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # what the outbox needed is given back
    version = 0 if is_new else _version(connection, path)
    with suppress(sqlite3.OperationalError):  # somebody reads an ended run: it will do without
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # On in Debian: what is deleted, such as points once they are shipped, would be written once more.
    connection.execute("PRAGMA secure_delete = OFF")
    if is_new:
        _take_step(connection, _TABLES, VERSION)
    for step in range(version, VERSION) if version else ():
        _take_step(connection, _MIGRATIONS[step], step + 1)


def _take_step(connection: sqlite3.Connection, statements: str, version: int) -> None:
    """Change the layout and its number together; `executescript` would commit in between."""
    with transaction(connection):
        for statement in statements.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Tell whether there is not one table in it."""
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(count) == 0


def _check_version(connection: sqlite3.Connection, path: str) -> None:
    version = _version(connection, path)
    if version != VERSION:
        raise StoreError(f"{path}: written by an older downtimer (layout {version}, now {VERSION})")


def _version(connection: sqlite3.Connection, path: str) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == 0 and _is_empty(connection):
        raise unmade(path)
    if application != APPLICATION_ID or not isinstance(version, int):
        raise StoreError(f"{path}: not a journal of downtimer")
    if version > VERSION:
        raise StoreError(f"{path}: written by a newer downtimer (layout {version}; this one knows {VERSION})")
    return version
