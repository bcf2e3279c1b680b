"""One assertion, held against one target. Pure.

What is asserted is held against the bounds of what was measured, never against the estimate: it passes if the
bounds prove it, fails if they disprove it, and is undecided else. A target of which less than `COVERAGE` was
observed can fail, but not pass.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from downtimer.assertions import Assertion, Case, Measure, Result
from downtimer.findings import Episode, Outage, TargetSummary
from downtimer.intervals import Cover
from downtimer.model import NEVER_NS, SECOND_NS, Target
from downtimer.pauses import CAUSE
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.wording import number, plural

COVERAGE: Final = Fraction(90, 100)
"""So much of a target's time must have been observed for an assertion to pass."""

COVERAGE_OF_NO_FAILURE: Final = Fraction(99, 100)
"""The same for ``zero-downtime``."""

PROMPT_NS: Final = 30 * SECOND_NS
"""The first probe of a target may come so long after it was found: an address that answers no echo is tried
on ports before anything is recorded. The last one comes so long before the end at most."""

LATE_NS: Final = 5 * SECOND_NS
"""The last probe of a target may come so long before the end, and `LATE_INTERVALS` more: each worker ends
when what it has under way is resolved."""

LATE_INTERVALS: Final = 3

_CAUSES_SHOWN: Final = 3

_NEVER: Final = Cover(())

Bounds = tuple[Fraction | int, Fraction | int]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is needed of a run besides its targets.

    Attributes:
        start_utc_ns: UTC of its instant 0, ns since the epoch.
        through_ns: What was measured counts to here.
        name_of: Tells how the report calls a target; not yet safe to print.
        pauses: When probing rested, as the user asked, up to the run's end.
    """

    start_utc_ns: int
    through_ns: int
    name_of: Callable[[Target], str]
    pauses: Cover = _NEVER


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of an assertion and a target that it is about.

    Attributes:
        case: None if the target is left out, since it never answered.
        weight: How bad it is, in the unit of the measure: the lower bound, then the upper one.
        episodes: How many it has.
        isolated: Failed probes of it that stand alone; only where that is asked.
        resolution: By check, how long an outage may be that was missed; likewise.
    """

    case: Case | None
    weight: Bounds = (0, 0)
    episodes: int = 0
    isolated: int = 0
    resolution: Sequence[tuple[str, int]] = ()


def hold(assertion: Assertion, target: TargetSummary, name: str, scene: Scene) -> Finding:
    """Hold an assertion against a target that it is about.

    Args:
        assertion: Which.
        target: The figures.
        name: How the report calls it, safe to print.
        scene: Of its run.
    """
    if _is_left_out(target, scene):
        return Finding(None)
    lower, upper = bounds = _bounds(assertion.measure, target, scene)
    result = compare(assertion, bounds)
    why = _WORDS[assertion.measure](target, name, scene)
    covered = coverage(target, scene)
    needed = COVERAGE_OF_NO_FAILURE if assertion.measure is Measure.NO_FAILURE else COVERAGE
    if not target.observed_ns:
        result, why = Result.UNDECIDED, f"nothing of {name} was observed"
    elif covered < needed and _is_open(result, assertion.measure):
        result = Result.UNDECIDED
        why = f"{name} was observed for {_percent(covered)} % of its time only, {float(needed):.0%} is needed"
    elif result is Result.PASS and assertion.measure is Measure.NO_FAILURE and (blind := _blind(target)):
        result = Result.UNDECIDED
        why = f"less than {float(COVERAGE):.0%} of its time was {name} observed by {', '.join(blind)}"
    elif result is Result.UNDECIDED:
        why = f"{why}; the limit of {printable(assertion.limit_text)} lies between the bounds"
    return Finding(
        Case(name, target.target.kind, result, why),
        weight=(lower, upper),
        episodes=len(target.episodes),
        isolated=_isolated(target) if assertion.measure is Measure.NO_FAILURES_IN_A_ROW else 0,
        resolution=_resolution(target) if assertion.measure is Measure.NO_FAILURE else (),
    )


def _is_left_out(target: TargetSummary, scene: Scene) -> bool:
    """Tell whether nothing can be said of an address, and that is not for want of our probes.

    It never answered; or it was not there for longer than its first probe may take.
    """
    if not target.is_silent:
        return False
    if target.start_ns is None:
        return target.retired_ns is not None or scene.through_ns - target.state.discovered_ns < PROMPT_NS
    return target.observed_ns > 0


def coverage(target: TargetSummary, scene: Scene) -> Fraction:
    """Return how much (0-1) was observed of the time in which there should have been probes."""
    if target.start_ns is None or target.end_ns is None:
        return Fraction(0)
    before_ns = target.start_ns - target.state.discovered_ns - PROMPT_NS
    after_ns = scene.through_ns - target.end_ns - _late_ns(target) if target.retired_ns is None else 0
    paused_before_ns, paused_after_ns = _paused_around(target, scene)
    missed_ns = max(before_ns, paused_before_ns, 0) + max(after_ns, paused_after_ns, 0)
    whole_ns = target.window_ns + missed_ns
    return Fraction(target.observed_ns, whole_ns) if whole_ns else Fraction(1)


def _late_ns(target: TargetSummary) -> int:
    """Return how long before the end its last probe may have come."""
    intervals = [check.interval_ns for check in target.checks if check.interval_ns is not None]
    return min(LATE_NS + LATE_INTERVALS * min(intervals), PROMPT_NS) if intervals else PROMPT_NS


def _paused_around(target: TargetSummary, scene: Scene) -> tuple[int, int]:
    """Return how long probing rested before a target's first probe, and after its last one.

    Neither is in its window; but who asks how it fared in the run asks of that time, too.
    """
    if target.start_ns is None or target.end_ns is None:
        return 0, 0
    before_ns = scene.pauses.measure_between(
        min(target.state.discovered_ns, target.start_ns), target.start_ns
    )
    after_ns = scene.pauses.measure_between(target.end_ns, NEVER_NS) if target.retired_ns is None else 0
    return before_ns, after_ns


def _blind(target: TargetSummary) -> list[str]:
    """Return the checks that saw too little for it to matter that they saw nothing fail."""
    return [
        printable(check.name)
        for check in target.checks
        if check.observed_ns < COVERAGE * (check.observed_ns + sum(check.unobserved.values()))
    ]


def _is_open(result: Result, measure: Measure) -> bool:
    """Tell whether a result would be another one if more had been observed."""
    if measure is Measure.OBSERVED:
        return False
    return result is not Result.FAIL or measure is Measure.SHARE


def _bounds(measure: Measure, target: TargetSummary, scene: Scene) -> Bounds:
    """Return what was measured, at least and at most; where more is better, what is missing of all."""
    match measure:
        case Measure.DOWN:
            return target.down_min_ns, target.down_max_ns
        case Measure.SHARE:
            return _share(target.down_min_ns, target), _share(target.down_max_ns, target)
        case Measure.LONGEST:
            return longest_bounds_ns(target)
        case Measure.OBSERVED:
            missing = 1 - coverage(target, scene)
            return missing, missing
        case Measure.OUTAGES:
            count = len(target.episodes)
        case Measure.NO_FAILURE:
            count = sum(episode.failed for episode in target.episodes)
        case Measure.NO_FAILURES_IN_A_ROW:
            count = max([count for count, _ in _in_a_row(target) if count > 1], default=0)
    return count, count


def _share(part_ns: int, target: TargetSummary) -> Fraction | int:
    return min(Fraction(part_ns, target.observed_ns), Fraction(1)) if part_ns and target.observed_ns else 0


def compare(assertion: Assertion, bounds: Bounds) -> Result:
    """Return what comes of an assertion's limit and what was measured, at least and at most."""
    limit = 1 - assertion.limit if assertion.measure is Measure.OBSERVED else assertion.limit
    lower, upper = ((bound > limit or (assertion.is_strict and bound == limit)) for bound in bounds)
    return Result.FAIL if lower else Result.UNDECIDED if upper else Result.PASS


def longest_bounds_ns(target: TargetSummary) -> tuple[int, int]:
    """Return how long the longest episode was, at least and at most; 0 if there is none."""
    return (
        max([episode.min_ns for episode in target.episodes], default=0),
        max([episode.max_ns for episode in target.episodes], default=0),
    )


def _in_a_row(target: TargetSummary) -> Iterator[tuple[int, Outage]]:
    """Yield how many probes failed with no good answer between them, and the first outage of these.

    It may be several outages, for a long time without probes parts one. These have the same bounds.
    """
    count, first = 0, None
    latest_ns = 0
    for outage in (outage for episode in target.episodes for outage in episode.outages):
        if first is not None and outage.earliest_ns < latest_ns:
            count += outage.failed
            continue
        if first is not None:
            yield count, first
        count, first, latest_ns = outage.failed, outage, outage.latest_ns
    if first is not None:
        yield count, first


def _isolated(target: TargetSummary) -> int:
    return sum(1 for count, _ in _in_a_row(target) if count == 1)


def _resolution(target: TargetSummary) -> list[tuple[str, int]]:
    return [(check.name, check.resolution_ns) for check in target.checks if check.resolution_ns is not None]


def _tell_down(target: TargetSummary, name: str, scene: Scene) -> str:
    if not target.episodes:
        return f"{name} was not down"
    return f"{name} was down {wording.downtime(target)}{_worst(target, scene)}"


def _tell_share(target: TargetSummary, name: str, scene: Scene) -> str:
    if not target.episodes:
        return f"{name} was not down"
    least, most = (_percent(Fraction(part)) for part in _bounds(Measure.SHARE, target, scene))
    estimate = _percent(Fraction(_share(target.down_ns, target)))
    length = wording.seconds(target.observed_ns)
    return f"{name} was down {estimate} % ({least}–{most}) of {length}{_worst(target, scene)}"


def _tell_longest(target: TargetSummary, name: str, scene: Scene) -> str:
    if not target.episodes:
        return f"{name} was not down"
    longest = max(target.episodes, key=lambda episode: (episode.min_ns, episode.max_ns))
    length = wording.duration(longest)
    return f"{name} was down at a stretch for {length}{_from(longest, scene)}"


def _tell_outages(target: TargetSummary, name: str, scene: Scene) -> str:
    if not target.episodes:
        return f"{name} was not down"
    count = len(target.episodes)
    if count == 1:
        return f"{name} was down once{_from(target.episodes[0], scene)}"
    return f"{name} was down {number(count)} times, first{_from(target.episodes[0], scene)}"


def _tell_observed(target: TargetSummary, name: str, scene: Scene) -> str:
    unobserved = Counter(target.unobserved)
    unobserved[CAUSE] += sum(_paused_around(target, scene))
    causes = ", ".join(
        f"{printable(cause)} {wording.seconds(length_ns)}" for cause, length_ns in (+unobserved).items()
    )
    return f"{name} was observed for {_percent(coverage(target, scene))} % of its time" + (
        f": {causes}" if causes else ""
    )


def _tell_failure(target: TargetSummary, name: str, scene: Scene) -> str:
    if not target.episodes:
        return f"no probe of {name} failed"
    return _tell_down(target, name, scene)


def _tell_in_a_row(target: TargetSummary, name: str, scene: Scene) -> str:
    several = [(count, first) for count, first in _in_a_row(target) if count > 1]
    if not several:
        return f"no two probes of {name} in a row failed"
    count, first = max(several, key=lambda one: one[0])
    return f"{number(count)} probes of {name} in a row failed{_from(first, scene)}"


_WORDS: Final = {
    Measure.DOWN: _tell_down,
    Measure.SHARE: _tell_share,
    Measure.LONGEST: _tell_longest,
    Measure.OUTAGES: _tell_outages,
    Measure.OBSERVED: _tell_observed,
    Measure.NO_FAILURE: _tell_failure,
    Measure.NO_FAILURES_IN_A_ROW: _tell_in_a_row,
}


def _worst(target: TargetSummary, scene: Scene) -> str:
    """Return how often a target was down, when worst, and why."""
    longest: Episode = max(target.episodes, key=lambda episode: episode.down_ns)
    count = len(target.episodes)
    often = "" if count == 1 else f" in {plural(count, 'episode')}, longest"
    return f"{often}{_from(longest, scene)}"


def _from(outage: Outage, scene: Scene) -> str:
    """Return since when it was down, and why; to the millisecond."""
    start = wording.moment(scene.start_utc_ns + outage.start_ns)
    ending = " on" if outage.is_ongoing else ""
    return f" from {start} UTC{ending}: {wording.causes(outage.causes, most=_CAUSES_SHOWN)}"


def _percent(part: Fraction) -> str:
    """Return ``98.96``; rounded down, so that what falls short is seen to."""
    hundredths = int(part * 10_000)
    return f"{hundredths // 100}.{hundredths % 100:02d}"
