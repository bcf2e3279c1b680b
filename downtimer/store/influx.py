"""Reads a run back from InfluxDB; what a report is made from, as `downtimer.store.lines` wrote it.

InfluxDB sorts by the bytes of a tag. Those of ``target`` are the id's own, unless it has odd
characters (see `encode_target`): these few targets are asked for apart, sorted here, and merged in.
"""

import heapq
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import msgspec

from downtimer.config import DbSection
from downtimer.errors import StoreError
from downtimer.messages import Progress
from downtimer.model import Event, Incarnation, Mark, Run, RunId, Span, TargetId, TargetState, Verdict
from downtimer.store.influxclient import QUERY_S, Client
from downtimer.store.lines import decode_target, encode_target

_RUN: Final = msgspec.json.Decoder(Run)
_STATE: Final = msgspec.json.Decoder(TargetState)
_SPAN: Final = msgspec.json.Decoder(Span)
_CAUSES: Final = msgspec.json.Decoder(dict[str, int])

_PLAIN: Final = '"target" !~ /%/'
_ENCODED: Final = '"target" =~ /%/'

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

_Row = dict[str, Any]
_T = TypeVar("_T", TargetState, Span)


class InfluxReader:
    """One run, read from InfluxDB; a `downtimer.store.reader.Reader`.

    It is of one piece only if the run has ended and everything is delivered; `notes` tells.
    """

    def __init__(self, db: DbSection, run: RunId | None) -> None:
        """Find the run.

        Args:
            db: Where.
            run: Which; None for the one that began last.

        Raises:
            StoreError: InfluxDB can't be reached, or has no such run.
        """
        self._client = Client(db, answer_s=QUERY_S)
        try:
            self._row = self._find(run)
            self._run = _RUN.decode(self._row["ended"] or self._row["begun"])
            self._start_ns = self._run.start_utc_ns
            self._of_run = f'"run" = {_quote(self._run.id)}'
            self._progress = self._read_progress()
        except BaseException:
            self._client.close()
            raise

    def run(self) -> Run:
        """Return the run itself."""
        return self._run

    def targets(self) -> Iterator[TargetState]:
        """Yield every target of the run, ordered by target id."""

        def read(which: str) -> Iterator[TargetState]:
            rows = self._select('last("state") AS "state"', "targets", which, by="target")
            return (_STATE.decode(row["state"]) for row in rows)

        return _in_order(read, lambda state: state.target.id)

    def spans(self, prefix: str = "") -> Iterator[Span]:
        """Yield every span, ordered by target, check and first_sent_ns."""
        pattern = re.escape(encode_target(TargetId(prefix))).replace("/", r"\/")
        condition = f'"target" =~ /^{pattern}/' if prefix else ""
        each = (self._spans_of(check, condition) for check in self._checks())
        return heapq.merge(*each, key=_span_key)

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
        rows = self._select('max("last_sent") AS "last"', "spans")
        ends = (row["last"] for row in rows)
        last_ns = max((end - self._start_ns for end in ends if end is not None), default=0)
        return max(last_ns, *(progress.through_ns for progress in self._progress.values()), 0)

    def notes(self) -> list[str]:
        """Return what is missing, a line each; empty if all is here."""
        if self._run.end_ns is None:
            return ["InfluxDB does not know of an end of this run: what was measured last may be missing"]
        missing = []
        for name, field in _COUNTED.items():
            wanted, found = int(self._row[name] or 0), self._count(name, field)
            if found < wanted:
                missing.append(f"InfluxDB lacks {wanted - found} of the run's {wanted} {name}")
        return missing

    def close(self) -> None:
        """Close the connection; the iterators end with it."""
        self._client.close()

    # --- queries ---

    def _find(self, run: RunId | None) -> _Row:
        found = _run_rows(self._client, run)
        if not found:
            which = "no run" if run is None else f"no run {run}"
            raise StoreError(f"{self._client.where}: {which} in database {self._client.database}")
        return max(found, key=lambda row: (row["time"], row["run"]))

    def _checks(self) -> list[str]:
        query = f'SHOW TAG VALUES FROM "spans" WITH KEY = "check" WHERE {self._of_run}'
        rows = _rows(self._client, query)
        return sorted({row["value"] for row in rows})

    def _spans_of(self, check: str, condition: str) -> Iterator[Span]:
        """Yield the spans of targets' checks of one name; `condition` says of which, empty for all."""
        conditions = [f'"check" = {_quote(check)}', *filter(None, [condition])]

        def read(which: str) -> Iterator[Span]:
            rows = self._select(_SPAN_COLUMNS, "spans", " AND ".join([*conditions, which]), by="target")
            return (self._span(check, row) for row in rows)

        return _in_order(read, _span_key)

    def _span(self, check: str, row: _Row) -> Span:
        if row["last_sent"] is None:
            return self._grown(_SPAN.decode(row["open"]))
        return Span(
            target=decode_target(row["target"]),
            check=check,
            verdict=Verdict(row["verdict"]),
            first_sent_ns=row["time"] - self._start_ns,
            last_sent_ns=row["last_sent"] - self._start_ns,
            probes=row["probes"],
            widest_ns=row["widest"],
            causes=_CAUSES.decode(row["causes"]) if row["causes"] is not None else {},
            max_gap_ns=row["max_gap"],
            dated_ns=row["dated"] - self._start_ns if row["dated"] is not None else None,
            watched_ns=row["watched"] - self._start_ns if row["watched"] is not None else None,
            incarnation=Incarnation(row["incarnation"] or ""),
        )

    def _grown(self, span: Span) -> Span:
        """Return an open span with its effective end, as its worker's progress tells."""
        progress = self._progress.get((span.incarnation, span.check))
        if progress is None:
            return span
        return span.grown(progress.through_ns - progress.interval_ns, progress.widest_ns)

    def _read_progress(self) -> dict[tuple[Incarnation, str], Progress]:
        rows = self._select('"through", "interval", "widest", "check"', "progress", by="incarnation")
        made = (
            Progress(
                Incarnation(row["incarnation"]),
                row["check"],
                row["through"] - self._start_ns,
                row["interval"],
                row["widest"],
            )
            for row in rows
        )
        return {(progress.incarnation, progress.check): progress for progress in made}

    def _count(self, measurement: str, field: str) -> int:
        if measurement == "targets":  # a point for each version of each
            return sum(1 for _ in self._select(f'last("{field}")', measurement, by="target"))
        rows = self._select(f'count("{field}") AS "n"', measurement)
        return sum(row["n"] for row in rows)

    def _select(
        self, columns: str, measurement: str, condition: str = "", *, by: str | None = None
    ) -> Iterator[_Row]:
        where = f"{self._of_run} AND {condition}" if condition else self._of_run
        return _select(self._client, columns, measurement, where, by=by)


def list_runs(db: DbSection) -> list[Run]:
    """Return the runs that InfluxDB knows, the oldest first.

    Raises:
        StoreError: InfluxDB can't be reached.
    """
    client = Client(db, answer_s=QUERY_S)
    try:
        runs = [_RUN.decode(row["ended"] or row["begun"]) for row in _run_rows(client, None)]
    finally:
        client.close()
    return sorted(runs, key=lambda run: (run.start_utc_ns, run.id))


def _run_rows(client: Client, run: RunId | None) -> list[_Row]:
    where = "" if run is None else f'"run" = {_quote(run)}'
    fields = ("begun", "ended", "through", "targets", "spans", "marks", "events")
    columns = ", ".join(f'"{field}"' for field in fields)
    rows = _select(client, columns, "runs", where, by="run")
    return [row for row in rows if row["begun"] is not None or row["ended"] is not None]


def _select(client: Client, columns: str, measurement: str, where: str, *, by: str | None) -> Iterator[_Row]:
    """Yield the rows of a selection; `where` may be empty, `by` is the tag to group by."""
    condition = f" WHERE {where}" if where else ""
    group = "" if by is None else f' GROUP BY "{by}"'
    query = f'SELECT {columns} FROM "{measurement}"{condition}{group}'  # noqa: S608 - values are quoted
    return _rows(client, query)


def _rows(client: Client, query: str) -> Iterator[_Row]:
    """Yield the rows of an answer, each with the tags it was grouped by."""
    for series in client.query(query):
        tags = series.get("tags", {})
        columns = series["columns"]
        for values in series["values"]:
            yield dict(zip(columns, values, strict=True)) | tags


def _in_order(read: Callable[[str], Iterator[_T]], key: Callable[[_T], Any]) -> Iterator[_T]:
    """Merge the targets whose tag is their id with the few others, which have to be sorted first."""
    return heapq.merge(read(_PLAIN), sorted(read(_ENCODED), key=key), key=key)


def _span_key(span: Span) -> tuple[TargetId, str, int]:
    return span.target, span.check, span.first_sent_ns


def _quote(text: str) -> str:
    """Return a string of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
