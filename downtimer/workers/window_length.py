"""How long the windows are over which InfluxDB is told of each address. Pure.

A point for each address and window is what addresses cost there: 100 a second for a thousand of them, 333 for
twenty thousand. A hundred thousand have none unless that is asked for.
"""

from collections.abc import Sequence
from typing import Final

from downtimer.model import SECOND_NS
from downtimer.sections import DbSection

LENGTHS: Final[Sequence[tuple[int, int]]] = ((1_000, 10 * SECOND_NS), (20_000, 60 * SECOND_NS))
"""Up to so many addresses windows are so long; beyond the last there are none."""


def window_ns(addresses: int, configured_s: float | None) -> int | None:
    """Return how long a window is; None if there is none.

    Args:
        addresses: How many are probed.
        configured_s: ``[db] address_window``: 0 for none, None for what fits the number of addresses.
    """
    if configured_s is not None:
        return round(configured_s * SECOND_NS) or None
    return next((length_ns for most, length_ns in LENGTHS if addresses <= most), None)


def window_of(db: DbSection | None, addresses: int) -> int | None:
    """Return how long a window is; None if there is none, or no InfluxDB that is told of any."""
    return None if db is None else window_ns(addresses, db.address_window)
