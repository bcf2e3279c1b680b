"""Reads a journal: one run as it stood when it was opened, also while the writer is writing."""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from downtimer.intervals import Interval
from downtimer.messages import SpanFact
from downtimer.model import (
    Event,
    Incarnation,
    Latency,
    Mark,
    Run,
    RunId,
    Span,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.store.schema import VERDICTS, connect_to_read, translated, unmade

_STATES: Final = "SELECT state FROM target WHERE state IS NOT NULL ORDER BY id"
_KEY_AND_STATE: Final = "SELECT key, state FROM target WHERE id = ?"
_COLUMNS: Final = """span."check", verdict, first_ns, length_ns, probes, span.widest_ns, causes, max_gap_ns,
    dated_ns, watched_ns, incarnation, is_open"""
_OF_TARGET: Final = f'SELECT {_COLUMNS} FROM span WHERE target = ? ORDER BY "check", first_ns'  # noqa: S608
_OF_ALL: Final = f"""
SELECT target.id, {_COLUMNS} FROM target CROSS JOIN span ON span.target = target.key
WHERE target.state IS NOT NULL
"""  # noqa: S608 - as all of these, made of what stands here
_ORDER: Final = """ORDER BY target.id, span."check", span.first_ns"""
_DOWN: Final = f"""
SELECT target, first_ns FROM span WHERE verdict = {VERDICTS.index(Verdict.DOWN)} AND first_ns BETWEEN ? AND ?
"""  # noqa: S608

_LATENCIES: Final = """
SELECT "check", start_ns, answers, min_ns, median_ns, max_ns FROM latency JOIN target ON target = key
WHERE target.id = ? ORDER BY "check", start_ns
"""

_NO_CAUSES: Final[Mapping[str, int]] = {}
_CAUSES: Final = msgspec.json.Decoder(dict[str, int])
_STATE: Final = msgspec.json.Decoder(TargetState)

_Row = Sequence[Any]
_Stored = tuple[TargetId, str, Sequence[_Row]]


class TableReader:
    """The targets and spans of one run, read from the tables of a journal, wherever these are.

    Everything is read in one transaction, so it is of one piece. A target that a worker has probed
    before the writer heard of it is passed over, with its spans; that lasts for a moment only.

    Args:
        connection: Has the tables. The reader closes it.
        where: They are, for errors.
    """

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        with translated(where):
            connection.execute("BEGIN")
            self._lives = _Lives(connection)

    def targets(self) -> Iterator[TargetState]:
        """Yield every target of the run, ordered by target id."""
        with translated(self._where):
            for (state,) in self._connection.execute(_STATES):
                yield _STATE.decode(state)

    def with_spans(self, targets: Iterable[TargetId]) -> Iterator[tuple[TargetState, list[Span]]]:
        """Yield targets, each with its spans by check and first_sent_ns, in the order asked for."""
        return map(self.decode, self.stored(targets))

    def stored(self, targets: Iterable[TargetId]) -> Iterator[_Stored]:
        """Yield targets as they are stored, in the order asked for."""
        for target in targets:
            with translated(self._where):
                key, state = self._connection.execute(_KEY_AND_STATE, (target,)).fetchone()
                rows = self._connection.execute(_OF_TARGET, (key,)).fetchall()
            yield target, state, rows

    def decode(self, stored: _Stored) -> tuple[TargetState, list[Span]]:
        """Return a stored target with its spans. Asks the connection for nothing."""
        target, state, rows = stored
        return _STATE.decode(state), list(_spans(target, rows, self._lives))

    def spans(self) -> Iterator[Span]:
        """Yield every span, ordered by target, check and first_sent_ns."""
        with translated(self._where):
            for fact in read_spans(self._connection):
                yield fact.span

    def failing(self, times: Sequence[Interval]) -> list[TargetId]:
        """Return those targets of which failed spans begin within one of these times, ordered by id.

        Args:
            times: In order, none overlapping another.
        """
        if not times:
            return []
        starts = [start_ns for start_ns, _ in times]
        with translated(self._where):
            begun = self._connection.execute(_DOWN, (starts[0], times[-1][1]))
            keys = {key for key, at_ns in begun if at_ns <= times[bisect_right(starts, at_ns) - 1][1]}
            named = self._connection.execute("SELECT key, id FROM target WHERE state IS NOT NULL")
            return sorted(TargetId(target) for key, target in named if key in keys)

    def count_strays(self) -> int:
        """Return how many targets are known by their spans only."""
        query = "SELECT count(*) FROM target WHERE state IS NULL AND key IN (SELECT target FROM span)"
        with translated(self._where):
            (count,) = self._connection.execute(query).fetchone()
            return int(count)

    def through_ns(self) -> int:
        """Return up to when everything is recorded; 0 if nothing is."""
        with translated(self._where):
            return read_through_ns(self._connection)

    def tells_progress(self) -> bool:
        """Tell whether it was ever said up to when everything is recorded."""
        with translated(self._where):
            (found,) = self._connection.execute("SELECT EXISTS (SELECT 1 FROM progress)").fetchone()
            return bool(found)

    def close(self) -> None:
        """Close the connection; the iterators end with it."""
        self._connection.close()


class JournalReader(TableReader):
    """One run, read from its journal; a `downtimer.store.reader.Reader`."""

    def __init__(self, path: str) -> None:
        """Open the journal.

        Raises:
            StoreError: It can't be opened, or is none of ours.
        """
        connection = connect_to_read(path)
        try:
            super().__init__(connection, path)
            with translated(path):
                self._run = read_run(connection, path)
        except BaseException:
            connection.close()
            raise

    def run(self) -> Run:
        """Return the run itself."""
        return self._run

    def latencies(self, target: TargetId) -> list[Latency]:
        """Return how soon a service answered, ordered by check and start_ns."""
        with translated(self._where):
            return list(map(Latency._make, self._connection.execute(_LATENCIES, (target,))))

    def marks(self) -> list[Mark]:
        """Return the user's marks, ordered by instant."""
        with translated(self._where):
            return read_marks(self._connection)

    def events(self) -> list[Event]:
        """Return the events, ordered by instant."""
        with translated(self._where):
            return read_events(self._connection)

    def notes(self) -> list[str]:
        """Return nothing: the journal is complete."""
        return []


def read_run(connection: sqlite3.Connection, path: str) -> Run:
    """Return the run that a journal is of.

    Raises:
        StoreError: It is of none: its making was cut off.
    """
    query = """SELECT id, label, vantage, cloud, start_utc_ns, boot_origin_ns, boot_id, end_ns, interrupted
        FROM run"""
    row = connection.execute(query).fetchone()
    if row is None:
        raise unmade(path)
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


def read_spans(connection: sqlite3.Connection, *, only_open: bool = False) -> Iterator[SpanFact]:
    """Yield spans with their effective ends, in order, without holding them.

    Args:
        connection: The journal's.
        only_open: Only those that may still grow.
    """
    lives = _Lives(connection)
    condition = "AND is_open " if only_open else ""
    for target, *row in connection.execute(f"{_OF_ALL}{condition}{_ORDER}"):
        for span in _spans(target, [row], lives):
            yield SpanFact(span, bool(row[-1]))


def read_spans_before(
    connection: sqlite3.Connection, target_key: int, check: str, first_ns: int
) -> Iterator[Span]:
    """Yield the spans of one check backwards from the one that begins at `first_ns`, that one included."""
    lives = _Lives(connection)
    condition = 'AND target.key = ? AND span."check" = ? AND first_ns <= ? ORDER BY first_ns DESC'
    for target, *row in connection.execute(f"{_OF_ALL}{condition}", (target_key, check, first_ns)):
        yield from _spans(target, [row], lives)


def read_through_ns(connection: sqlite3.Connection) -> int:
    """Return the largest progress or end of a span; 0 if there is none."""
    query = """SELECT max(
        coalesce((SELECT max(through_ns) FROM progress), 0),
        coalesce((SELECT max(first_ns + length_ns) FROM span), 0))"""
    (through_ns,) = connection.execute(query).fetchone()
    return int(through_ns)


class _Lives:
    """The workers' lives: their names, and up to when an open span of each has grown."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.names: dict[int | None, Incarnation] = {None: Incarnation("")}
        self.names.update(connection.execute("SELECT key, name FROM incarnation"))
        rows = connection.execute(
            """SELECT incarnation, "check", through_ns - interval_ns, widest_ns FROM progress"""
        )
        self._progress = {(key, check): (grown_ns, widest_ns) for key, check, grown_ns, widest_ns in rows}

    def grown(self, span: Span, key: int | None) -> Span:
        """Return an open span of a life with its effective end."""
        progress = self._progress.get((key, span.check))
        return span if progress is None else span.grown(*progress)


def _spans(target: TargetId, rows: Iterable[_Row], lives: _Lives) -> Iterator[Span]:
    """Yield the spans of a target that rows of `_COLUMNS` stand for."""
    for (
        check,
        verdict,
        first_ns,
        length_ns,
        probes,
        widest_ns,
        causes,
        max_gap_ns,
        dated_ns,
        watched_ns,
        life,
        is_open,
    ) in rows:
        span = Span(
            target=target,
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
            incarnation=lives.names[life],
        )
        yield lives.grown(span, life) if is_open else span
