"""Delivery of an outbox to InfluxDB: in order, each point at least once, none for ever.

One step is one request, so that whoever runs it can put a deadline on each. Points of which InfluxDB
will take none are set apart: a batch that it rejects is halved until they are found.
"""

from collections.abc import Callable
from typing import Final, Protocol

from downtimer.config import DbSection
from downtimer.store.facts import Delivered
from downtimer.store.influxclient import (
    ERROR_MAX,
    AccessError,
    Client,
    InfluxError,
    NoDatabaseError,
    RejectedError,
)
from downtimer.store.outbox import Load

RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 30.0
ACCESS_RETRY_S: Final = 60.0


class InfluxSink:
    """Where points go."""

    def __init__(self, db: DbSection) -> None:
        self._client = Client(db)

    def write(self, text: str) -> None:
        """Write points, a line each, as one request; a database that is missing is created.

        Raises:
            RejectedError: Some of the points are not to be had.
            InfluxError: Write them again later.
        """
        try:
            self._client.write(text)
        except NoDatabaseError:
            self._client.create_database()
            self._client.write(text)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class Writes(Protocol):
    """What a shipper needs of a sink."""

    def write(self, text: str) -> None:
        """Write points, see `InfluxSink.write`."""


class Shipper:
    """Ships one outbox. `step` is called again and again; what it did is fetched with `take_delivered`.

    Attributes:
        shipped: Points that InfluxDB has taken.
    """

    def __init__(self, next_load: Callable[[int], Load | None], sink: Writes) -> None:
        """`next_load` returns what follows a row of the outbox, see `OutboxReader.next`."""
        self.shipped = 0
        self._next_load = next_load
        self._sink = sink
        self._load = Load(0)
        self._parts: list[list[str]] = []  # of a load that was rejected as a whole, the next one last
        self._rejected: list[tuple[str, str]] = []  # of the load
        self._delivered = Delivered()

    def step(self) -> bool:
        """Make one request; return False if there was nothing to ship.

        Raises:
            InfluxError: Nothing was shipped; call again later.
            StoreError: The outbox can't be read.
        """
        if self._parts:
            self._ship_part()
        else:
            load = self._next_load(self._load.through_id)
            if load is None:
                return False
            self._ship(load)
        if not self._parts:
            self._note_delivered()
        return True

    def _ship(self, load: Load) -> None:
        """Ship what nearly always is taken as it is."""
        try:
            self._sink.write(load.text())
        except RejectedError as exc:
            self._load = load
            self._part_or_reject(load.lines(), exc)
        else:
            self._load = load
            self.shipped += load.points

    def _ship_part(self) -> None:
        part = self._parts[-1]
        try:
            self._sink.write("\n".join(part))
        except RejectedError as exc:
            self._parts.pop()
            self._part_or_reject(part, exc)
        else:
            self._parts.pop()
            self.shipped += len(part)

    @property
    def delivered_points(self) -> int:
        """How many points `take_delivered` would tell of."""
        return self._delivered.points

    def take_delivered(self) -> Delivered:
        """Return what was delivered since the last call."""
        delivered, self._delivered = self._delivered, Delivered()
        return delivered

    def _part_or_reject(self, part: list[str], exc: RejectedError) -> None:
        if len(part) == 1 or exc.dropped == len(part):
            self._rejected.extend((str(exc)[:ERROR_MAX], line) for line in part)
            return
        half = len(part) // 2
        self._parts += [part[half:], part[:half]]

    def _note_delivered(self) -> None:
        """A whole load is done with; the object is replaced, as another thread may take it."""
        before = self._delivered
        self._delivered = Delivered(
            through_id=self._load.through_id,
            points=before.points + self._load.points,
            rejected=before.rejected + self._rejected,
        )
        self._rejected = []


def retry_s(exc: InfluxError, failures: int) -> float:
    """Return how long to wait after so many failures in a row; credentials seldom mend themselves."""
    if isinstance(exc, AccessError):
        return ACCESS_RETRY_S
    return float(min(RETRY_MAX_S, RETRY_S * 2 ** min(failures - 1, 10)))
