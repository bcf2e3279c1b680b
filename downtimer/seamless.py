"""Spans of one check that were observed without a break -> the figures of its target, by a short way. Pure.

Nearly all addresses of a large run are like that: probed by one worker from the beginning to the end, and
every probe says something. Then nothing is unobserved, good spans and failed ones take turns, and an outage
is what lies between two good ones. `downtimer.outages` comes to the same figures in several times the time; a
property test holds the two together.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from downtimer.attribution import label
from downtimer.cells import edge_between
from downtimer.episodes import SETTLE_NS, most_first
from downtimer.findings import CheckSummary, Episode, Outage, PhaseFigures, TargetSummary
from downtimer.intervals import Interval, unite
from downtimer.model import Phase, Span, TargetState, Verdict
from downtimer.phases import figures_by_phase, figures_of_good
from downtimer.spacing import spacing

_Run = list[Span]  # neighbours that are all good, or all failed
_Numbered = tuple[int, int, int]  # an outage: the number of its run, and its edges
_T = TypeVar("_T", bound=Outage)

_NO_TIME: Final[Mapping[str, int]] = {}

# These are read six times as fast as members of an enum.
_DOWN, _SLOW, _UNKNOWN = Verdict.DOWN, Verdict.SLOW, Verdict.UNKNOWN


def summarize_seamless(
    state: TargetState, spans: Sequence[Span], phases: Sequence[Phase] = ()
) -> TargetSummary | None:
    """Return the figures of a target; None if they are not to be had on this way.

    Args:
        state: Of the target. It is not retired, and no check of it is unfit.
        spans: All of its spans, at least one.
        phases: Of the run.
    """
    runs = _take_turns(spans)
    if runs is None:
        return None
    episodes = _find_episodes(state, runs)
    if episodes is None:
        return None
    start_ns, end_ns = spans[0].first_sent_ns, spans[-1].last_sent_ns
    down_ns, down_min_ns, down_max_ns = _sum(episodes)
    slow_ns = _slow_ns(spans)
    good = [run for run in runs if run[0].verdict is not _DOWN]
    interval_ns, resolution_ns = spacing(good)
    probes = sum([span.probes for span in spans])
    check = CheckSummary(
        name=spans[0].check,
        interval_ns=interval_ns,
        resolution_ns=resolution_ns,
        probes=probes,
        observed_ns=end_ns - start_ns,
        down_ns=down_ns,
        slow_ns=slow_ns,
        unobserved=_NO_TIME,
    )
    return TargetSummary(
        state=state,
        start_ns=start_ns,
        end_ns=end_ns,
        up_ns=end_ns - start_ns - slow_ns - down_ns,
        slow_ns=slow_ns,
        down_ns=down_ns,
        down_min_ns=down_min_ns,
        down_max_ns=down_max_ns,
        unobserved=_NO_TIME,
        probes=probes,
        has_answered=bool(good),
        checks=(check,),
        episodes=tuple(episodes),
        phases=_by_phase(phases, runs, (start_ns, end_ns)) if phases else (),
    )


def _take_turns(spans: Sequence[Span]) -> list[_Run] | None:
    """Return the runs of good spans and of failed ones, by turns; None if there was a break."""
    runs: list[_Run] = []
    was_down: bool | None = None
    last_ns, until_ns = spans[0].first_sent_ns - 1, spans[0].first_sent_ns
    check, life = spans[0].check, spans[0].incarnation
    for span in spans:
        verdict = span.verdict
        if (
            not last_ns < span.first_sent_ns <= until_ns
            or verdict is _UNKNOWN
            or span.watched_ns is not None
            or span.incarnation != life
            or span.check != check
        ):
            return None
        last_ns = span.last_sent_ns
        until_ns = last_ns + span.max_gap_ns
        is_down = verdict is _DOWN
        if is_down is was_down:
            runs[-1].append(span)
        else:
            runs.append([span])
            was_down = is_down
    return runs


def _slow_ns(spans: Sequence[Span]) -> int:
    """Return how long answers were late; where two slow spans meet, what both count of it cancels."""
    slow_ns = 0
    for i in [i for i, span in enumerate(spans) if span.verdict is _SLOW]:
        slow_ns += edge_between(spans[i], spans[i + 1]) if i + 1 < len(spans) else spans[i].last_sent_ns
        slow_ns -= edge_between(spans[i - 1], spans[i]) if i else spans[i].first_sent_ns
    return slow_ns


def _sum(outages: Sequence[Outage]) -> tuple[int, int, int]:
    """Return the downtime of outages that do not overlap: as estimated, at least, at most."""
    down_ns = down_min_ns = down_max_ns = 0
    for outage in outages:
        down_ns += outage.down_ns
        down_min_ns += outage.down_min_ns
        down_max_ns += outage.down_max_ns
    return down_ns, down_min_ns, down_max_ns


def _find_episodes(state: TargetState, runs: Sequence[_Run]) -> list[Episode] | None:
    """Return the episodes; None if two outages touch, since what is between them has no length."""
    episodes: list[Episode] = []
    near: list[_Numbered] = []
    for number in range(0 if runs[0][0].verdict is _DOWN else 1, len(runs), 2):
        start_ns, end_ns = _edges(runs, number)
        if near:
            good_ns = start_ns - near[-1][2]
            if good_ns <= 0:
                return None
            if good_ns >= SETTLE_NS:
                episodes.append(_episode(state, runs, near))
                near = []
        near.append((number, start_ns, end_ns))
    return [*episodes, _episode(state, runs, near)] if near else episodes


def _edges(runs: Sequence[_Run], number: int) -> Interval:
    """Return where an outage began and ended, as estimated."""
    run = runs[number]
    is_over = number + 1 < len(runs)
    return (
        edge_between(runs[number - 1][-1], run[0]) if number else run[0].first_sent_ns,
        edge_between(run[-1], runs[number + 1][0]) if is_over else run[-1].last_sent_ns,
    )


def _by_phase(phases: Sequence[Phase], runs: Sequence[_Run], window: Interval) -> tuple[PhaseFigures, ...]:
    failed = range(0 if runs[0][0].verdict is _DOWN else 1, len(runs), 2)
    if not failed:
        return figures_of_good(phases, window)
    return figures_by_phase(
        phases,
        down=unite([_edges(runs, number) for number in failed]),
        proven=unite([(runs[number][0].first_sent_ns, runs[number][-1].last_sent_ns) for number in failed]),
        outer=unite([_outer(runs, number) for number in failed]),
        observed=[window],
    )


def _outer(runs: Sequence[_Run], number: int) -> Interval:
    """Return how far an outage may have reached: to the good answers around it."""
    run = runs[number]
    return (
        runs[number - 1][-1].last_sent_ns if number else run[0].first_sent_ns,
        run[-1].last_sent_ns if number + 1 == len(runs) else runs[number + 1][0].first_sent_ns,
    )


def _episode(state: TargetState, runs: Sequence[_Run], near: Sequence[_Numbered]) -> Episode:
    if len(near) == 1:
        return _outage(Episode, state, runs, near[0])
    several = [_outage(Outage, state, runs, one) for one in near]
    down_ns, down_min_ns, down_max_ns = _sum(several)
    (first, start_ns, _), (last, _, end_ns) = near[0], near[-1]
    good = sum(span.probes for run in runs[first + 1 : last : 2] for span in run)
    failed, causes = _count([span for run in runs[first : last + 1 : 2] for span in run])
    is_ongoing = several[-1].is_ongoing
    return Episode(
        start_ns=start_ns,
        end_ns=end_ns,
        earliest_ns=several[0].earliest_ns,
        latest_ns=several[-1].latest_ns,
        min_ns=runs[last][-1].last_sent_ns - runs[first][0].first_sent_ns,
        max_ns=several[-1].latest_ns - several[0].earliest_ns,
        down_ns=down_ns,
        down_min_ns=down_min_ns,
        down_max_ns=down_max_ns,
        unobserved_ns=0,
        probes=good + failed,
        failed=failed,
        causes=causes,
        checks=several[0].checks,
        is_ongoing=is_ongoing,
        is_start_censored=first == 0,
        is_end_censored=False,
        label=label(state, start_ns, end_ns, is_ongoing=is_ongoing) if state.powers else None,
        several=tuple(several),
    )


def _outage(make: type[_T], state: TargetState, runs: Sequence[_Run], numbered: _Numbered) -> _T:
    """Return an outage, or an episode of one."""
    number, start_ns, end_ns = numbered
    run = runs[number]
    is_ongoing = number + 1 == len(runs)
    earliest_ns, latest_ns = _outer(runs, number)
    min_ns = run[-1].last_sent_ns - run[0].first_sent_ns
    failed, causes = _count(run)
    return make(
        start_ns=start_ns,
        end_ns=end_ns,
        earliest_ns=earliest_ns,
        latest_ns=latest_ns,
        min_ns=min_ns,
        max_ns=latest_ns - earliest_ns,
        down_ns=end_ns - start_ns,
        down_min_ns=min_ns,
        down_max_ns=latest_ns - earliest_ns,
        unobserved_ns=0,
        probes=failed,
        failed=failed,
        causes=causes,
        checks=(run[0].check,),
        is_ongoing=is_ongoing,
        is_start_censored=number == 0,
        is_end_censored=False,
        label=label(state, start_ns, end_ns, is_ongoing=is_ongoing) if state.powers else None,
    )


def _count(failed: Sequence[Span]) -> tuple[int, Mapping[str, int]]:
    """Return how many probes failed, and of what causes, the most first."""
    if len(failed) == 1:
        return failed[0].probes, most_first(failed[0].causes)
    causes: dict[str, int] = {}
    for span in failed:
        for cause, count in span.causes.items():
            causes[cause] = causes.get(cause, 0) + count
    return sum([span.probes for span in failed]), most_first(causes)
