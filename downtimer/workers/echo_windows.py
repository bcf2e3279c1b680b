"""What came of the echoes to each address since the window began, as columns; for InfluxDB.

Owned by the icmp worker. Rows are those of `downtimer.workers.addresses`.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np
import numpy.typing as npt

from downtimer.messages import AddressWindow
from downtimer.model import TargetId
from downtimer.workers.windows import RoundTrips


class EchoWindows:
    """Round trips by row."""

    def __init__(self) -> None:
        self._sent = np.zeros(0, np.int64)
        self._lost = np.zeros(0, np.int64)
        self._min_ns = np.zeros(0, np.int64)
        self._max_ns = np.zeros(0, np.int64)
        self._sum_ns = np.zeros(0, np.int64)

    def make_room(self, rows: int) -> None:
        """Have room for so many."""
        more = rows - len(self._sent)
        if more > 0:
            self._sent, self._lost, self._min_ns, self._max_ns, self._sum_ns = (
                np.pad(column, (0, more))
                for column in (self._sent, self._lost, self._min_ns, self._max_ns, self._sum_ns)
            )

    def failed(self, row: int) -> None:
        """Count a probe that was not answered."""
        self._sent[row] += 1
        self._lost[row] += 1

    def answered(self, rows: npt.NDArray[np.intp], latencies_ns: npt.NDArray[np.int64]) -> None:
        """Count answers; no row comes twice."""
        is_first = self._sent[rows] == self._lost[rows]
        self._min_ns[rows] = np.where(is_first, latencies_ns, np.minimum(self._min_ns[rows], latencies_ns))
        self._max_ns[rows] = np.maximum(self._max_ns[rows], latencies_ns)
        self._sum_ns[rows] += latencies_ns
        self._sent[rows] += 1

    def take(self, ids: Sequence[TargetId | None], start_ns: int) -> Iterator[AddressWindow]:
        """Return what was counted since `start_ns`, to be made when it is asked for, and begin anew."""
        rows = [row for row in np.flatnonzero(self._sent).tolist() if ids[row] is not None]
        trips = list(map(RoundTrips, *(column[rows].tolist() for column in self._columns())))
        for column in self._columns():
            column[:] = 0
        targets = [target for row in rows if (target := ids[row]) is not None]
        return map(RoundTrips.message, trips, targets, repeat(start_ns))

    def forget(self, row: int) -> None:
        """Give a row free."""
        for column in self._columns():
            column[row] = 0

    def _columns(self) -> "tuple[npt.NDArray[np.int64], ...]":
        """Return them in the order of `RoundTrips`."""
        return self._sent, self._lost, self._min_ns, self._sum_ns, self._max_ns
