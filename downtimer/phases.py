"""Intervals of a target -> its figures in each phase of the run. Pure.

The phases tile the run. What a target has before the first or after the last of them counts to these, so that
the parts sum up to the whole, to the nanosecond.
"""

from collections.abc import Iterator, Sequence

from downtimer.findings import PhaseFigures
from downtimer.intervals import Cover, Interval
from downtimer.model import NEVER_NS, Phase


def figures_by_phase(
    phases: Sequence[Phase],
    *,
    down: Sequence[Interval],
    proven: Sequence[Interval],
    outer: Sequence[Interval],
    observed: Sequence[Interval],
) -> tuple[PhaseFigures, ...]:
    """Return the figures of each phase.

    Args:
        phases: Of the run, in order; none lies between two of them.
        down: When the target was down, as estimated. This and the rest are united lists.
        proven: When it was down for sure.
        outer: When it was down at most.
        observed: When it was observed.
    """
    covers = [Cover(intervals) for intervals in (down, proven, outer, observed)]
    return tuple(
        [
            PhaseFigures(*[cover.measure_between(start_ns, end_ns) for cover in covers])
            for start_ns, end_ns in _times(phases)
        ]
    )


def figures_of_good(phases: Sequence[Phase], observed: Interval) -> tuple[PhaseFigures, ...]:
    """Return the same for a target that was observed without a break, and never down."""
    return tuple(
        [
            PhaseFigures(0, 0, 0, max(min(end_ns, observed[1]) - max(start_ns, observed[0]), 0))
            for start_ns, end_ns in _times(phases)
        ]
    )


def _times(phases: Sequence[Phase]) -> Iterator[Interval]:
    last = len(phases) - 1
    for number, phase in enumerate(phases):
        yield phase.start_ns if number else -NEVER_NS, phase.end_ns if number < last else NEVER_NS
