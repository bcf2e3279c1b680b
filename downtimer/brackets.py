"""Spans of one check -> its outages, each edge with the bracket that the probes leave for it.

Pure. An outage of a check is its down spans with no good span between them. Its start lies in
(a, f]: f the first failed probe, a the last good one before it, or the start of the window. Its
end lies in (l, b] likewise. Where the bracket was not observed throughout, or nothing good came
before, the edge is *censored*: the estimate is f (or l) itself and only the bounds reach out.

An unobserved gap neither ends an outage nor joins two. But more than 60 s of it ends an episode,
so an outage with such a gap inside is shown as two parts. The bounds of each are those of the whole,
which is what it may be a part of; sums over several outages take the union, and count it once.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from downtimer.cells import find_edges, is_good
from downtimer.intervals import Interval, measure, subtract, unite
from downtimer.model import SECOND_NS, Span, Verdict

LONGEST_GAP_NS: Final = 60 * SECOND_NS
"""More unobserved time in one stretch than this ends an episode."""


class Edge(NamedTuple):
    """A change of state, known as a bracket: after `after_ns`, at `by_ns` at the latest.

    Attributes:
        after_ns: The last probe with the old verdict.
        at_ns: The estimate, within the bracket.
        by_ns: The first probe with the new verdict.
        is_censored: The bracket was not observed throughout.
    """

    after_ns: int
    at_ns: int
    by_ns: int
    is_censored: bool

    def cut(self, until_ns: int) -> "Edge":
        """Return the edge of a measurement that ended at `until_ns`."""
        return self._replace(
            after_ns=min(self.after_ns, until_ns),
            at_ns=min(self.at_ns, until_ns),
            by_ns=min(self.by_ns, until_ns),
        )


class CheckOutage(NamedTuple):
    """An outage as one check saw it.

    Attributes:
        check: Its name.
        start: From good to down.
        end: From down to good; while it is ongoing, from the last failed probe to the window's end.
        failing: Stretches from failed probe to failed probe, observed throughout; the first begins
            at `start.by_ns`. One whose last probe hung on ends when it is last known to have done so.
        is_ongoing: No good answer came after it.
        watched: The parts of them in which a probe hung on, and no other was sent. They count as down, but
            are not proven: somebody else may have been answered meanwhile.
    """

    check: str
    start: Edge
    end: Edge
    failing: tuple[Interval, ...]
    is_ongoing: bool
    watched: tuple[Interval, ...] = ()

    def proven(self) -> list[Interval]:
        """Return the stretches in which it was down for sure."""
        return subtract(self.failing, unite(self.watched)) if self.watched else list(self.failing)

    def measures(self) -> tuple[int, int, int]:
        """Return how long these stretches are: the proven ones, the estimated ones, the outer one."""
        gaps_ns = sum([after[0] - before[1] for before, after in pairwise(self.failing)])
        proven_ns = measure(self.proven()) if self.watched else measure(self.failing)
        return proven_ns, self.end.at_ns - self.start.at_ns - gaps_ns, self.end.by_ns - self.start.after_ns

    def estimated(self) -> list[Interval]:
        """Return the stretches that count as down: the failing ones, out to the estimated edges."""
        stretches = list(self.failing)
        stretches[0] = (self.start.at_ns, stretches[0][1])
        stretches[-1] = (stretches[-1][0], self.end.at_ns)
        return stretches

    def outer(self) -> Interval:
        """Return the longest that it can have been."""
        return self.start.after_ns, self.end.by_ns

    def cut(self, until_ns: int) -> "CheckOutage":
        """Return the outage as seen by a measurement that ended at `until_ns`, within it."""
        return self._replace(
            start=self.start.cut(until_ns),
            end=self.end.cut(until_ns),
            failing=tuple((min(start, until_ns), min(end, until_ns)) for start, end in self.failing),
            is_ongoing=self.is_ongoing or self.end.by_ns > until_ns,
        )


def find_outages(
    spans: Sequence[Span], window: Interval, edges: Sequence[int | None] | None = None
) -> list[CheckOutage]:
    """Return the outages of one check, in order of time.

    Args:
        spans: Of the check; ordered, not overlapping.
        window: Of the target. Spans may reach beyond its end where the target was retired.
        edges: See `find_edges`; None if they are not known yet.
    """
    finder = _Finder(window)
    for span, edge_ns in zip(spans, (None, *(find_edges(spans) if edges is None else edges)), strict=False):
        if span.verdict is Verdict.DOWN:
            finder.meet_down(span, edge_ns)
        elif is_good(span):
            finder.meet_good(span, edge_ns)
    finder.finish()
    return list(_within(finder.found, window[1]))


def _within(found: Sequence[CheckOutage], until_ns: int) -> Iterator[CheckOutage]:
    for outage in found:
        if outage.end.by_ns <= until_ns:
            yield outage
        elif outage.start.at_ns < until_ns or outage.start.by_ns <= until_ns:
            yield outage.cut(until_ns)


def _part(whole: CheckOutage) -> Iterator[CheckOutage]:
    """Part an outage at each gap that ends an episode. The bounds remain those of the whole."""
    start, first = whole.start, 0
    for i, (before, after) in enumerate(pairwise(whole.failing), start=1):
        if after[0] - before[1] > LONGEST_GAP_NS:
            end = Edge(before[1], before[1], whole.end.by_ns, is_censored=True)
            yield whole._replace(start=start, end=end, failing=whole.failing[first:i], is_ongoing=False)
            start, first = Edge(whole.start.after_ns, after[0], after[0], is_censored=True), i
    yield whole._replace(start=start, failing=whole.failing[first:]) if first else whole


class _Finder:
    """One walk over the spans of a check; remembers the last good answer and the open outage.

    With each span comes the edge between it and its predecessor, None if that time was not observed.
    """

    def __init__(self, window: Interval) -> None:
        self.found: list[CheckOutage] = []
        self._window = window
        self._good: Span | None = None
        self._start: Edge | None = None  # of the open outage
        self._failing: list[Interval] = []
        self._watched: list[Interval] = []
        self._last: Span | None = None  # that was down, of the open outage

    def meet_down(self, span: Span, edge_ns: int | None) -> None:
        """Open an outage, or carry on the open one."""
        first_ns, known_ns = span.first_sent_ns, span.known_ns
        last = self._last
        if last is None:
            self._start = self._start_edge(span, edge_ns)
            self._failing, self._watched = [(first_ns, known_ns)], []
        elif edge_ns is not None:
            self._failing[-1] = (self._failing[-1][0], known_ns)
            if last.watched_ns is not None:
                self._watched.append((last.last_sent_ns, first_ns))
        else:
            self._failing.append((first_ns, known_ns))
        if span.watched_ns is not None:
            self._watched.append((span.last_sent_ns, known_ns))
        self._last = span

    def meet_good(self, span: Span, edge_ns: int | None) -> None:
        """Close the outage that is open, if any."""
        last = self._last
        if last is not None:
            by_ns = span.first_sent_ns
            if edge_ns is not None:
                self._close(Edge(last.last_sent_ns, edge_ns, by_ns, is_censored=False))
            else:
                self._close(Edge(last.last_sent_ns, last.known_ns, by_ns, is_censored=True))
        self._good = span

    def finish(self) -> None:
        """Close what was not ended when last seen."""
        last = self._last
        if last is not None:
            end_ns = max(self._window[1], last.known_ns)
            self._close(Edge(last.last_sent_ns, last.known_ns, end_ns, is_censored=False), is_ongoing=True)

    def _close(self, end: Edge, *, is_ongoing: bool = False) -> None:
        if self._start is not None and self._last is not None:
            failing, watched = tuple(self._failing), tuple(self._watched)
            whole = CheckOutage(self._last.check, self._start, end, failing, is_ongoing, watched)
            self.found.extend(_part(whole) if len(failing) > 1 else [whole])
        self._start = self._last = None

    def _start_edge(self, span: Span, edge_ns: int | None) -> Edge:
        first_ns = span.first_sent_ns
        if self._good is None:
            return Edge(self._window[0], first_ns, first_ns, is_censored=True)
        after_ns = self._good.last_sent_ns
        if edge_ns is not None:
            return Edge(after_ns, edge_ns, first_ns, is_censored=False)
        return Edge(after_ns, first_ns, first_ns, is_censored=True)
