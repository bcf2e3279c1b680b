"""Reads a run back from InfluxDB; what a report is made from, as `downtimer.store.lines` wrote it.

InfluxDB tells its points by measurement, in an order of its own; a report wants each target with its spans,
in the report's order. So targets and spans are copied into tables like the journal's, which SQLite keeps on
disk where they are large, and are read from there by the code that reads a journal.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from downtimer.errors import StoreError
from downtimer.messages import LATENCY_WINDOW_NS
from downtimer.model import SECOND_NS, Event, Kind, Latency, Mark, Run, RunId, Span, TargetId
from downtimer.sections import DbSection
from downtimer.store.influxclient import QUERY_S, Client
from downtimer.store.lines import decode_target, service_tags, tag_as_stored
from downtimer.store.reading import TableReader
from downtimer.store.schema import VERDICTS, scratch, transaction, translated

_RUN: Final = msgspec.json.Decoder(Run)
_SPAN: Final = msgspec.json.Decoder(Span)
_DIGITS: Final = {verdict.value: digit for digit, verdict in enumerate(VERDICTS)}

_COUNTED: Final = {"targets": "state", "spans": "last_sent", "marks": "text", "events": "text"}
"""Measurements of which a run tells how many points it has, each with a field that all its points have."""

_SPAN_COLUMNS: Final = ", ".join(
    f'"{column}"'
    for column in (
        "last_sent",
        "max_gap",
        "watched",
        "dated",
        "probes",
        "widest",
        "causes",
        "incarnation",
        "open",
        "verdict",
    )
)
_WINDOW_S: Final = LATENCY_WINDOW_NS // SECOND_NS

_INSERT_SPAN: Final = """
INSERT INTO span (target, "check", first_ns, length_ns, verdict, probes, widest_ns, causes, max_gap_ns,
    dated_ns, watched_ns, incarnation, is_open)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_Row = dict[str, Any]


class InfluxReader(TableReader):
    """One run, read from InfluxDB; a `downtimer.store.reader.Reader`.

    It is of one piece only if the run has ended and everything is delivered; `notes` tells.
    """

    def __init__(self, db: DbSection, run: RunId | None) -> None:
        """Find the run, and read its targets and spans.

        Args:
            db: Where.
            run: Which; None for the one that began last.

        Raises:
            StoreError: InfluxDB can't be reached, or has no such run.
        """
        self._client = Client(db, request_s=QUERY_S)
        try:
            self._row = self._find(run)
            self._run = _RUN.decode(self._row["ended"] or self._row["begun"])
            self._start_ns = self._run.start_utc_ns
            self._of_run = f'"run" = {_quote(self._run.id)}'
            super().__init__(self._copy(), self._client.where)
        except BaseException:
            self._client.close()
            raise

    def run(self) -> Run:
        """Return the run itself."""
        return self._run

    def latencies(self, target: TargetId) -> list[Latency]:
        """Return how soon a service answered, by check and start_ns; windows count from the run's start.

        Services that have name, region and interface in common share theirs, for InfluxDB tells them apart
        by nothing else.
        """
        ((state, _),) = self.with_spans([target])
        if state.target.kind is not Kind.SERVICE:
            return []
        tags = [f'"{key}" = {_quote(tag_as_stored(value))}' for key, value in service_tags(state.target)]
        through_ns = self._start_ns + self.through_ns()
        columns = ", ".join(f'{function}("value")' for function in ("count", "min", "median", "max"))
        rows = self._select(
            columns,
            "service_response",
            " AND ".join([*tags, '"up" = 1', f"time >= {self._start_ns}", f"time <= {through_ns}"]),
            by=f'time({_WINDOW_S}s, {self._start_ns % (_WINDOW_S * SECOND_NS)}ns), "check" fill(none)',
        )
        return sorted(self._latency(row) for row in rows)

    def marks(self) -> list[Mark]:
        """Return the user's marks, ordered by instant."""
        rows = self._select('"text"', "marks")
        marks = (Mark(at_ns=row["time"] - self._start_ns, text=row["text"]) for row in rows)
        return sorted(marks, key=lambda mark: (mark.at_ns, mark.text))

    def events(self) -> list[Event]:
        """Return the events, ordered by instant."""
        rows = self._select('"word", "text"', "events")
        events = (
            Event(at_ns=row["time"] - self._start_ns, kind=row["word"], text=row["text"]) for row in rows
        )
        return sorted(events, key=lambda event: (event.at_ns, event.kind, event.text))

    def through_ns(self) -> int:
        """Return up to when everything is recorded; 0 if nothing is."""
        if self._row["through"] is not None:
            return int(self._row["through"]) - self._start_ns
        return super().through_ns()

    def notes(self) -> list[str]:
        """Return what is missing, a line each; empty if all is here."""
        return [*self._missing(), *self._strays()]

    def close(self) -> None:
        """Close the connections; the iterators end with them."""
        self._client.close()
        super().close()

    def _missing(self) -> Iterator[str]:
        if self._run.end_ns is None:
            yield "InfluxDB does not know of an end of this run: what was measured last may be missing"
            return
        for name, field in _COUNTED.items():
            wanted, found = int(self._row[name] or 0), self._count(name, field)
            if found < wanted:
                yield f"InfluxDB lacks {wanted - found} of the run's {wanted} {name}"

    def _strays(self) -> Iterator[str]:
        strays = self.count_strays()
        if strays:
            them = "1 target has" if strays == 1 else f"{strays} targets have"
            yield f"{them} spans but no description; left out"

    def _latency(self, row: _Row) -> Latency:
        lengths = (round(row[function] * SECOND_NS) for function in ("min", "median", "max"))
        return Latency(row["check"], row["time"] - self._start_ns, row["count"], *lengths)

    # --- queries ---

    def _find(self, run: RunId | None) -> _Row:
        found = _run_rows(self._client, run)
        if not found:
            which = "no run" if run is None else f"no run {run}"
            raise StoreError(f"{self._client.where}: {which} in database {self._client.database}")
        return max(found, key=lambda row: (row["time"], row["run"]))

    def _copy(self) -> sqlite3.Connection:
        """Return tables of the run's targets and spans, to be read as a journal's are."""
        with translated(self._client.where):
            connection = scratch()
            try:
                with transaction(connection):
                    self._fill(_Tables(connection, self._start_ns))
            except BaseException:
                connection.close()
                raise
        return connection

    def _fill(self, tables: "_Tables") -> None:
        for row in self._select('last("state") AS "state"', "targets", by='"target"'):
            tables.add_target(row)
        for check in self._checks():
            for row in self._select(_SPAN_COLUMNS, "spans", f'"check" = {_quote(check)}', by='"target"'):
                tables.add_span(check, row)
        columns = '"through", "interval", "widest", "check"'
        for row in self._select(columns, "progress", by='"incarnation"'):
            tables.add_progress(row)

    def _checks(self) -> list[str]:
        query = f'SHOW TAG VALUES FROM "spans" WITH KEY = "check" WHERE {self._of_run}'
        return [row["value"] for row in _rows(self._client, query, "spans")]

    def _count(self, measurement: str, field: str) -> int:
        if measurement == "targets":  # a point for each version of each
            return sum(1 for _ in self._select(f'last("{field}")', measurement, by='"target"'))
        rows = self._select(f'count("{field}") AS "n"', measurement)
        return sum(row["n"] for row in rows)

    def _select(
        self, columns: str, measurement: str, condition: str = "", *, by: str | None = None
    ) -> Iterator[_Row]:
        where = f"{self._of_run} AND {condition}" if condition else self._of_run
        return _select(self._client, columns, measurement, where, by=by)


class _Tables:
    """Targets and spans of a run as InfluxDB's rows tell of them, on their way into a journal's tables."""

    def __init__(self, connection: sqlite3.Connection, start_ns: int) -> None:
        self._connection = connection
        self._start_ns = start_ns
        self._targets: dict[str, int] = {}  # by the tag
        self._lives: dict[str, int] = {}

    def add_target(self, row: _Row) -> None:
        """Add a target as it stood last."""
        self._connection.execute(
            "UPDATE target SET state = ? WHERE key = ?", (row["state"], self._target(row["target"]))
        )

    def add_span(self, check: str, row: _Row) -> None:
        """Add a span of a check."""
        key = (self._target(row["target"]), check, row["time"] - self._start_ns)
        values = self._opened(row) if row["last_sent"] is None else self._ended(row)
        self._connection.execute(_INSERT_SPAN, (*key, *values))

    def add_progress(self, row: _Row) -> None:
        """Add how far the probes of a check and worker have come."""
        through_ns = row["through"] - self._start_ns
        values = (self._life(row["incarnation"]), row["check"], through_ns, row["interval"], row["widest"])
        self._connection.execute("INSERT INTO progress VALUES (?, ?, ?, ?, ?)", values)

    def _ended(self, row: _Row) -> tuple[object, ...]:
        return (
            row["last_sent"] - row["time"],
            _DIGITS[row["verdict"]],
            row["probes"],
            row["widest"],
            row["causes"],
            row["max_gap"],
            self._instant_ns(row["dated"]),
            self._instant_ns(row["watched"]),
            self._life(row["incarnation"]),
            False,
        )

    def _opened(self, row: _Row) -> tuple[object, ...]:
        """Return what was told of a span when it began, and no more since."""
        span = _SPAN.decode(row["open"])
        return (
            span.last_sent_ns - span.first_sent_ns,
            _DIGITS[span.verdict],
            span.probes,
            span.widest_ns,
            msgspec.json.encode(span.causes).decode() if span.causes else None,
            span.max_gap_ns,
            span.dated_ns,
            span.watched_ns,
            self._life(span.incarnation),
            True,
        )

    def _instant_ns(self, utc_ns: int | None) -> int | None:
        return None if utc_ns is None else utc_ns - self._start_ns

    def _target(self, tag: str) -> int:
        key = self._targets.get(tag)
        if key is None:
            key = self._targets[tag] = len(self._targets)
            row = (key, decode_target(tag))
            self._connection.execute("INSERT INTO target (key, id) VALUES (?, ?)", row)
        return key

    def _life(self, name: str | None) -> int | None:
        if not name:
            return None
        key = self._lives.get(name)
        if key is None:
            key = self._lives[name] = len(self._lives)
            self._connection.execute("INSERT INTO incarnation (key, name) VALUES (?, ?)", (key, name))
        return key


def list_runs(db: DbSection) -> list[Run]:
    """Return the runs that InfluxDB knows, the oldest first.

    Raises:
        StoreError: InfluxDB can't be reached.
    """
    client = Client(db, request_s=QUERY_S)
    try:
        runs = [_RUN.decode(row["ended"] or row["begun"]) for row in _run_rows(client, None)]
    finally:
        client.close()
    return sorted(runs, key=lambda run: (run.start_utc_ns, run.id))


def _run_rows(client: Client, run: RunId | None) -> list[_Row]:
    where = "" if run is None else f'"run" = {_quote(run)}'
    fields = ("begun", "ended", "through", "targets", "spans", "marks", "events")
    columns = ", ".join(f'"{field}"' for field in fields)
    rows = _select(client, columns, "runs", where, by='"run"')
    return [row for row in rows if row["begun"] is not None or row["ended"] is not None]


def _select(client: Client, columns: str, measurement: str, where: str, *, by: str | None) -> Iterator[_Row]:
    """Yield the rows of a selection; `where` may be empty, `by` is what to group by."""
    condition = f" WHERE {where}" if where else ""
    group = "" if by is None else f" GROUP BY {by}"
    query = f'SELECT {columns} FROM "{measurement}"{condition}{group}'  # noqa: S608 - values are quoted
    return _rows(client, query, measurement)


def _rows(client: Client, query: str, measurement: str) -> Iterator[_Row]:
    """Yield the rows of an answer, each with the tags it was grouped by.

    Raises:
        StoreError: It is no answer to this question. VictoriaMetrics has one answer to all.
    """
    for series in client.query(query):
        if series.get("name") != measurement:
            raise StoreError(
                f"{client.where} does not give back what it has taken, like VictoriaMetrics; "
                "the journal does: make the report without --from influxdb"
            )
        tags = series.get("tags", {})
        columns = series["columns"]
        for values in series["values"]:
            yield dict(zip(columns, values, strict=True)) | tags


def _quote(text: str) -> str:
    """Return a string of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
