"""Writes a journal: facts in, one transaction at a time.

Every fact is whole and has a natural key; of two words on the same span the one with the larger
last_sent wins, and an ended span wins over an open one. So facts may be repeated, and come in any
order, and the journal is the same. With InfluxDB, what changed goes to the outbox in the same
transaction, as points.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from downtimer.durable import sync_folder
from downtimer.errors import StoreError
from downtimer.messages import VERDICTS, LatencyWindow, Progress, SpanRow
from downtimer.model import SECOND_NS, Incarnation, Run, TargetState, Verdict
from downtimer.store import points
from downtimer.store.facts import Facts
from downtimer.store.lines import LineMaker
from downtimer.store.outbox import BYTES_MAX, Outbox
from downtimer.store.reading import read_run, read_spans, read_through_ns
from downtimer.store.schema import connect, disconnect, transaction, translated
from downtimer.store.spantable import Keys, SpanTable

PROGRESS_NS: Final = 10 * SECOND_NS
"""So often InfluxDB is told of a worker's progress."""

_PUT_LATENCY: Final = """
INSERT INTO latency (target, "check", start_ns, answers, min_ns, median_ns, max_ns)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET answers = excluded.answers,
    min_ns = excluded.min_ns, median_ns = excluded.median_ns, max_ns = excluded.max_ns
WHERE excluded.answers > answers
"""
_GOOD: Final = frozenset([VERDICTS.index(Verdict.UP), VERDICTS.index(Verdict.SLOW)])
_DOWN: Final = VERDICTS.index(Verdict.DOWN)

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
        self._told_ns: dict[tuple[Incarnation, str], int] = {}
        self._failed: set[tuple[int, str]] = set()  # checks, by number of target, that may end an outage
        _make_file(path)
        self._connection = connect(path, create=True)
        try:
            with translated(path):
                self.outbox = Outbox(self._connection, bytes_max=outbox_bytes_max)
                self._keys = Keys(self._connection)
                self._spans = SpanTable(self._connection, self._keys)
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

    def end_run(self, end_ns: int, *, label: str | None = None, interrupted: bool = False) -> None:
        """End the run: every open span ends at its effective last_sent. A second call changes nothing.

        Args:
            end_ns: When.
            label: The user's words for it from now on; None: as it has them.
            interrupted: It was cut off, and is only now seen to be over.

        Raises:
            StoreError: It can't be written.
        """
        if self.run.end_ns is not None:
            return
        label = self.run.label if label is None else label
        ended = replace(self.run, end_ns=end_ns, label=label, interrupted=interrupted)
        with self._writing():
            if self._lines is not None:
                still_open = read_spans(self._connection, only_open=True)
                self.outbox.put(self._lines.span(fact.span, is_open=False) for fact in still_open)
            for statement in _CLOSE_SPANS:
                self._connection.execute(statement)
            self._connection.execute(
                "UPDATE run SET end_ns = ?, label = ?, interrupted = ?", (end_ns, label, interrupted)
            )
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
        self.apply_all((facts,))

    def apply_all(self, parts: Iterable[Facts]) -> None:
        """Write facts in one transaction that are made only as they are written, one part at a time.

        Raises:
            StoreError: As for `apply`.
        """
        with self._writing():
            ends = [end for facts in parts for end in self._write(facts)]
            if self._lines is not None:
                self.outbox.put(self._outages_ended_by(ends, self._lines))

    def _write(self, facts: Facts) -> list[SpanRow]:
        """Write facts; return the spans that end outages, where InfluxDB is to be told of these."""
        rows = [
            fact if isinstance(fact, SpanRow) else SpanRow.of(fact.span, is_open=fact.is_open)
            for fact in facts.spans
        ]
        ends: list[SpanRow] = []
        told = self._states(facts.states.values())
        if self._lines is None:
            self._spans.write_all(rows)
        else:
            told += self._tell_spans(rows, ends, self._lines)
        told += map(self._progress, facts.progress.values())
        self._connection.executemany(_PUT_LATENCY, [*map(self._latency, facts.latencies)])
        told += self._notes(facts)
        if self._lines is not None:
            self.outbox.put(told)
            self.outbox.put(map(self._lines.sample, facts.samples))
            self.outbox.put(map(self._lines.address, facts.addresses))
        self.outbox.settle(facts.delivered)
        return ends

    def _states(self, states: Iterable[TargetState]) -> list[str | None]:
        """Write targets; return points for those that have changed."""
        return [self._state(state) for state in states]

    def _state(self, state: TargetState) -> str | None:
        target, text = state.target, msgspec.json.encode(state).decode()
        query = "SELECT key, version, state FROM target WHERE id = ?"
        known = self._connection.execute(query, (target.id,)).fetchone()
        if known is None:
            version = 1
            add = "INSERT INTO target (id, version, state) VALUES (?, ?, ?)"
            key = self._connection.execute(add, (target.id, version, text)).lastrowid or 0
            self._keys.note(target.id, key)
        elif known[2] == text:
            return None
        else:
            key, version = known[0], known[1] + 1
            change = "UPDATE target SET version = ?, state = ? WHERE key = ?"
            self._connection.execute(change, (version, text, key))
        if self._lines is None:
            return None
        self._lines.know(target)
        return self._lines.target(state, version, text)

    def _tell_spans(self, rows: Iterable[SpanRow], ends: list[SpanRow], lines: LineMaker) -> list[str | None]:
        """Write spans, one by one; return points for what is new, and add to `ends` what ends an outage."""
        told: list[str | None] = []
        for row in rows:
            is_new, is_changed = self._spans.write(row)
            check = (self._keys.target(row.target), row.check)
            if row.verdict == _DOWN:
                self._failed.add(check)
            elif is_new and row.verdict in _GOOD and check in self._failed:
                self._failed.discard(check)
                ends.append(row)
            if is_new or (is_changed and not row.is_open):
                told.append(lines.span(row.span(), is_open=row.is_open))
        return told

    def _outages_ended_by(self, ends: Iterable[SpanRow], lines: LineMaker) -> Iterator[str | None]:
        for row in ends:
            yield from points.outages_ended_by(
                self._connection, lines, self._keys.target(row.target), row.span()
            )

    def _progress(self, progress: Progress) -> str | None:
        key = (progress.incarnation, progress.check)
        self._connection.execute(
            """INSERT INTO progress (incarnation, "check", through_ns, interval_ns, widest_ns)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET through_ns = excluded.through_ns,
            interval_ns = excluded.interval_ns, widest_ns = excluded.widest_ns
            WHERE excluded.through_ns > through_ns""",
            (
                self._keys.incarnation(progress.incarnation),
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

    def _latency(self, window: LatencyWindow) -> tuple[int | str, ...]:
        return (
            self._keys.target(window.target),
            window.check,
            window.start_ns,
            window.answers,
            window.min_ns,
            window.median_ns,
            window.max_ns,
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
        self._keys.forget()
        self._told_ns.clear()
        failed = 'SELECT DISTINCT target, "check" FROM span WHERE verdict = ?'
        self._failed = set(self._connection.execute(failed, (_DOWN,))) if self._lines is not None else set()
        self.outbox.reload()
        self._spans.reload()

    @property
    def rows(self) -> int:
        """How many spans are in it."""
        return self._spans.rows

    def size_bytes(self) -> int:
        """Return how much room the journal takes on disk."""
        return file_size(self.path)

    def close(self) -> None:
        """Close the file."""
        disconnect(self._connection, for_good=self.run.end_ns is not None or self.run.is_imported)


def file_size(path: str) -> int:
    """Return how much room a journal takes on disk, with its write-ahead log."""
    sizes = 0
    for name in (path, f"{path}-wal"):
        with contextlib.suppress(FileNotFoundError):
            sizes += Path(name).stat().st_size
    return sizes


def _make_file(path: str) -> None:
    """Make an empty file, if there is none, so that SQLite gives its helper files the same mode.

    What is committed to it later is durable only if its name is, and its folders' names are. SQLite syncs
    the folder when it makes a helper file in it, but not those above, which may be as new.
    """
    file = Path(path)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
            file.chmod(0o640)
        for folder in file.resolve().parents:
            with contextlib.suppress(OSError):  # those above ours may not be readable
                sync_folder(folder)
    except OSError as exc:
        raise StoreError(f"{path}: cannot make the journal: {exc.strerror}") from exc
