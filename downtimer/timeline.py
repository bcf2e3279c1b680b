"""Spans of one target -> when it was slow, and when it was not observed: what a picture of it needs. Pure.

From the same cells as the figures (`downtimer.outages`), so that the lengths here sum up to them. Outages are
among the figures already, with their bounds.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from downtimer.findings import TargetSummary
from downtimer.intervals import Interval, overlaps, subtract
from downtimer.model import Span, TargetState
from downtimer.outages import Seen, look
from downtimer.verdicts import HELD_UP


class Unobserved(NamedTuple):
    """A stretch of time without a verdict.

    Attributes:
        start_ns: Its beginning.
        end_ns: Its end.
        causes: Why; more than one where what is known of it does not tell them apart. The first check that
            has any has its say.
    """

    start_ns: int
    end_ns: int
    causes: tuple[str, ...]


class Timeline(NamedTuple):
    """What became of a target when, outages aside; in order of time, and nothing overlaps.

    Attributes:
        slow: Good answers were late, and no check failed.
        unobserved: No check said anything.
    """

    slow: Sequence[Interval] = ()
    unobserved: Sequence[Unobserved] = ()


NOTHING: Final = Timeline()


def find_timeline(state: TargetState, spans: Sequence[Span], figures: TargetSummary) -> Timeline:
    """Return when a target was slow, and when it was not observed.

    Args:
        state: The target.
        spans: As `downtimer.outages.summarize` got them.
        figures: What it made of them; of most targets they tell that there is nothing to find.
    """
    if not figures.slow_ns and not figures.unobserved:
        return NOTHING
    sight = look(state, spans)
    if sight is None:
        return NOTHING
    _, slow, observed = sight.unite()
    return Timeline(slow, _explain(subtract([sight.window], observed), sight.seen))


def _explain(unobserved: list[Interval], seen: Sequence[Seen]) -> list[Unobserved]:
    """Return the stretches by cause; where checks differ, the first has its say."""
    found: list[Unobserved] = []
    for one in seen:
        cells = [(cell.start_ns, cell.end_ns) for cell in one.unknown]
        for (start_ns, end_ns), index in overlaps(unobserved, cells):
            found.append(Unobserved(start_ns, end_ns, tuple(one.unknown[index].causes)))
        unobserved = subtract(unobserved, cells)
    found += (Unobserved(start_ns, end_ns, (HELD_UP,)) for start_ns, end_ns in unobserved)
    return _join(sorted(found))


def _join(stretches: Sequence[Unobserved]) -> list[Unobserved]:
    """Return them with those joined that touch and have the same causes."""
    joined: list[Unobserved] = []
    for stretch in stretches:
        if joined and joined[-1].end_ns == stretch.start_ns and joined[-1].causes == stretch.causes:
            joined[-1] = joined[-1]._replace(end_ns=stretch.end_ns)
        else:
            joined.append(stretch)
    return joined
