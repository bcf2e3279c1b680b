"""Sets of instants as sorted lists of intervals, and their measure. Pure integer arithmetic."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

Interval = tuple[int, int]
"""Start and end, ns, start <= end. As sets these have a length only; ends are in neither or both."""


def unite(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union: sorted, disjoint, touching ones joined, empty ones left out."""
    united: list[Interval] = []
    for start, end in sorted(intervals):  # quick where they are sorted already
        if united and start <= united[-1][1]:
            if end > united[-1][1]:
                united[-1] = (united[-1][0], end)
        elif start < end:
            united.append((start, end))
    return united


def measure(intervals: Iterable[Interval]) -> int:
    """Return the total length of intervals that do not overlap."""
    total = 0
    for start, end in intervals:
        total += end - start
    return total


def overlaps(left: Sequence[Interval], right: Sequence[Interval]) -> Iterator[tuple[Interval, int]]:
    """Yield each common part of two sorted, disjoint lists, with its index in `right`."""
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            yield (start, end), j
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1


def subtract(whole: Sequence[Interval], cut: Sequence[Interval]) -> list[Interval]:
    """Return what of `whole` is not in `cut`; both sorted and disjoint."""
    rest: list[Interval] = []
    j = 0
    for start, end in whole:
        cursor = start
        while j < len(cut) and cut[j][1] <= cursor:
            j += 1
        k = j
        while k < len(cut) and cut[k][0] < end:
            if cursor < cut[k][0]:
                rest.append((cursor, cut[k][0]))
            cursor = max(cursor, cut[k][1])
            k += 1
        if cursor < end:
            rest.append((cursor, end))
    return rest


class Cover:
    """A united list of intervals that answers many questions about parts of it, each in log time."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self._intervals = intervals
        self._starts = [start for start, _ in intervals]
        self._before = [0, *accumulate(end - start for start, end in intervals)]

    def measure_between(self, start_ns: int, end_ns: int) -> int:
        """Return how much of [start_ns, end_ns] is covered."""
        if not self._intervals:
            return 0
        return self._measure_until(end_ns) - self._measure_until(start_ns)

    def longest_between(self, start_ns: int, end_ns: int) -> int:
        """Return the longest stretch of [start_ns, end_ns] that is covered without a break."""
        first = max(bisect_right(self._starts, start_ns) - 1, 0)
        longest = 0
        for start, end in self._intervals[first : bisect_right(self._starts, end_ns)]:
            longest = max(longest, min(end, end_ns) - max(start, start_ns))
        return longest

    def _measure_until(self, instant_ns: int) -> int:
        index = bisect_right(self._starts, instant_ns)
        if index == 0:
            return 0
        overshoot = max(self._intervals[index - 1][1] - instant_ns, 0)
        return self._before[index] - overshoot
