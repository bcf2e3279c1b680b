"""Delivers what the outbox of an earlier run still holds: for `downtimer ship`, and for any later start."""

import time
from pathlib import Path
from typing import Final, NamedTuple

from downtimer.errors import StoreError
from downtimer.sections import DbSection
from downtimer.store.influxclient import AccessError, InfluxError
from downtimer.store.outbox import Outbox, OutboxReader
from downtimer.store.reading import read_run
from downtimer.store.schema import (
    SUFFIX,
    connect,
    connect_to_read,
    disconnect,
    transaction,
    translated,
)
from downtimer.store.sink import InfluxSink, Shipper, Writes, retry_s

FAILURES_MAX: Final = 3
"""So many failed requests in a row, and `ship` gives up."""


class Shipped(NamedTuple):
    """What became of the points of an outbox."""

    delivered: int = 0
    rejected: int = 0
    left: int = 0


class Leftover:
    """The outbox of a run that nobody measures any more. One thread owns it.

    Attributes:
        rejected: Points that InfluxDB has refused, so far.
    """

    def __init__(self, path: str, sink: Writes) -> None:
        """Open the journal.

        Raises:
            StoreError: It can't be.
        """
        self.rejected = 0
        self._path = path
        self._connection = connect(path)
        try:
            with translated(path):
                self._outbox = Outbox(self._connection)
                self._has_ended = read_run(self._connection, path).end_ns is not None
            self._reader = OutboxReader(path)
        except BaseException:
            self._connection.close()
            raise
        self._shipper = Shipper(self._reader.next, sink)

    @property
    def delivered(self) -> int:
        """Points that InfluxDB has taken."""
        return self._shipper.shipped

    @property
    def is_in_doubt(self) -> bool:
        """See `Shipper.is_in_doubt`."""
        return self._shipper.is_in_doubt

    @property
    def left(self) -> int:
        """Points that still wait."""
        return self._outbox.points

    def step(self) -> bool:
        """Make one request; return False if nothing is left.

        Raises:
            InfluxError: Call again later.
            StoreError: The journal can't be read or written.
        """
        more = self._shipper.step()
        delivered = self._shipper.take_delivered()
        self.rejected += len(delivered.rejected)
        if delivered.through_id:
            with translated(self._path), transaction(self._connection):
                self._outbox.settle(delivered)
        return more

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()
        disconnect(self._connection, for_good=self._has_ended)


def ship(journal_path: str, db: DbSection, deadline_s: float) -> Shipped:
    """Deliver what a run's outbox holds; return what became of it.

    Args:
        journal_path: Of a run that is not under way.
        db: Where to.
        deadline_s: Give up after so many seconds.

    Raises:
        StoreError: The journal can't be read, or InfluxDB fails again and again; one line says why.
    """
    if not has_leftovers(journal_path):
        return Shipped()
    sink = InfluxSink(db)
    leftover = Leftover(journal_path, sink)
    try:
        _ship(leftover, time.monotonic() + deadline_s)
        return Shipped(leftover.delivered, leftover.rejected, leftover.left)
    finally:
        leftover.close()
        sink.close()


def _ship(leftover: Leftover, deadline: float) -> None:
    failures = 0
    while time.monotonic() < deadline:
        try:
            if not leftover.step():
                return
            failures = failures if leftover.is_in_doubt else 0
        except AccessError:
            raise
        except InfluxError as exc:
            failures += 1
            if failures == FAILURES_MAX:
                raise
            time.sleep(min(retry_s(exc, failures), max(0.0, deadline - time.monotonic())))


def find_leftovers(folder: Path, *, but: str) -> list[str]:
    """Return the journals in `folder` with points to deliver; those that can't be read have none.

    Args:
        folder: Of the journals.
        but: The one of the run under way.
    """
    paths = sorted(str(path) for path in folder.glob(f"*{SUFFIX}"))
    found = []
    for path in paths:
        try:
            if path != but and has_leftovers(path):
                found.append(path)
        except StoreError:
            continue  # `downtimer runs` shows it
    return found


def has_leftovers(path: str) -> bool:
    """Tell whether a journal has points to deliver.

    Raises:
        StoreError: It can't be read.
    """
    connection = connect_to_read(path)
    try:
        with translated(path):
            (found,) = connection.execute("SELECT EXISTS (SELECT 1 FROM outbox)").fetchone()
            return bool(found)
    finally:
        connection.close()
