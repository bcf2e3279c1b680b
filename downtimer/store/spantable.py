"""The journal's spans, and the numbers that stand for texts, as the journal's writer writes them.

Of two words on the same span the one with the larger last_sent wins, and an ended span wins over an open
one. Every change is part of the caller's transaction; after one that failed all must be read anew.

Spans are written in bulk where nobody asks what became of each: the database module's own loop takes half
the time of ours. It is slow to bind None, so an empty text stands for NULL.
"""

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final

from downtimer.messages import SpanRow
from downtimer.model import Incarnation, TargetId

_INSERT: Final = """
INSERT INTO span (length_ns, verdict, probes, widest_ns, causes, max_gap_ns, dated_ns, incarnation, is_open,
    watched_ns, target, "check", first_ns)
VALUES (?1, ?2, ?3, ?4, nullif(?5, ''), ?6, nullif(?7, ''), nullif(?8, ''), ?9, nullif(?10, ''),
    ?11, ?12, ?13)
ON CONFLICT DO NOTHING
"""
_UPDATE: Final = """
UPDATE span SET length_ns = ?1, verdict = ?2, probes = ?3, widest_ns = ?4, causes = nullif(?5, ''),
    max_gap_ns = ?6, dated_ns = nullif(?7, ''), incarnation = nullif(?8, ''), is_open = ?9,
    watched_ns = nullif(?10, '')
WHERE target = ?11 AND "check" = ?12 AND first_ns = ?13
    AND (length_ns, 1 - is_open, probes) < (?1, 1 - ?9, ?3)
"""
_TARGET: Final = ("SELECT key FROM target WHERE id = ?", "INSERT INTO target (id) VALUES (?)")
_INCARNATION: Final = (
    "SELECT key FROM incarnation WHERE name = ?",
    "INSERT INTO incarnation (name) VALUES (?)",
)

_Values = tuple[int | str, ...]
"""What stands for a row in both statements."""


class Keys:
    """The numbers that stand for targets and incarnations; a new one gets the next."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._targets: dict[TargetId, int] = {}
        self._incarnations: dict[Incarnation, int] = {}

    def target(self, target: TargetId) -> int:
        """Return a target's number."""
        key = self._targets.get(target)
        if key is None:
            key = self._targets[target] = self._number(_TARGET, target)
        return key

    def incarnation(self, incarnation: Incarnation) -> int:
        """Return an incarnation's number."""
        key = self._incarnations.get(incarnation)
        if key is None:
            key = self._incarnations[incarnation] = self._number(_INCARNATION, incarnation)
        return key

    def note(self, target: TargetId, key: int) -> None:
        """Remember the number of a target that has just been written."""
        self._targets[target] = key

    def forget(self) -> None:
        """Read all of them anew."""
        self._targets.clear()
        self._incarnations.clear()

    def _number(self, queries: tuple[str, str], name: str) -> int:
        find, add = queries
        row = self._connection.execute(find, (name,)).fetchone()
        if row is None:
            return self._connection.execute(add, (name,)).lastrowid or 0
        return int(row[0])


class SpanTable:
    """The spans.

    Attributes:
        rows: How many there are.
    """

    def __init__(self, connection: sqlite3.Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self.reload()

    def reload(self) -> None:
        """Count them."""
        self.rows = int(self._connection.execute("SELECT count(*) FROM span").fetchone()[0])

    def write_all(self, rows: Iterable[SpanRow]) -> None:
        """Write spans, in bulk.

        Either statement changes nothing where it does not apply. So it matters only for the time it takes
        which is tried first; the other one is tried, too, where that has not changed as many as there are.
        """
        young: list[_Values] = []
        old: list[_Values] = []
        for row in rows:
            (young if _is_young(row) else old).append(self._values(row))
        if young and self._insert(young) < len(young):
            self._update(young)
        if old and self._update(old) < len(old):
            self._insert(old)
            self._update(old)  # two words on a span that was not known

    def write(self, row: SpanRow) -> tuple[bool, bool]:
        """Write a span; return whether it is new, and whether it has changed one that was there."""
        values = (self._values(row),)
        if _is_young(row):
            is_new = self._insert(values) == 1
            return is_new, not is_new and self._update(values) == 1
        is_changed = self._update(values) == 1
        return not is_changed and self._insert(values) == 1, is_changed

    def _insert(self, values: Collection[_Values]) -> int:
        """Write spans that are not there; return how many that were."""
        new = self._connection.executemany(_INSERT, values).rowcount
        self.rows += new
        return new

    def _update(self, values: Collection[_Values]) -> int:
        """Write spans over those of lower rank; return how many that were."""
        return self._connection.executemany(_UPDATE, values).rowcount

    def _values(self, row: SpanRow) -> _Values:
        return (
            row.length_ns,
            row.verdict,
            row.probes,
            row.widest_ns,
            row.causes,
            row.max_gap_ns,
            "" if row.dated_ns is None else row.dated_ns,
            self._keys.incarnation(row.incarnation) if row.incarnation else "",
            1 if row.is_open else 0,
            "" if row.watched_ns is None else row.watched_ns,
            self._keys.target(row.target),
            row.check,
            row.first_ns,
        )


def _is_young(row: SpanRow) -> bool:
    """Tell whether this is, as far as can be guessed, the first word on a span."""
    return row.is_open and row.length_ns == 0
