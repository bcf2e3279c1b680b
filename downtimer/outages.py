"""Spans of one target -> its figures: downtime with bounds, episodes, what was not observed.

Pure, and linear in the spans. Instants and lengths are int nanoseconds throughout, so the
identity ``up + slow + down + unobserved = window`` holds exactly.

The steps, a module each: `downtimer.joining` (edges that several checks share), `downtimer.cells` (what each
check observed when), `downtimer.brackets` (its outages, with the brackets of their edges),
`downtimer.episodes` (the union over the checks), and here the whole. What became of an address besides is for
`downtimer.attribution` to say. What needs the spans of other targets (`downtimer.vantage`,
`downtimer.impairment`) turns spans into other spans, and is applied before; nothing here looks beyond one
target.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from downtimer.attribution import window_end_ns
from downtimer.brackets import find_outages
from downtimer.cells import Cell, apportion, clip, find_edges, is_good, order, tile
from downtimer.episodes import ProbeCounter, Surroundings, find_episodes
from downtimer.findings import CheckSummary, Impairment, PhaseFigures, TargetSummary
from downtimer.impairment import impaired
from downtimer.intervals import Cover, Interval, measure, overlaps, subtract, unite
from downtimer.joining import join_edges
from downtimer.model import ICMP, Kind, Phase, Span, TargetState, Verdict
from downtimer.phases import figures_by_phase
from downtimer.seamless import summarize_seamless
from downtimer.spacing import spacing
from downtimer.verdicts import HELD_UP


def summarize(state: TargetState, spans: Sequence[Span], phases: Sequence[Phase] = ()) -> TargetSummary:
    """Return the figures of one target.

    Args:
        state: The target. If it is retired, its window ends at `window_end_ns`.
        spans: All of this target's, in any order, each natural key once, open ones with their
            effective last_sent_ns, and after attribution.
        phases: Of the run, in order, without a hole.
    """
    if not spans:
        return _nothing(state, phases)
    if state.retired_ns is None and not state.unfit:
        figures = summarize_seamless(state, spans, phases)
        if figures is not None:
            return figures
    return summarize_any(state, spans, phases)


def summarize_any(state: TargetState, spans: Sequence[Span], phases: Sequence[Phase] = ()) -> TargetSummary:
    """Return the figures of a target that has spans, whatever they are like. See `summarize`."""
    sight = look(state, spans)
    return _nothing(state, phases) if sight is None else _summarize(state, sight, phases)


def look(state: TargetState, spans: Sequence[Span]) -> "Sight | None":
    """Return what was seen of a target, check by check; None if it was not probed, or not while it counted.

    Args:
        state: Of the target.
        spans: See `summarize`; at least one.
    """
    series = _series(state, spans)
    if not series:
        return None
    start_ns = min(one[0].first_sent_ns for one in series)
    end_ns = max(one[-1].known_ns for one in series)
    if state.retired_ns is not None:
        until_ns = window_end_ns(state, series[0])
        if until_ns is None or until_ns < start_ns:
            return None
        if until_ns < end_ns:
            end_ns = until_ns
            series = [clipped for one in series if (clipped := clip(one, end_ns))]
    return Sight((start_ns, end_ns), [Seen.of(one, end_ns) for one in series])


@dataclass(slots=True)
class Seen:
    """What one check saw within the window, as lists of intervals in order of time.

    Attributes:
        spans: Of the check.
        edges: Between them; see `find_edges`.
        observed: All time with a verdict.
        slow: The part of it with late answers.
        down: The part of it with failures.
        unknown: All other time.
    """

    spans: Sequence[Span]
    edges: Sequence[int | None]
    observed: list[Interval] = field(default_factory=list)
    slow: list[Interval] = field(default_factory=list)
    down: list[Interval] = field(default_factory=list)
    unknown: list[Cell] = field(default_factory=list)

    @classmethod
    def of(cls, spans: Sequence[Span], until_ns: int) -> "Seen":
        """Sort the cells of one check, and leave out what lies after `until_ns`."""
        seen = cls(spans, find_edges(spans))
        begun_ns = ended_ns = spans[0].first_sent_ns  # of what is observed without a break
        for cell in tile(spans, seen.edges):
            start_ns, end_ns, verdict, _ = cell
            end_ns = min(end_ns, until_ns)
            if start_ns >= end_ns:
                continue
            if verdict is Verdict.UNKNOWN:
                seen.unknown.append(cell._replace(end_ns=end_ns))
                continue
            if verdict is not Verdict.UP:
                (seen.down if verdict is Verdict.DOWN else seen.slow).append((start_ns, end_ns))
            if start_ns > ended_ns:
                seen._observe(begun_ns, ended_ns)
                begun_ns = start_ns
            ended_ns = end_ns
        seen._observe(begun_ns, ended_ns)
        return seen

    def _observe(self, start_ns: int, end_ns: int) -> None:
        if start_ns < end_ns:
            self.observed.append((start_ns, end_ns))


class Sight(NamedTuple):
    """What was seen of a target within its window, by each check that counts."""

    window: Interval
    seen: Sequence[Seen]

    def unite(self) -> tuple[list[Interval], list[Interval], list[Interval]]:
        """Return when any check was down, when any was slow and none down, and when any observed."""
        seen = self.seen
        if len(seen) == 1:
            return seen[0].down, seen[0].slow, seen[0].observed
        down = unite(part for one in seen for part in one.down)
        slow = unite(part for one in seen for part in one.slow)
        return down, subtract(slow, down), unite(part for one in seen for part in one.observed)


def _summarize(state: TargetState, sight: Sight, phases: Sequence[Phase]) -> TargetSummary:
    window, seen = sight
    series = [one.spans for one in seen]
    down, slow, observed = sight.unite()
    unobserved = subtract([window], observed)
    found = [outage for one in seen for outage in find_outages(one.spans, window, one.edges)]
    proven = unite(part for outage in found for part in outage.proven())
    outer = unite(outage.outer() for outage in found)
    down_ns, slow_ns = measure(down), measure(slow)
    return TargetSummary(
        state=state,
        start_ns=window[0],
        end_ns=window[1],
        up_ns=measure(observed) - slow_ns - down_ns,
        slow_ns=slow_ns,
        down_ns=down_ns,
        down_min_ns=measure(proven),
        down_max_ns=measure(outer),
        unobserved=_explain(unobserved, seen),
        probes=sum([span.probes for spans in series for span in spans]),
        has_answered=any(is_good(span) for spans in series for span in spans),
        checks=tuple([_check(one) for one in seen]),
        impairments=tuple(
            [
                Impairment(span.first_sent_ns, span.last_sent_ns, span.probes)
                for spans in series
                for span in impaired(spans)
            ]
        ),
        episodes=find_episodes(found, Surroundings(state, Cover(unobserved), ProbeCounter(series)))
        if found
        else (),
        phases=figures_by_phase(phases, down=down, proven=proven, outer=outer, observed=observed)
        if phases
        else (),
    )


def _series(state: TargetState, spans: Sequence[Span]) -> list[list[Span]]:
    """Return the ordered spans of each check that counts, by the check's name."""
    by_check: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.check not in state.unfit:
            by_check[span.check].append(span)
    series = [order(by_check[check]) for check in sorted(by_check)]
    if state.target.kind is Kind.SERVICE:
        return join_edges(series)
    if len(series) > 1:
        kept = None if state.method is None else state.check
        return [min(series, key=lambda one: _method_rank(one, kept))]
    return series


def _method_rank(spans: Sequence[Span], kept: str | None) -> tuple[bool, int, int, bool, str]:
    """Rank an address's methods, which are alternatives: that which was kept, else the first that worked.

    Where none ever did, it is the one that was tried longest.
    """
    first_good = next((span.first_sent_ns for span in spans if is_good(span)), None)
    check = spans[0].check
    if first_good is not None:
        return check != kept, 0, first_good, check != ICMP, check
    return check != kept, 1, spans[0].first_sent_ns - spans[-1].last_sent_ns, check != ICMP, check


def _explain(unobserved: list[Interval], seen: Sequence[Seen]) -> dict[str, int]:
    """Return the unobserved time by cause, most first; where checks differ, the first has its say."""
    if not unobserved:
        return {}
    causes: defaultdict[str, int] = defaultdict(int)
    for one in seen:
        cells = [(cell.start_ns, cell.end_ns) for cell in one.unknown]
        for (start_ns, end_ns), index in overlaps(unobserved, cells):
            for cause, share_ns in apportion(end_ns - start_ns, one.unknown[index].causes).items():
                causes[cause] += share_ns
        unobserved = subtract(unobserved, cells)
    if unobserved:  # no check was under way: one ended before the other began
        causes[HELD_UP] += measure(unobserved)
    return {cause: causes[cause] for cause in sorted(causes, key=lambda c: (-causes[c], c)) if causes[cause]}


def _check(seen: Seen) -> CheckSummary:
    interval_ns, resolution_ns = spacing(_good_runs(seen.spans, seen.edges))
    return CheckSummary(
        name=seen.spans[0].check,
        interval_ns=interval_ns,
        resolution_ns=resolution_ns,
        probes=sum([span.probes for span in seen.spans]),
        observed_ns=measure(seen.observed),
        down_ns=measure(seen.down),
        slow_ns=measure(seen.slow),
        unobserved=_explain(unite((cell.start_ns, cell.end_ns) for cell in seen.unknown), [seen]),
    )


def _good_runs(spans: Sequence[Span], edges: Sequence[int | None]) -> list[list[Span]]:
    """Return the runs of spans of good answers, up or slow, observed throughout."""
    runs: list[list[Span]] = []
    is_after_good = False
    for span, edge_ns in zip(spans, (None, *edges), strict=True):
        is_one = is_good(span)
        if is_one and is_after_good and edge_ns is not None:
            runs[-1].append(span)
        elif is_one:
            runs.append([span])
        is_after_good = is_one
    return runs


def _nothing(state: TargetState, phases: Sequence[Phase]) -> TargetSummary:
    """Return the summary of a target that was not probed, or not while it counted."""
    return TargetSummary(
        state=state,
        start_ns=None,
        end_ns=None,
        up_ns=0,
        slow_ns=0,
        down_ns=0,
        down_min_ns=0,
        down_max_ns=0,
        unobserved=_NO_TIME,
        probes=0,
        has_answered=False,
        checks=(),
        episodes=(),
        phases=(_NO_FIGURES,) * len(phases),
    )


_NO_FIGURES = PhaseFigures(0, 0, 0, 0)

_NO_TIME: Mapping[str, int] = {}
