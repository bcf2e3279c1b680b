"""Two runs, side by side: which target was down for longer in the second, and which for less.

Imported by the command that compares. A difference counts only if it is beyond the bounds of both figures;
else it may be the doing of where the probes happened to fall.
"""

import enum
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from downtimer.findings import TargetSummary
from downtimer.model import Kind, Run
from downtimer.report.cases import COVERAGE, Scene, coverage, longest_bounds_ns
from downtimer.report.summary import Summary

Bounds = tuple[int, int]


class Change(enum.StrEnum):
    """What became of a figure from one run to the other."""

    WORSE = "worse"  # at least now is more than at most before
    BETTER = "better"  # at most now is less than at least before
    UNDECIDED = "undecided"  # the bounds allow both, or too little was observed
    NONE = "none"  # not down in either


class Figures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one run says of a target; lengths in ns.

    Attributes:
        down_ns: Downtime.
        down_bounds_ns: At least, and at most.
        longest_ns: The longest episode.
        longest_bounds_ns: At least, and at most, of any.
        episodes: How many.
        slow_ns: Time with late answers.
        observed_ns: Time with a verdict.
        is_covered: Enough of its time was observed to say that it was down for no longer.
        checks: Their names.
    """

    down_ns: int
    down_bounds_ns: Bounds
    longest_ns: int
    longest_bounds_ns: Bounds
    episodes: int
    slow_ns: int
    observed_ns: int
    is_covered: bool
    checks: tuple[str, ...]

    @classmethod
    def of(cls, target: TargetSummary, scene: Scene) -> "Figures":
        """Return what matters of a target."""
        return cls(
            down_ns=target.down_ns,
            down_bounds_ns=(target.down_min_ns, target.down_max_ns),
            longest_ns=target.longest_ns,
            longest_bounds_ns=longest_bounds_ns(target),
            episodes=len(target.episodes),
            slow_ns=target.slow_ns,
            observed_ns=target.observed_ns,
            is_covered=target.observed_ns > 0 and coverage(target, scene) >= COVERAGE,
            checks=tuple([check.name for check in target.checks]),
        )


class Pair(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A target as both runs saw it, or one of them.

    Attributes:
        kind: Of the target.
        name: How the later report calls it that has it; not yet safe to print.
        before: What the first run says; None if it has no such target.
        after: What the second one says; likewise.
    """

    kind: Kind
    name: str
    before: Figures | None
    after: Figures | None

    @property
    def is_in_both(self) -> bool:
        """Both runs have it."""
        return self.before is not None and self.after is not None

    @property
    def was_down(self) -> bool:
        """It may have been down in a run that has it."""
        return any(side.down_bounds_ns[1] for side in (self.before, self.after) if side is not None)

    @property
    def down(self) -> Change:
        """What became of its downtime; undecided if it is in one run only."""
        return self._change(lambda figures: figures.down_bounds_ns)

    @property
    def longest(self) -> Change:
        """What became of its longest episode; likewise."""
        return self._change(lambda figures: figures.longest_bounds_ns)

    def _change(self, bounds_of: Callable[[Figures], Bounds]) -> Change:
        before, after = self.before, self.after
        if before is None or after is None:
            return Change.UNDECIDED
        (before_min, before_max), (after_min, after_max) = bounds_of(before), bounds_of(after)
        if after_min > before_max and before.is_covered:
            return Change.WORSE
        if after_max < before_min and after.is_covered:
            return Change.BETTER
        if before_max == after_max == 0 and before.is_covered and after.is_covered:
            return Change.NONE
        return Change.UNDECIDED


class Side(NamedTuple):
    """One of two runs.

    Attributes:
        run: The run.
        length_ns: How long it was.
        counts: How many targets it has, by kind.
        is_endless: It came from a file that told of no end.
    """

    run: Run
    length_ns: int
    counts: Counter[Kind]
    is_endless: bool = False


class Comparison(NamedTuple):
    """Two runs, compared.

    Attributes:
        before: The first one.
        after: The second one.
        pairs: In the order of the second run's report; what it has not comes last.
        remarks: What makes the two hard to compare, a line each; not yet safe to print.
        never_answered: Addresses that never answered in the first run, or are only in the second and never
            answered there; they are in no pair.
    """

    before: Side
    after: Side
    pairs: Sequence[Pair]
    remarks: Sequence[str]
    never_answered: int


class _Told(NamedTuple):
    """A target of one run."""

    id: str
    kind: Kind
    name: str  # as the report calls it
    plain: str  # as the cloud does
    figures: Figures
    is_silent: bool  # an address that never answered


def compare(before: Summary, after: Summary) -> Comparison:
    """Return what became of each target from one run to the other. All targets of both are read once."""
    told_before, told_after = _told(before), _told(after)
    answered = {target.id for target in told_before if not target.is_silent}
    silent = {target.id for target in (*told_before, *told_after) if target.is_silent} - answered
    sides = _side(before, told_before), _side(after, told_after)
    pairs = list(
        _pair(
            [target for target in told_before if target.id not in silent],
            [target for target in told_after if target.id not in silent],
        )
    )
    return Comparison(*sides, pairs, list(_remarks(*sides, pairs)), len(silent))


def _side(summary: Summary, told: Iterable[_Told]) -> Side:
    counts = Counter(target.kind for target in told)
    return Side(summary.run, summary.length_ns, counts, summary.is_endless)


def _told(summary: Summary) -> list[_Told]:
    scene = summary.scene

    def tell(summarized: TargetSummary) -> _Told:
        target = summarized.target
        figures = Figures.of(summarized, scene)
        name = summary.name_of(target)
        return _Told(target.id, target.kind, name, target.name, figures, summarized.is_silent)

    return list(summary.of_each(tell))


def _pair(before: list[_Told], after: list[_Told]) -> Iterator[Pair]:
    """Yield the targets of both. The same one may have another URL, or another name beside its namesakes."""
    partners: dict[str, _Told] = {}  # by the id of the second
    for key_of in (_by_id, _by_name, _by_plain_name):
        left = _unique(before, key_of)
        for key, target in _unique([one for one in after if one.id not in partners], key_of).items():
            if key in left:
                partners[target.id] = left[key]
        taken = {target.id for target in partners.values()}
        before = [target for target in before if target.id not in taken]
    for target in after:
        partner = partners.get(target.id)
        yield Pair(
            kind=target.kind,
            name=target.name,
            before=None if partner is None else partner.figures,
            after=target.figures,
        )
    for target in before:
        yield Pair(kind=target.kind, name=target.name, before=target.figures, after=None)


def _unique(targets: Iterable[_Told], key_of: Callable[[_Told], Hashable]) -> dict[Hashable, _Told]:
    """Return the targets by a key that no two of them share; those that share one are left out."""
    listed = list(targets)
    counts = Counter(key_of(target) for target in listed)
    return {key_of(target): target for target in listed if counts[key_of(target)] == 1}


def _by_id(target: _Told) -> Hashable:
    return target.id


def _by_name(target: _Told) -> Hashable:
    return target.kind, target.name


def _by_plain_name(target: _Told) -> Hashable:
    return target.kind, target.plain


def _remarks(before: Side, after: Side, pairs: Sequence[Pair]) -> Iterator[str]:
    for word, one, other in (
        ("vantages", before.run.vantage, after.run.vantage),
        ("clouds", before.run.cloud, after.run.cloud),
    ):
        if one != other:
            yield f"the {word} differ: {one or 'none'}, then {other or 'none'}"
    for word, side in (("first", before), ("second", after)):
        if side.is_endless:
            yield f"no end of the {word} run was given"
        elif side.run.end_ns is None:
            yield f"the {word} run has no end: it goes on, or was cut off"
        elif side.run.interrupted:
            yield f"the {word} run was interrupted"
    yield from _differing(pairs, "by other checks", _has_other_checks)
    yield from _differing(pairs, f"less than {float(COVERAGE):.0%} of the time in one of them", _is_bare)


def _differing(pairs: Sequence[Pair], how: str, differ: Callable[[Figures, Figures], bool]) -> Iterator[str]:
    names = [
        pair.name
        for pair in pairs
        if pair.before is not None and pair.after is not None and differ(pair.before, pair.after)
    ]
    if names:
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        yield f"measured {how}: {', '.join(names[:3])}{more}"


def _has_other_checks(before: Figures, after: Figures) -> bool:
    return before.checks != after.checks


def _is_bare(before: Figures, after: Figures) -> bool:
    return not (before.is_covered and after.is_covered)
