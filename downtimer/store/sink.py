"""Delivery of an outbox to InfluxDB: in order, each point at least once, none for ever.

One step is one request (three where the database is missing), each bounded in time. Points that InfluxDB
will not take are set apart: a batch that it rejects is halved until they are found. After one that took too
long they are smaller, for a slow InfluxDB, or a slow way to it, may yet take those in time.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from downtimer.sections import DbSection
from downtimer.store.facts import Delivered
from downtimer.store.influxclient import (
    ERROR_MAX,
    REQUEST_S,
    AccessError,
    Client,
    InfluxError,
    NoDatabaseError,
    RejectedError,
    SlowError,
)
from downtimer.store.outbox import LINES_MAX, Load

RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 30.0
ACCESS_RETRY_S: Final = 5.0
QUICK_S: Final = REQUEST_S / 4
"""A request that is answered within that could have had twice as many points."""

REFUSALS_MAX: Final = 32
"""If so many requests in a row are refused without a word of points, it may not be the points."""


class InfluxSink:
    """Where points go."""

    def __init__(self, db: DbSection, *, request_s: float = REQUEST_S) -> None:
        self._client = Client(db, request_s=request_s)

    def write(self, text: str) -> None:
        """Write points, a line each, as one request; a database that is missing is created.

        Raises:
            RejectedError: Some of the points are not to be had.
            InfluxError: Write them again later.
        """
        try:
            self._client.write(text)
        except NoDatabaseError as exc:
            self._create_database(exc)
            self._client.write(text)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _create_database(self, missing: NoDatabaseError) -> None:
        """Create the database. InfluxDB 2.x has buckets instead, which can't be created by way of 1.x."""
        try:
            self._client.create_database()
        except AccessError:
            raise
        except (InfluxError, RejectedError) as exc:
            name = self._client.database
            raise NoDatabaseError(
                f"{missing}; it can't be created ({exc}): for InfluxDB 2.x create a bucket, and map "
                f"database {name} to it (`influx v1 dbrp create --db {name}`)"
            ) from exc


class Writes(Protocol):
    """What a shipper needs of a sink."""

    def write(self, text: str) -> None:
        """Write points, see `InfluxSink.write`."""


class Shipper:
    """Ships one outbox. `step` is called again and again; what it did is fetched with `take_delivered`.

    Attributes:
        shipped: Points that InfluxDB has taken.
        rejection: Why it has rejected the last that it did not take; None if there is none.
    """

    def __init__(
        self,
        next_load: Callable[[int], Load | None],
        sink: Writes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with what the outbox has.

        Args:
            next_load: Returns what follows a row of the outbox, see `OutboxReader.next`.
            sink: Where to.
            clock: Seconds; tells how long a request took.
        """
        self.shipped = 0
        self.rejection: str | None = None
        self._next_load = next_load
        self._sink = sink
        self._clock = clock
        self._most = LINES_MAX  # points in a request
        self._through_id = 0
        self._parted: _Parted | None = None
        self._delivered = Delivered()

    def step(self) -> bool:
        """Make one request; return False if there was nothing to ship.

        Raises:
            InfluxError: Nothing was shipped; call again later.
            StoreError: The outbox can't be read.
        """
        if self._parted is None:
            load = self._next_load(self._through_id)
            if load is None:
                return False
            if load.points <= self._most:
                self._ship(load)
                return True
            self._parted = _Parted(load)
        self._ship_part(self._parted)
        return True

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether the last request was refused, and nothing shows yet that points are to blame."""
        return self._parted is not None and self._parted.is_in_doubt()

    @property
    def delivered_points(self) -> int:
        """How many points `take_delivered` would tell of."""
        return self._delivered.points

    def take_delivered(self) -> Delivered:
        """Return what was delivered since the last call."""
        delivered, self._delivered = self._delivered, Delivered()
        return delivered

    def _ship(self, load: Load) -> None:
        """Ship what nearly always is taken as it is."""
        try:
            self._write(load.text(), load.points)
        except RejectedError as exc:
            self._parted = _Parted(load)
            self._reject(self._parted, exc)
        else:
            self.shipped += load.points
            self._note_delivered(load)

    def _ship_part(self, parted: "_Parted") -> None:
        part = parted.next(self._most)
        try:
            self._write("\n".join(part), len(part))
        except RejectedError as exc:
            self._reject(parted, exc)
        else:
            parted.took()
            self.shipped += len(part)
            self._end(parted)

    def _write(self, text: str, points: int) -> None:
        """Write them, and learn how many points a request may have: those that take long shall not grow."""
        began_s = self._clock()
        try:
            self._sink.write(text)
        except SlowError:
            self._most = max(1, points // 2)
            raise
        if points == self._most and self._clock() - began_s < QUICK_S:
            self._most = min(2 * self._most, LINES_MAX)

    def _reject(self, parted: "_Parted", exc: RejectedError) -> None:
        """Note that the next part was rejected, in whole or in part.

        Raises:
            InfluxError: Nothing proves that points are to blame. They stay where they are.
        """
        parted.reject(exc)
        if parted.is_hopeless():
            self._parted = None
            raise InfluxError(f"{exc} (nothing of this was taken)") from exc
        self._end(parted)

    def _end(self, parted: "_Parted") -> None:
        """Be done with a load, if it is."""
        if parted.is_done():
            self._parted = None
            if parted.rejected:
                self.rejection = parted.rejected[-1][0]
            self._note_delivered(parted.load, parted.rejected)

    def _note_delivered(self, load: Load, rejected: Sequence[tuple[str, str]] = ()) -> None:
        """A whole load is done with; the object is replaced, as another thread may take it."""
        before = self._delivered
        self._through_id = load.through_id
        self._delivered = Delivered(
            through_id=load.through_id,
            points=before.points + load.points,
            rejected=[*before.rejected, *rejected],
        )


class _Parted:
    """A load that is too much for one request, or was rejected; its parts are halved until they pass.

    A refusal that does not blame points may be about anything. A point that was refused like that is set
    apart only if others are taken afterwards; where none are left, what was taken last is sent once more.

    Attributes:
        load: It.
        rejected: What was rejected, each with the reason.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.rejected: list[tuple[str, str]] = []
        self._parts = [load.lines()]  # the next one last
        self._next = self._parts[0][:]
        self._suspects: list[tuple[str, str]] = []
        self._witness: list[str] | None = None  # what was taken last
        self._asks_witness = False
        self._unsure = 0  # refusals that blame no points, since something was taken
        self._is_hopeless = False

    def next(self, most: int) -> list[str]:
        """Return the next part, of so many points at most."""
        self._asks_witness = self._witness is not None and (
            self._unsure >= REFUSALS_MAX or (not self._parts and bool(self._suspects))
        )
        self._next = self._parts[-1][:most] if not self._asks_witness else (self._witness or [])[:most]
        return self._next

    def took(self) -> None:
        """The next part was taken."""
        if not self._asks_witness:
            self._remove_next()
        self._witness = self._next
        self._unsure = 0
        self.rejected += self._suspects
        self._suspects = []

    def reject(self, exc: RejectedError) -> None:
        """The next part was rejected. Only a point alone is known to be to blame, or all of them."""
        if self._asks_witness:
            self._is_hopeless = True
            return
        part = self._next
        self._remove_next()
        self._unsure = 0 if exc.is_sure else self._unsure + 1
        if len(part) > 1 and exc.dropped != len(part):
            half = len(part) // 2
            self._parts += [part[half:], part[:half]]
        else:
            found = self.rejected if exc.is_sure else self._suspects
            found += ((str(exc)[:ERROR_MAX], line) for line in part)

    def _remove_next(self) -> None:
        del self._parts[-1][: len(self._next)]
        if not self._parts[-1]:
            self._parts.pop()

    def is_done(self) -> bool:
        """Tell whether no part is left."""
        return not self._parts and not self._suspects

    def is_in_doubt(self) -> bool:
        """Tell whether the last was refused, without anything to show that points are to blame."""
        return self._unsure > 0

    def is_hopeless(self) -> bool:
        """Tell whether it is not about points: nothing is taken any more, not even what once was."""
        no_more = self._unsure >= REFUSALS_MAX or not self._parts
        return self._is_hopeless or (self.is_in_doubt() and self._witness is None and no_more)


def retry_s(exc: InfluxError, failures: int) -> float:
    """Return how long to wait after so many failures in a row; credentials seldom mend themselves."""
    if isinstance(exc, AccessError):
        return ACCESS_RETRY_S
    backoff_s = float(min(RETRY_MAX_S, RETRY_S * 2 ** min(failures - 1, 10)))
    return backoff_s if exc.retry_after_s is None else max(backoff_s, exc.retry_after_s)
