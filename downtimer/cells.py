"""Spans of one check -> cells: what was observed when, and why the rest was not.

Pure. The cells of a check tile the time from its first probe to its last without a hole:

- The time between two neighbouring known probes is *observed* if one incarnation sent both, they
  are at most `max_gap` apart and no unknown probe lies between. It has their verdict; where they
  differ it is split at the dated instant, if there is one, else at the midpoint.
- The `max_gap` that rules between two spans is the earlier one's: it was in force at its last
  probe, which is when the next probe was planned. A rate that falls later does not turn what was
  a gap into observed time. Within a span all probes are near enough by construction.
- Between two incarnations the cause is ``restart``, however short the time; a pause is no work of any.
  Next to unknown probes it is theirs, and between two unknown spans each has its half. A gap that
  is left has the cause ``stall``.
- A probe that hung on is known to hang until `watched_ns`, also if what follows is a gap.
- An unknown span with several causes shares its time among them as its probes are shared.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec.structs import replace

from downtimer.model import Span, Verdict
from downtimer.verdicts import HELD_UP

_NONE: Final[Mapping[str, int]] = MappingProxyType({})
_RESTART: Final[Mapping[str, int]] = MappingProxyType({"restart": 1})
_STALL: Final[Mapping[str, int]] = MappingProxyType({HELD_UP: 1})


_FIRST_SENT: Final = attrgetter("first_sent_ns")


class Cell(NamedTuple):
    """A stretch of time with one verdict; ``unknown`` means not observed, with weights by cause."""

    start_ns: int
    end_ns: int
    verdict: Verdict
    causes: Mapping[str, int] = _NONE


def is_good(span: Span) -> bool:
    """Tell whether the span's probes had good answers, late or not."""
    return span.verdict is Verdict.UP or span.verdict is Verdict.SLOW


def is_observed_between(before: Span, after: Span) -> bool:
    """Tell whether the time from the last probe of `before` to the first of `after` is observed."""
    return (
        after.first_sent_ns - before.last_sent_ns <= before.max_gap_ns
        and before.incarnation == after.incarnation
        and before.verdict is not Verdict.UNKNOWN
        and after.verdict is not Verdict.UNKNOWN
    )


def edge_between(before: Span, after: Span) -> int:
    """Return the instant at which one verdict gives way to the next, in observed time."""
    if after.dated_ns is not None:
        return min(max(after.dated_ns, before.last_sent_ns), after.first_sent_ns)
    return (before.last_sent_ns + after.first_sent_ns) // 2


def find_edges(spans: Sequence[Span]) -> list[int | None]:
    """Return `edge_between` each two neighbours, None where the time between them was not observed."""
    return [
        edge_between(before, after) if is_observed_between(before, after) else None
        for before, after in pairwise(spans)
    ]


def tile(spans: Sequence[Span], edges: Sequence[int | None]) -> list[Cell]:
    """Return the cells of one check, in order, without holes; some may have no length.

    Args:
        spans: Of one check, at least one, ordered and not overlapping.
        edges: See `find_edges`.
    """
    cells: list[Cell] = []
    start_ns = spans[0].first_sent_ns
    for (before, after), edge_ns in zip(pairwise(spans), edges, strict=True):
        if edge_ns is None:
            cells.append(_cell(start_ns, before.known_ns, before))
            cells.extend(_unobserved_between(before, after))
            start_ns = after.first_sent_ns
        elif before.verdict is not after.verdict:
            cells.append(Cell(start_ns, edge_ns, before.verdict))
            start_ns = edge_ns
    cells.append(_cell(start_ns, spans[-1].known_ns, spans[-1]))
    return cells


def apportion(amount: int, causes: Mapping[str, int]) -> dict[str, int]:
    """Share `amount` among the causes by their weights; the parts sum up exactly.

    What integer division leaves over goes to the heaviest cause.
    """
    weights = {cause: weight for cause, weight in causes.items() if weight > 0} or _STALL
    total = sum(weights.values())
    shares = {cause: amount * weight // total for cause, weight in weights.items()}
    heaviest = min(weights, key=lambda cause: (-weights[cause], cause))
    shares[heaviest] += amount - sum(shares.values())
    return shares


def order(spans: Sequence[Span]) -> list[Span]:
    """Return the spans of one check by time, none reaching into the next.

    Overlap is not to be expected; if a dead worker's progress claims more than its successor
    leaves room for, what was really sent wins.
    """
    ordered = sorted(spans, key=_FIRST_SENT)
    for i, (before, after) in enumerate(pairwise(ordered)):
        first_ns = after.first_sent_ns
        if before.known_ns > first_ns:
            ordered[i] = replace(
                before,
                last_sent_ns=min(before.last_sent_ns, first_ns),
                watched_ns=None if before.watched_ns is None else first_ns,
            )
    return ordered


def clip(spans: Sequence[Span], until_ns: int) -> list[Span]:
    """Return the ordered spans of one check as they would be had probing ended at `until_ns`.

    A span across that instant loses its later probes, by proportion. Where the instant lies
    between two spans, the later stays with its beginning and no probes, for it still tells what
    the time before it was: cells and outages are cut at `until_ns` by whoever makes them.
    """
    clipped: list[Span] = []
    for span in spans:
        if span.last_sent_ns <= until_ns:
            clipped.append(span)
        elif span.first_sent_ns <= until_ns:
            return [*clipped, _shorten(span, until_ns)]
        elif clipped and clipped[-1].last_sent_ns < until_ns:
            first_ns = span.first_sent_ns
            bare = replace(span, last_sent_ns=first_ns, probes=0, widest_ns=0, causes=_NONE, watched_ns=None)
            return [*clipped, bare]
        else:
            break
    return clipped


def _part(span: Span, first_ns: int, last_ns: int) -> Span:
    """Return a part of a span; its probes are taken as evenly spread."""
    length_ns = span.last_sent_ns - span.first_sent_ns
    probes = max(1, round(span.probes * (last_ns - first_ns) / length_ns)) if length_ns else span.probes
    dated_ns = span.dated_ns if first_ns == span.first_sent_ns else None
    return replace(
        span,
        first_sent_ns=first_ns,
        last_sent_ns=last_ns,
        probes=probes,
        causes=apportion(probes, span.causes),
        dated_ns=dated_ns,
        watched_ns=span.watched_ns if last_ns == span.last_sent_ns else None,
    )


def take_out(span: Span, start_ns: int, end_ns: int, cause: str) -> tuple[list[Span], Span | None]:
    """Return a span whose probes of an interval, which it overlaps, are unknown, and what is left behind it.

    When each probe was sent is not known, only how far apart they are at most. What is left on either
    side is shortened by that, so that it never claims a failure that may have been within the interval.

    Returns:
        What is known up to the end of the interval, and the rest; None if there is none.
    """
    done = []
    if span.first_sent_ns < start_ns:
        done.append(_part(span, span.first_sent_ns, max(span.first_sent_ns, start_ns - span.widest_ns)))
    within = _part(span, max(span.first_sent_ns, start_ns), min(span.last_sent_ns, end_ns))
    done.append(replace(within, verdict=Verdict.UNKNOWN, causes={cause: within.probes}, watched_ns=None))
    if span.last_sent_ns <= end_ns:
        return done, None
    return done, _part(span, min(end_ns + span.widest_ns, span.last_sent_ns), span.last_sent_ns)


def _cell(start_ns: int, end_ns: int, span: Span) -> Cell:
    causes = span.causes if span.verdict is Verdict.UNKNOWN else _NONE
    return Cell(start_ns, end_ns, span.verdict, causes)


def _unobserved_between(before: Span, after: Span) -> Iterator[Cell]:
    start_ns, end_ns = before.known_ns, after.first_sent_ns
    if before.incarnation != after.incarnation and before.incarnation and after.incarnation:
        yield Cell(start_ns, end_ns, Verdict.UNKNOWN, _RESTART)
        return
    unknown = [span.causes for span in (before, after) if span.verdict is Verdict.UNKNOWN] or [_STALL]
    middle_ns = (start_ns + end_ns) // 2
    yield Cell(start_ns, middle_ns, Verdict.UNKNOWN, unknown[0])
    yield Cell(middle_ns, end_ns, Verdict.UNKNOWN, unknown[-1])


def _shorten(span: Span, until_ns: int) -> Span:
    """Return the span without its probes after `until_ns`, taken as evenly spread."""
    kept_ns, length_ns = until_ns - span.first_sent_ns, span.last_sent_ns - span.first_sent_ns
    probes = 1 + max(span.probes - 1, 0) * kept_ns // length_ns
    causes = apportion(probes, span.causes) if span.causes else span.causes
    return replace(span, last_sent_ns=until_ns, probes=probes, causes=causes, watched_ns=None)
