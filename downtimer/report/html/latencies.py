"""How soon services answered, as the page's script gets it. Pure.

A day has 8,640 windows of a check, more than a chart has pixels. So many neighbours are joined that no check
has more than `POINTS_MAX`, and all of them together no more than `ALL_MAX`.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from downtimer.model import Latency
from downtimer.printable import printable
from downtimer.report.html.data import Milliseconds

POINTS_MAX: Final = 1_000
ALL_MAX: Final = 40_000
_MICROSECOND_NS: Final = 1_000


def describe_latencies(windows: Sequence[Latency], ms: Milliseconds, points: int) -> list[Any]:
    """Return the series of a service's checks: name, starts in ms, then min, median, max in us.

    Starts are distances to the one before, so that they are short.

    Args:
        windows: Of all its checks, by check and time.
        ms: Of the run.
        points: No check gets more.
    """
    return [
        _series(check, _thinned(list(theirs), points), ms)
        for check, theirs in groupby(windows, key=attrgetter("check"))
    ]


def points_of_each(checks: int) -> int:
    """Return how many points a check may have, if there are so many checks."""
    return max(2, min(POINTS_MAX, ALL_MAX // max(checks, 1)))


def _series(check: str, windows: Sequence[Latency], ms: Milliseconds) -> list[Any]:
    starts = [ms.at(window.start_ns) for window in windows]
    return [
        printable(check),
        [after - before for before, after in zip([0, *starts], starts, strict=False)],
        [window.min_ns // _MICROSECOND_NS for window in windows],
        [window.median_ns // _MICROSECOND_NS for window in windows],
        [window.max_ns // _MICROSECOND_NS for window in windows],
    ]


def _thinned(windows: Sequence[Latency], points: int) -> list[Latency]:
    joined = -(-len(windows) // points)
    return [_join(windows[i : i + joined]) for i in range(0, len(windows), joined)] if windows else []


def _join(windows: Sequence[Latency]) -> Latency:
    """Return windows as one; its median is the middle one of theirs."""
    ordered = sorted(windows, key=attrgetter("median_ns"))
    return Latency(
        check=windows[0].check,
        start_ns=windows[0].start_ns,
        answers=sum(window.answers for window in windows),
        min_ns=min(window.min_ns for window in windows),
        median_ns=ordered[len(ordered) // 2].median_ns,
        max_ns=max(window.max_ns for window in windows),
    )
