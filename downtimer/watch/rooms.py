"""How the rows of a terminal are shared out between what a watch has to show. Pure."""

from typing import Final, NamedTuple

_HEAD: Final = 2
"""Rows that a section takes beside its own: an empty one, and its head."""

_LEAST: Final = _HEAD + 1


class Rooms(NamedTuple):
    """Rows for each section, heads included but for marks; 0: it is not shown. `spare`: what is left."""

    services: int
    addresses: int
    marks: int
    spare: int


def share(free: int, *, unwell: int, services: int, addresses: int, marks: int) -> Rooms:
    """Share out rows.

    Services that are not up come first, yet addresses keep a third; then come marks; then the other services.

    Args:
        free: Rows to be shared.
        unwell: Services that are not up.
        services: All services.
        addresses: Addresses that are down.
        marks: Marks that there are to show.
    """
    left = max(free, 0)
    for_addresses = _section(
        addresses, left if not services else max(left // 3, left - _HEAD - max(unwell, 1))
    )
    left -= for_addresses
    least_services = _section(unwell, left) if unwell else min(_LEAST, left) if services else 0
    for_marks = min(marks, max(left - least_services - _HEAD, 0))
    left -= for_marks + _HEAD if for_marks else 0
    for_services = _section(services, left)
    left -= for_services
    return Rooms(for_services, for_addresses, for_marks, left)


def _section(items: int, most: int) -> int:
    """Return the rows of a section that may have so many; none if not even one item fits."""
    wanted = items + _HEAD if items else 0
    given = min(wanted, most)
    return given if given >= _LEAST else 0
