"""When the user had the measurement rest, and what that makes of the spans around it. Pure.

A pause is a fact of the run, told by two events: one when the last probe was resolved, one before the next
was sent. Nothing is recorded of any target. So a pause holds for every check alike, whatever became of
processes meanwhile, and whoever has a run's events has its pauses. Runs where reports are made, and in the
supervisor as it goes on with a run that was cut off.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from downtimer.intervals import Interval
from downtimer.model import NEVER_NS, Event, Incarnation, Span, Verdict

PAUSE: Final = "pause"
"""Kind of the event from which on no probe is sent."""

UNPAUSE: Final = "unpause"
"""Kind of the event from which on probes are sent again."""

CAUSE: Final = "paused"


def find_pauses(events: Iterable[Event]) -> list[Interval]:
    """Return when probing rested, in order; one that has not ended lasts for ever.

    Args:
        events: Of the run, by instant.
    """
    found: list[Interval] = []
    for event in events:
        is_resting = bool(found) and found[-1][1] == NEVER_NS
        if event.kind == PAUSE and not is_resting:
            found.append((event.at_ns, NEVER_NS))
        elif event.kind == UNPAUSE and is_resting:
            found[-1] = (found[-1][0], event.at_ns)
    return found


def paused_since_ns(events: Iterable[Event]) -> int | None:
    """Return since when probing rests; None if it does not."""
    pauses = find_pauses(events)
    return pauses[-1][0] if pauses and pauses[-1][1] == NEVER_NS else None


def put_in(spans: Sequence[Span], pauses: Sequence[Interval]) -> Sequence[Span]:
    """Return the spans of a target with one more for each pause between two of them: it says nothing.

    A pause before its first probe or after its last is in no window, so it is in no figure.

    Args:
        spans: By check and instant.
        pauses: In order.
    """
    if not pauses or not spans:
        return spans
    found = [spans[0]]
    for before, after in pairwise(spans):
        if before.check == after.check:
            found.extend(_between(before, after, pauses))
        found.append(after)
    return found


def _between(before: Span, after: Span, pauses: Iterable[Interval]) -> Iterator[Span]:
    for start_ns, end_ns in pauses:
        first_ns, last_ns = max(start_ns, before.known_ns), min(end_ns, after.first_sent_ns)
        if first_ns < last_ns:
            yield Span(
                target=before.target,
                check=before.check,
                verdict=Verdict.UNKNOWN,
                first_sent_ns=first_ns,
                last_sent_ns=last_ns,
                probes=0,
                causes={CAUSE: 1},
                max_gap_ns=0,
                incarnation=Incarnation(""),
            )
