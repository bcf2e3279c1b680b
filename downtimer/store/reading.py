"""Reads a journal: one run as it stood when it was opened, also while the writer is writing."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from downtimer.errors import StoreError
from downtimer.messages import SpanFact
from downtimer.model import Event, Incarnation, Mark, Run, RunId, Span, TargetId, TargetState
from downtimer.store.schema import VERDICTS, connect_to_read, translated

_SPANS: Final = """
SELECT target.id, span."check", span.verdict, span.first_ns, span.length_ns, span.probes, span.widest_ns,
    span.causes, span.max_gap_ns, span.dated_ns, span.incarnation, span.is_open,
    span.watched_ns, CASE WHEN span.is_open THEN progress.through_ns - progress.interval_ns END,
    progress.widest_ns
FROM target CROSS JOIN span ON span.target = target.key
    LEFT JOIN progress ON progress.incarnation = span.incarnation AND progress."check" = span."check"
WHERE target.state IS NOT NULL
"""
_ORDER: Final = """ORDER BY target.id, span."check", span.first_ns"""

_NO_CAUSES: Final[Mapping[str, int]] = {}
_CAUSES: Final = msgspec.json.Decoder(dict[str, int])
_STATE: Final = msgspec.json.Decoder(TargetState)


class JournalReader:
    """One run, read from its journal; a `downtimer.store.reader.Reader`.

    Everything is read in one transaction, so it is of one piece. A target that a worker has probed
    before the writer heard of it is passed over, with its spans; that lasts for a moment only.
    """

    def __init__(self, path: str) -> None:
        """Open the journal.

        Raises:
            StoreError: It can't be opened, or is none of ours.
        """
        self._path = path
        self._connection = connect_to_read(path)
        with translated(path):
            self._connection.execute("BEGIN")
            self._run = read_run(self._connection, path)

    def run(self) -> Run:
        """Return the run itself."""
        return self._run

    def targets(self) -> Iterator[TargetState]:
        """Yield every target of the run, ordered by target id."""
        query = "SELECT state FROM target WHERE state IS NOT NULL ORDER BY id"
        with translated(self._path):
            for (state,) in self._connection.execute(query):
                yield _STATE.decode(state)

    def spans(self, prefix: str = "") -> Iterator[Span]:
        """Yield every span, ordered by target, check and first_sent_ns; ends are effective."""
        with translated(self._path):
            for fact in read_spans(self._connection, prefix=prefix):
                yield fact.span

    def marks(self) -> list[Mark]:
        """Return the user's marks, ordered by instant."""
        with translated(self._path):
            return read_marks(self._connection)

    def events(self) -> list[Event]:
        """Return the events, ordered by instant."""
        with translated(self._path):
            return read_events(self._connection)

    def through_ns(self) -> int:
        """Return up to when everything is recorded; 0 if nothing is."""
        with translated(self._path):
            return read_through_ns(self._connection)

    def notes(self) -> list[str]:
        """Return nothing: the journal is complete."""
        return []

    def close(self) -> None:
        """Close the file; the iterators end with it."""
        self._connection.close()


def read_run(connection: sqlite3.Connection, path: str) -> Run:
    """Return the run that a journal is of.

    Raises:
        StoreError: It is of none: its making was cut off.
    """
    query = """SELECT id, label, vantage, cloud, start_utc_ns, boot_origin_ns, boot_id, end_ns, interrupted
        FROM run"""
    row = connection.execute(query).fetchone()
    if row is None:
        raise StoreError(f"{path}: a journal without a run; it was cut off while it was made")
    run_id, label, vantage, cloud, start_utc_ns, boot_origin_ns, boot_id, end_ns, interrupted = row
    return Run(
        id=RunId(run_id),
        label=label,
        vantage=vantage,
        cloud=cloud,
        start_utc_ns=start_utc_ns,
        boot_origin_ns=boot_origin_ns,
        boot_id=boot_id,
        end_ns=end_ns,
        interrupted=bool(interrupted),
    )


def read_marks(connection: sqlite3.Connection) -> list[Mark]:
    """Return all marks, ordered."""
    rows = connection.execute("SELECT at_ns, text FROM mark ORDER BY at_ns, text")
    return [Mark(at_ns=at_ns, text=text) for at_ns, text in rows]


def read_events(connection: sqlite3.Connection) -> list[Event]:
    """Return all events, ordered."""
    rows = connection.execute("SELECT at_ns, kind, text FROM event ORDER BY at_ns, kind, text")
    return [Event(at_ns=at_ns, kind=kind, text=text) for at_ns, kind, text in rows]


def read_spans(
    connection: sqlite3.Connection, *, only_open: bool = False, prefix: str = ""
) -> Iterator[SpanFact]:
    """Yield spans with their effective ends, in order, without holding them.

    Args:
        connection: The journal's.
        only_open: Only those that may still grow.
        prefix: Only those of targets whose id begins so.
    """
    names = _incarnations(connection)
    condition = "AND span.is_open " if only_open else ""
    if prefix:
        condition += "AND target.id >= :from AND target.id < :to "
    bounds = {"from": prefix, "to": f"{prefix}{chr(0x10FFFF)}"}
    for row in connection.execute(f"{_SPANS}{condition}{_ORDER}", bounds if prefix else {}):
        yield _fact(row, names)


def read_spans_before(
    connection: sqlite3.Connection, target_key: int, check: str, first_ns: int
) -> Iterator[Span]:
    """Yield the spans of one check backwards from the one that begins at `first_ns`, that one included."""
    names = _incarnations(connection)
    condition = 'AND target.key = ? AND span."check" = ? AND span.first_ns <= ? ORDER BY span.first_ns DESC'
    for row in connection.execute(f"{_SPANS}{condition}", (target_key, check, first_ns)):
        yield _fact(row, names).span


def read_through_ns(connection: sqlite3.Connection) -> int:
    """Return the largest progress or end of a span; 0 if there is none."""
    query = """SELECT max(
        coalesce((SELECT max(through_ns) FROM progress), 0),
        coalesce((SELECT max(first_ns + length_ns) FROM span), 0))"""
    (through_ns,) = connection.execute(query).fetchone()
    return int(through_ns)


def _incarnations(connection: sqlite3.Connection) -> dict[int, Incarnation]:
    return dict(connection.execute("SELECT key, name FROM incarnation").fetchall())


def _fact(row: tuple[Any, ...], names: Mapping[int, Incarnation]) -> SpanFact:
    (
        target,
        check,
        verdict,
        first_ns,
        length_ns,
        probes,
        widest_ns,
        causes,
        max_gap_ns,
        dated_ns,
        worker,
        is_open,
        watched_ns,
        grown_ns,
        widest_of_worker_ns,
    ) = row
    span = Span(
        target=TargetId(target),
        check=check,
        verdict=VERDICTS[verdict],
        first_sent_ns=first_ns,
        last_sent_ns=first_ns + length_ns,
        probes=probes,
        widest_ns=widest_ns,
        causes=_NO_CAUSES if causes is None else _CAUSES.decode(causes),
        max_gap_ns=max_gap_ns,
        dated_ns=dated_ns,
        watched_ns=watched_ns,
        incarnation=names[worker] if worker is not None else Incarnation(""),
    )
    if grown_ns is not None:
        span = span.grown(grown_ns, widest_of_worker_ns)
    return SpanFact(span, bool(is_open))
