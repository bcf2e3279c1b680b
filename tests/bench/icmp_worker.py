"""The icmp worker as it is, but that it keeps count of what it sends, in a file that others may read.

The file's name comes from the environment. It holds how many echoes were sent to calm addresses, then how
many of these so many tenths of a millisecond after they were due, the last for all that were later.
"""

import mmap
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from downtimer.workers import icmp, worker
from downtimer.workers.addresses import Addresses, Instants, Nonces, Rows

VARIABLE: Final = "DOWNTIMER_BENCH_COUNTS"
SIZE: Final = 2_000
UNIT_NS: Final = 100_000


def open_counts(path: Path, access: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return the counts in a file."""
    with path.open("r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=access), np.int64)


def _count() -> None:
    counts = open_counts(Path(os.environ[VARIABLE]), mmap.ACCESS_WRITE)
    issue = Addresses.issue

    def counted(
        addresses: Addresses,
        rows: Rows,
        sent_ns: Instants,
        nonces: Nonces,
        *,
        interval_ns: int,
        gap_ns: int,
    ) -> None:
        late = np.minimum((sent_ns - addresses.due_ns[rows]) // UNIT_NS, SIZE - 2)
        counts[0] += len(rows)
        counts[1:] += np.bincount(np.maximum(late, 0), minlength=SIZE - 1)
        issue(addresses, rows, sent_ns, nonces, interval_ns=interval_ns, gap_ns=gap_ns)

    Addresses.issue = counted  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    _count()
    worker.main("icmp", icmp.body)
