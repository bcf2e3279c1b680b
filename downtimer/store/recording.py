"""Writes a journal: facts in, one transaction at a time.

Every fact is whole and has a natural key; of two words on the same span the one with the larger
last_sent wins, and an ended span wins over an open one. So facts may be repeated, and come in any
order, and the journal is the same. With InfluxDB, what changed goes to the outbox in the same
transaction, as points.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from downtimer.cells import is_good
from downtimer.errors import StoreError
from downtimer.messages import LatencyWindow, Progress, SpanFact
from downtimer.model import SECOND_NS, Incarnation, Run, Span, TargetId, TargetState
from downtimer.store import points
from downtimer.store.facts import Facts
from downtimer.store.lines import LineMaker
from downtimer.store.outbox import BYTES_MAX, Outbox
from downtimer.store.reading import read_run, read_spans, read_through_ns
from downtimer.store.schema import VERDICTS, connect, disconnect, transaction, translated

PROGRESS_NS: Final = 10 * SECOND_NS
"""So often InfluxDB is told of a worker's progress."""

_DIGITS: Final = {verdict: digit for digit, verdict in enumerate(VERDICTS)}

_INSERT_SPAN: Final = """
INSERT INTO span (length_ns, verdict, probes, widest_ns, causes, max_gap_ns, dated_ns, incarnation, is_open,
    watched_ns, target, "check", first_ns)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_UPDATE_SPAN: Final = """
UPDATE span SET length_ns = ?, verdict = ?, probes = ?, widest_ns = ?, causes = ?, max_gap_ns = ?,
    dated_ns = ?, incarnation = ?, is_open = ?, watched_ns = ?
WHERE target = ? AND "check" = ? AND first_ns = ? AND (length_ns, 1 - is_open, probes) < (?, ?, ?)
"""
_TARGET_KEY: Final = ("SELECT key FROM target WHERE id = ?", "INSERT INTO target (id) VALUES (?)")
_INCARNATION_KEY: Final = (
    "SELECT key FROM incarnation WHERE name = ?",
    "INSERT INTO incarnation (name) VALUES (?)",
)
_CLOSE_SPANS: Final = (
    """
UPDATE span SET watched_ns = max(watched_ns, through_ns - interval_ns)
FROM progress
WHERE is_open AND watched_ns IS NOT NULL
    AND progress.incarnation = span.incarnation AND progress."check" = span."check"
""",
    """
UPDATE span SET length_ns = through_ns - interval_ns - first_ns,
    widest_ns = max(span.widest_ns, progress.widest_ns)
FROM progress
WHERE is_open AND watched_ns IS NULL
    AND progress.incarnation = span.incarnation AND progress."check" = span."check"
    AND through_ns - interval_ns - first_ns > length_ns
""",
    "UPDATE span SET is_open = 0 WHERE is_open",
)


class JournalWriter:
    """One run's journal, open for writing. One thread owns it.

    Attributes:
        path: Of the file.
        run: As stored.
        rows: Spans in it.
        outbox: What waits for InfluxDB.
    """

    def __init__(self, path: str, run: Run, *, ships: bool, outbox_bytes_max: int = BYTES_MAX) -> None:
        """Open the journal of `run`, or make it. A run that goes on has its tie to the boot renewed.

        Args:
            path: The file; its folder is made if missing.
            run: The run.
            ships: Put points for InfluxDB into the outbox. If that is new, all that is in the journal.
            outbox_bytes_max: Beyond this the oldest points are given up.

        Raises:
            StoreError: It can't be opened, or is another run's.
        """
        self.path = path
        self._keys: dict[TargetId, int] = {}
        self._incarnations: dict[Incarnation, int] = {}
        self._told_ns: dict[tuple[Incarnation, str], int] = {}
        _make_file(path)
        self._connection = connect(path, create=True)
        try:
            with translated(path):
                self.outbox = Outbox(self._connection, bytes_max=outbox_bytes_max)
                self._begin(run, ships=ships)
                self._reload()
        except BaseException:
            self._connection.close()
            raise

    # --- the run ---

    def _begin(self, run: Run, *, ships: bool) -> None:
        self._lines = LineMaker(run) if ships else None
        with transaction(self._connection):
            known = self._connection.execute("SELECT ships FROM run").fetchone()
            if known is None:
                self._insert_run(run)
            else:
                self._go_on(run)
            self.run = read_run(self._connection, self.path)
            self._connection.execute("UPDATE run SET ships = ?", (ships,))
            if self._lines is not None:
                points.know_targets(self._connection, self._lines)
                self.outbox.put([self._lines.run_begun(self.run)])
                if known == (0,):
                    self.outbox.put(points.everything(self._connection, self._lines))

    def _insert_run(self, run: Run) -> None:
        self._connection.execute(
            """INSERT INTO run (id, label, vantage, cloud, start_utc_ns, boot_origin_ns, boot_id)
            VALUES (?, ?, ?, ?, ?, ?, ?)""",
            (
                run.id,
                run.label,
                run.vantage,
                run.cloud,
                run.start_utc_ns,
                run.boot_origin_ns,
                run.boot_id,
            ),
        )

    def _go_on(self, run: Run) -> None:
        stored = read_run(self._connection, self.path)
        if stored.id != run.id:
            raise StoreError(f"{self.path}: the journal of run {stored.id}, not of {run.id}")
        if stored.end_ns is None:
            self._connection.execute(
                "UPDATE run SET boot_origin_ns = ?, boot_id = ?", (run.boot_origin_ns, run.boot_id)
            )

    def end_run(self, end_ns: int, *, interrupted: bool = False) -> None:
        """End the run: every open span ends at its effective last_sent. A second call changes nothing.

        Args:
            end_ns: When.
            interrupted: It was cut off, and is only now seen to be over.

        Raises:
            StoreError: It can't be written.
        """
        if self.run.end_ns is not None:
            return
        ended = replace(self.run, end_ns=end_ns, interrupted=interrupted)
        with self._writing():
            if self._lines is not None:
                still_open = read_spans(self._connection, only_open=True)
                self.outbox.put(self._lines.span(fact.span, is_open=False) for fact in still_open)
            for statement in _CLOSE_SPANS:
                self._connection.execute(statement)
            self._connection.execute("UPDATE run SET end_ns = ?, interrupted = ?", (end_ns, interrupted))
            if self._lines is not None:
                self._tell_end(self._lines, ended)
        self.run = ended

    def _tell_end(self, lines: LineMaker, ended: Run) -> None:
        """Complete the run's point, behind all others. What the outbox had to give up is put in again."""
        if self.outbox.dropped:
            self.outbox.put(points.everything(self._connection, lines))
        counts = self._connection.execute(
            """SELECT (SELECT count(*) FROM target WHERE state IS NOT NULL),
            (SELECT count(*) FROM span JOIN target ON target.key = span.target WHERE state IS NOT NULL),
            (SELECT count(*) FROM mark), (SELECT count(*) FROM event)"""
        ).fetchone()
        named = zip(("targets", "spans", "marks", "events"), counts, strict=True)
        self.outbox.put([lines.run_ended(ended, named, read_through_ns(self._connection))])

    # --- facts ---

    def apply(self, facts: Facts) -> None:
        """Write facts in one transaction: all or none.

        Raises:
            TransientStoreError: It can't be written now; try again later, with the same facts.
            StoreError: It can't be written.
        """
        with self._writing():
            lines = list(self._facts(facts))
            if self._lines is not None:
                self.outbox.put(lines)
            self.outbox.settle(facts.delivered)

    def _facts(self, facts: Facts) -> Iterator[str | None]:
        """Write facts; yield the points that tell of what is new in them."""
        for state in facts.states.values():
            yield self._state(state)
        recovered: list[Span] = []
        for fact in facts.spans:
            yield from self._span(fact, recovered)
        for progress in facts.progress.values():
            yield self._progress(progress)
        for window in facts.latencies:
            self._latency(window)
        yield from self._notes(facts)
        if self._lines is not None:
            yield from map(self._lines.sample, facts.samples)
            yield from map(self._lines.address, facts.addresses)
            for span in recovered:
                yield from points.outages_ended_by(
                    self._connection, self._lines, self._key(span.target), span
                )

    def _state(self, state: TargetState) -> str | None:
        text = msgspec.json.encode(state).decode()
        key = self._key(state.target.id)
        query = "SELECT version, state FROM target WHERE key = ?"
        version, known = self._connection.execute(query, (key,)).fetchone()
        if text == known:
            return None
        self._connection.execute(
            "UPDATE target SET version = ?, state = ? WHERE key = ?", (version + 1, text, key)
        )
        if self._lines is None:
            return None
        self._lines.know(state.target)
        return self._lines.target(state, version + 1)

    def _span(self, fact: SpanFact, recovered: list[Span]) -> Iterator[str | None]:
        """Write a span; what is new to us of good answers is added to `recovered`."""
        span = fact.span
        length_ns = span.last_sent_ns - span.first_sent_ns
        key = (self._key(span.target), span.check, span.first_sent_ns)
        values = (
            length_ns,
            _DIGITS[span.verdict],
            span.probes,
            span.widest_ns,
            msgspec.json.encode(span.causes).decode() if span.causes else None,
            span.max_gap_ns,
            span.dated_ns,
            self._incarnation(span.incarnation) if span.incarnation else None,
            fact.is_open,
            span.watched_ns,
            *key,
        )
        is_new = self._connection.execute(_INSERT_SPAN, values).rowcount == 1
        if is_new:
            self.rows += 1
            if is_good(span):
                recovered.append(span)
        else:
            rank = (length_ns, not fact.is_open, span.probes)
            if self._connection.execute(_UPDATE_SPAN, (*values, *rank)).rowcount == 0:
                return
        if self._lines is not None and (is_new or not fact.is_open):
            yield self._lines.span(span, is_open=fact.is_open)

    def _progress(self, progress: Progress) -> str | None:
        key = (progress.incarnation, progress.check)
        self._connection.execute(
            """INSERT INTO progress (incarnation, "check", through_ns, interval_ns, widest_ns)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET through_ns = excluded.through_ns,
            interval_ns = excluded.interval_ns, widest_ns = excluded.widest_ns
            WHERE excluded.through_ns > through_ns""",
            (
                self._incarnation(progress.incarnation),
                progress.check,
                progress.through_ns,
                progress.interval_ns,
                progress.widest_ns,
            ),
        )
        told_ns = self._told_ns.get(key, -PROGRESS_NS)
        if self._lines is None or progress.through_ns - told_ns < PROGRESS_NS:
            return None
        self._told_ns[key] = progress.through_ns
        return self._lines.progress(progress)

    def _latency(self, window: LatencyWindow) -> None:
        self._connection.execute(
            """INSERT INTO latency (target, "check", start_ns, answers, min_ns, median_ns, max_ns)
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET answers = excluded.answers,
            min_ns = excluded.min_ns, median_ns = excluded.median_ns, max_ns = excluded.max_ns
            WHERE excluded.answers > answers""",
            (
                self._key(window.target),
                window.check,
                window.start_ns,
                window.answers,
                window.min_ns,
                window.median_ns,
                window.max_ns,
            ),
        )

    def _notes(self, facts: Facts) -> Iterator[str | None]:
        for mark in facts.marks:
            query = "INSERT OR IGNORE INTO mark (at_ns, text) VALUES (?, ?)"
            if self._connection.execute(query, (mark.at_ns, mark.text)).rowcount and self._lines is not None:
                yield self._lines.mark(mark)
        for event in facts.events:
            query = "INSERT OR IGNORE INTO event (at_ns, kind, text) VALUES (?, ?, ?)"
            row = (event.at_ns, event.kind, event.text)
            if self._connection.execute(query, row).rowcount and self._lines is not None:
                yield self._lines.event(event)

    # --- parts ---

    def _key(self, target: TargetId) -> int:
        key = self._keys.get(target)
        if key is None:
            key = self._keys[target] = _number(self._connection, _TARGET_KEY, target)
        return key

    def _incarnation(self, incarnation: Incarnation) -> int:
        key = self._incarnations.get(incarnation)
        if key is None:
            key = self._incarnations[incarnation] = _number(self._connection, _INCARNATION_KEY, incarnation)
        return key

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Write all or nothing, and after nothing remember nothing of it."""
        with translated(self.path):
            try:
                with transaction(self._connection):
                    yield
            except BaseException:
                self._reload()
                raise

    def _reload(self) -> None:
        self._keys.clear()
        self._incarnations.clear()
        self._told_ns.clear()
        self.outbox.reload()
        (self.rows,) = self._connection.execute("SELECT count(*) FROM span").fetchone()

    def size_bytes(self) -> int:
        """Return how much room the journal takes on disk."""
        return file_size(self.path)

    def close(self) -> None:
        """Close the file."""
        disconnect(self._connection, for_good=self.run.end_ns is not None)


def file_size(path: str) -> int:
    """Return how much room a journal takes on disk, with its write-ahead log."""
    sizes = 0
    for name in (path, f"{path}-wal"):
        with contextlib.suppress(FileNotFoundError):
            sizes += Path(name).stat().st_size
    return sizes


def _number(connection: sqlite3.Connection, queries: tuple[str, str], name: str) -> int:
    """Return the number that stands for a text; a new text gets one."""
    find, add = queries
    row = connection.execute(find, (name,)).fetchone()
    if row is None:
        return connection.execute(add, (name,)).lastrowid or 0
    return int(row[0])


def _make_file(path: str) -> None:
    """Make an empty file, if there is none, so that SQLite gives its helper files the same mode."""
    file = Path(path)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
            file.chmod(0o640)
    except OSError as exc:
        raise StoreError(f"{path}: cannot make the journal: {exc.strerror}") from exc
