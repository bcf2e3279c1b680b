"""What was down in each phase of a run: gathered as targets go by, for whichever format shows it."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from downtimer.findings import PhaseFigures, TargetSummary
from downtimer.intervals import Interval, unite
from downtimer.model import NEVER_NS, Kind, Phase
from downtimer.report import wording
from downtimer.report.summary import Summary
from downtimer.report.titles import name_of

WORST_SHOWN: Final = 4
"""So many targets of a kind are named, those that were down longest."""

FIRST: Final = "(before the first mark)"


class Share(NamedTuple):
    """A target's part in each phase.

    Attributes:
        kind: Of the target.
        name: Safe to print.
        figures: By phase.
        windows_ns: By phase, how much lies in it of the target's window, and of pauses around that.
    """

    kind: Kind
    name: str
    figures: tuple[PhaseFigures, ...]
    windows_ns: tuple[int, ...]


@dataclass(slots=True)
class Downs:
    """The targets of a kind that were down in a phase.

    Attributes:
        count: How many.
        down_ns: Their downtime, summed up.
    """

    count: int = 0
    down_ns: int = 0
    _worst: list[tuple[int, int, str, PhaseFigures]] = field(default_factory=list)  # a heap

    def add(self, name: str, figures: PhaseFigures) -> None:
        """Take a target into account."""
        self.count += 1
        self.down_ns += figures.down_ns
        push = heapq.heappush if self.count <= WORST_SHOWN else heapq.heappushpop
        push(self._worst, (figures.down_ns, -self.count, name, figures))

    def worst(self) -> list[tuple[str, PhaseFigures]]:
        """Return those that were down longest, in this order."""
        return [(name, figures) for _, _, name, figures in sorted(self._worst, reverse=True)]

    def text(self) -> str:
        """Return ``nova 5.38 s (5.10–5.81), cinder …``, the longest first."""
        names = ", ".join(
            f"{name} {wording.bounded(figures.down_ns, figures.down_min_ns, figures.down_max_ns)}"
            for name, figures in self.worst()
        )
        rest = self.count - WORST_SHOWN
        return f"{names}, … ({self.count:,}, {wording.seconds(self.down_ns)} in all)" if rest > 0 else names


@dataclass(slots=True)
class Row:
    """What came to pass in one phase.

    Attributes:
        phase: Which.
        downs: By kind.
        observed_ns: Summed over all targets.
        window_ns: Likewise: for how long each should have been observed.
    """

    phase: Phase
    downs: defaultdict[Kind, Downs] = field(default_factory=lambda: defaultdict(Downs))
    observed_ns: int = 0
    window_ns: int = 0

    def count(self, kind: Kind) -> int:
        """Return how many targets of a kind were down in it."""
        return self.downs[kind].count if kind in self.downs else 0

    def observed(self) -> str:
        """Return the observed time in percent; empty if there was nothing to observe."""
        return f"{wording.percent(self.observed_ns, self.window_ns)} %" if self.window_ns else ""


class Gathering:
    """Gathers what targets tell. Addresses that never answered are in none of it."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._pauses = summary.pauses
        self.rows = [Row(phase) for phase in summary.phases]

    def tell(self, target: TargetSummary) -> Share | None:
        """Return what matters of a target. Another process may be asked."""
        if not self.rows or target.is_silent:
            return None
        times = [(target.start_ns or 0, target.end_ns or 0)]
        if self._pauses:
            times = unite([*times, *self._paused(target)])
        return Share(
            target.target.kind,
            name_of(self._summary, target),
            target.phases,
            tuple([_length_within(row.phase, times) for row in self.rows]),
        )

    def _paused(self, target: TargetSummary) -> Iterator[Interval]:
        """Yield the pauses while a target was there: time to be observed, within its window or not."""
        until_ns = NEVER_NS if target.retired_ns is None else target.retired_ns
        for start_ns, end_ns in self._pauses:
            first_ns, last_ns = max(start_ns, target.state.discovered_ns), min(end_ns, until_ns)
            if first_ns < last_ns:
                yield first_ns, last_ns

    def add(self, told: Share) -> None:
        """Take a target into account."""
        for row, figures, window_ns in zip(self.rows, told.figures, told.windows_ns, strict=True):
            row.observed_ns += min(figures.observed_ns, window_ns)
            row.window_ns += window_ns
            if figures.down_ns:
                row.downs[told.kind].add(told.name, figures)


def _length_within(phase: Phase, times: Iterable[Interval]) -> int:
    return sum(
        [max(min(phase.end_ns, end_ns) - max(phase.start_ns, start_ns), 0) for start_ns, end_ns in times]
    )
