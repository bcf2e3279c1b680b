"""The journal's outbox: points on their way to InfluxDB, in order, until they are delivered.

A row holds the lines of one commit, or 5,000 of them, as the body of a request has them. One that has
a line break within is alone in its row, so that the rows of the others can be divided. Rows are added and
removed by the one writer of the journal; whoever ships only reads them, through a connection of its own,
and remembers how far it is. The oldest are given up, and counted, where all of them exceed a gigabyte.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from downtimer.store.facts import Delivered
from downtimer.store.schema import connect_to_read, translated

LINES_MAX: Final = 5_000
"""Points in one row, and in one request to InfluxDB."""

SHIP_S: Final = 30.0
"""So long the end of a run waits for its outbox to become empty."""

BYTES_MAX: Final = 1 << 30
REJECTED_MAX: Final = 1_000
"""Of the rejected points so many are kept for inspection; all are counted."""

DROPPED: Final = "dropped"
REJECTED: Final = "rejected"


class Outbox:
    """The writer's side. Every change is part of the caller's transaction.

    Attributes:
        points: How many wait.
        dropped: Given up since the run began, for want of room.
        rejected: Refused by InfluxDB since the run began.
    """

    def __init__(self, connection: sqlite3.Connection, *, bytes_max: int = BYTES_MAX) -> None:
        self._connection = connection
        self._bytes_max = bytes_max
        self.reload()

    def reload(self) -> None:
        """Read the figures anew; needed after a transaction that failed."""
        sums = "SELECT coalesce(sum(points), 0), coalesce(sum(bytes), 0) FROM outbox"
        points, size = self._connection.execute(sums).fetchone()
        self.points, self._bytes = int(points), int(size)
        counters = dict(self._connection.execute("SELECT name, value FROM counter").fetchall())
        self.dropped: int = counters.get(DROPPED, 0)
        self.rejected: int = counters.get(REJECTED, 0)

    def put(self, lines: Iterable[str | None]) -> None:
        """Add points; None is no point."""
        for chunk in _chunks(lines):
            text = "\n".join(chunk)
            size = len(text) if text.isascii() else len(text.encode())
            self._connection.execute(
                "INSERT INTO outbox (points, bytes, lines) VALUES (?, ?, ?)", (len(chunk), size, text)
            )
            self.points += len(chunk)
            self._bytes += size
        self._give_up_oldest()

    def settle(self, delivered: Delivered) -> None:
        """Remove what was delivered, and set apart what was rejected."""
        if delivered.through_id:
            self._remove("id <= ?", delivered.through_id)
        for error, line in delivered.rejected:
            if self.rejected < REJECTED_MAX:
                self._connection.execute("INSERT INTO rejected (error, line) VALUES (?, ?)", (error, line))
            self.rejected += 1
        if delivered.rejected:
            self._store(REJECTED, self.rejected)

    def _give_up_oldest(self) -> None:
        before = self.dropped
        while self._bytes > self._bytes_max:
            (oldest,) = self._connection.execute("SELECT min(id) FROM outbox").fetchone()
            self.dropped += self._remove("id = ?", oldest)
        if self.dropped != before:
            self._store(DROPPED, self.dropped)

    def _remove(self, which: str, row: int) -> int:
        sums = f"SELECT coalesce(sum(points), 0), coalesce(sum(bytes), 0) FROM outbox WHERE {which}"  # noqa: S608 - ours
        points, size = self._connection.execute(sums, (row,)).fetchone()
        self._connection.execute(f"DELETE FROM outbox WHERE {which}", (row,))  # noqa: S608 - ours
        self.points -= points
        self._bytes -= size
        return int(points)

    def _store(self, name: str, value: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO counter (name, value) VALUES (?, ?)", (name, value))


def _chunks(lines: Iterable[str | None]) -> Iterator[list[str]]:
    """Yield what goes into a row each."""
    chunk: list[str] = []
    for line in lines:
        if line is None:
            continue
        is_odd = "\n" in line
        if chunk and (is_odd or len(chunk) == LINES_MAX):
            yield chunk
            chunk = []
        if is_odd:
            yield [line]
        else:
            chunk.append(line)
    if chunk:
        yield chunk


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the outbox: `text` is that many `points`, a line each, divided by line breaks."""

    points: int
    text: str

    def lines(self) -> list[str]:
        """Return the lines; the only one of its row may have line breaks."""
        return [self.text] if self.points == 1 else self.text.split("\n")


@dataclass(frozen=True, slots=True)
class Load:
    """Points for one request.

    Attributes:
        through_id: The last row of the outbox that is in it.
        rows: The points.
    """

    through_id: int
    rows: tuple[Row, ...] = ()

    @property
    def points(self) -> int:
        """How many."""
        return sum(row.points for row in self.rows)

    def text(self) -> str:
        """Return them as the body of a request."""
        return "\n".join(row.text for row in self.rows)

    def lines(self) -> list[str]:
        """Return them one by one."""
        return [line for row in self.rows for line in row.lines()]


class OutboxReader:
    """The shipper's side: reads what waits, oldest first."""

    def __init__(self, path: str) -> None:
        """Open the journal.

        Raises:
            StoreError: It can't be.
        """
        self._path = path
        self._connection = connect_to_read(path)

    def next(self, after_id: int) -> Load | None:
        """Return the points after row `after_id`, at most `LINES_MAX`; None if there are none.

        Raises:
            StoreError: The journal can't be read.
        """
        rows: list[Row] = []
        points, through_id = 0, after_id
        query = "SELECT id, points, lines FROM outbox WHERE id > ? ORDER BY id"
        with translated(self._path):
            cursor = self._connection.execute(query, (after_id,))
            for row, count, text in cursor:
                if rows and points + count > LINES_MAX:
                    break
                rows.append(Row(count, text))
                points, through_id = points + count, row
            cursor.close()
        return Load(through_id, tuple(rows)) if rows else None

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()
