"""The checks of one service that fail together, and recover together, did so at one instant. Pure.

A check that is seldom probed leaves a wide bracket for each of its edges, and its midpoint would have a
service fail seconds before the check that is often probed saw it well. Where the brackets of two checks
overlap, both are taken to have changed within what they have in common, and the estimate lies there. It is
an estimate only: what the probes prove, the bracket itself, stays as it is, and with it the bounds. An edge
that is dated already stays, too. A check that was well until the hung call of another one kept it from its
probes has no edge there itself; to the other's it is a witness like any.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from msgspec.structs import replace

from downtimer.cells import edge_between, is_good, is_observed_between
from downtimer.model import MILLISECOND_NS, Span
from downtimer.verdicts import KEPT

NEAR_NS: Final = 200 * MILLISECOND_NS
"""What is sent so shortly before a service fails is still being answered when it does, and fails with it."""


class _Turn(NamedTuple):
    """A change between good and down, as one check saw it.

    Attributes:
        after_ns: The last probe before it.
        by_ns: The first probe after it.
        at_ns: The estimate.
        is_failure: Whether it is from good to down.
        number: Of the span that begins with it.
        is_kept: It was not seen: from `after_ns` on the hung call of another check kept this one from its
            probes. It is known to have been well until then, and `by_ns` is how far that says anything.
    """

    after_ns: int
    by_ns: int
    at_ns: int
    is_failure: bool
    number: int
    is_kept: bool = False

    def common(self, other: "_Turn") -> "_Turn | None":
        """Return this one with the bracket that both have in common; None if it is no narrower."""
        after_ns, by_ns = max(self.after_ns, other.after_ns), min(self.by_ns, other.by_ns)
        if after_ns - by_ns > (NEAR_NS if self.is_failure else 0):
            return None
        after_ns = min(after_ns, by_ns)
        if by_ns - after_ns >= self.by_ns - self.after_ns:
            return None
        at_ns = min(max(other.at_ns, after_ns), by_ns)
        if other.at_ns != at_ns or other.by_ns - other.after_ns > by_ns - after_ns:
            at_ns = (after_ns + by_ns) // 2
        return self._replace(after_ns=after_ns, by_ns=by_ns, at_ns=at_ns)


def join_edges(series: Sequence[list[Span]]) -> list[list[Span]]:
    """Return the spans of a service's checks, their edges dated by each other.

    Args:
        series: Of each check, in order and not overlapping.
    """
    if len(series) < 2:
        return list(series)
    turns = [list(_turns(spans)) for spans in series]
    return [_dated(spans, turns, i) for i, spans in enumerate(series)]


def _turns(spans: Sequence[Span]) -> Iterator[_Turn]:
    for number, (before, after) in enumerate(pairwise(spans), start=1):
        if is_observed_between(before, after) and is_good(before) is not is_good(after):
            at_ns = edge_between(before, after)
            yield _Turn(before.last_sent_ns, after.first_sent_ns, at_ns, is_good(before), number)
        elif is_good(before) and after.causes.keys() == {KEPT} and before.incarnation == after.incarnation:
            after_ns, by_ns = before.last_sent_ns, before.last_sent_ns + before.max_gap_ns
            at_ns = (after_ns + by_ns) // 2
            yield _Turn(after_ns, by_ns, at_ns, is_failure=True, number=number, is_kept=True)


def _dated(spans: list[Span], turns: Sequence[Sequence[_Turn]], mine: int) -> list[Span]:
    """Return one check's spans, dated by what the others saw."""
    found = list(spans)
    for turn in turns[mine]:
        if turn.is_kept or spans[turn.number].dated_ns is not None:
            continue  # it knows nothing, or better
        joined = turn
        for i, others in enumerate(turns):
            other = None if i == mine else _partner(turn, others)
            joined = (joined.common(other) if other is not None else None) or joined
        if joined is not turn:
            found[turn.number] = replace(found[turn.number], dated_ns=joined.at_ns)
    return found


def _partner(turn: _Turn, others: Sequence[_Turn]) -> _Turn | None:
    """Return the turn of another check that may be the same change; None if it saw none such.

    Of several it is the last before this check's own word: what was over by then is another matter.
    """
    until_ns = turn.by_ns + (NEAR_NS if turn.is_failure else 0)
    i = bisect_left(others, until_ns, key=lambda other: other.after_ns)
    if i == 0:
        return None
    other = others[i - 1]
    if other.is_failure is not turn.is_failure or other.by_ns <= turn.after_ns:
        return None
    return None if other.is_kept and other.by_ns < turn.by_ns else other
