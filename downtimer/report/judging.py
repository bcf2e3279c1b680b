"""Assertions, held against a run: a case for each assertion and target, and what these come to. Pure.

Cases are found wherever targets are summarized, which may be in other processes; they are gathered here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from downtimer.assertions import Assertion, Case, Judgement, Measure, Result, Selector
from downtimer.findings import TargetSummary
from downtimer.model import Kind
from downtimer.options import hint
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.cases import Bounds, Finding, Scene, compare, hold
from downtimer.report.wording import number, plural

_SEVERITY: Final = (Result.FAIL, Result.UNDECIDED, Result.PASS)
"""The worst case is that of the whole."""


_NAMES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What was found of a target.

    Attributes:
        names: What a selector may have meant that fits nothing: its key, and a name.
        findings: Of each assertion; None where it is not about this target.
    """

    names: tuple[tuple[str, str], ...]
    findings: Sequence[Finding | None]


class Judge:
    """Holds assertions against the targets of a run, one after the other.

    Args:
        assertions: Which.
        scene: Of the run.
    """

    def __init__(self, assertions: Sequence[Assertion], scene: Scene) -> None:
        self._scene = scene
        self._tallies = [_Tally(assertion) for assertion in assertions]
        self._names: set[tuple[str, str]] = set()

    def tell(self, target: TargetSummary) -> Told:
        """Return what is found of a target. Another process may be asked."""
        name = self._scene.name_of(target.target)
        shown = printable(name)
        return Told(
            _names(target, name),
            [
                hold(tally.assertion, target, shown, self._scene)
                if tally.assertion.selector.fits(target.target, name)
                else None
                for tally in self._tallies
            ],
        )

    def add(self, told: Told) -> None:
        """Take a target into account; they come in the order of the report."""
        self._names.update(told.names)
        for tally, finding in zip(self._tallies, told.findings, strict=True):
            if finding is not None:
                tally.add(finding)

    def judgements(self) -> list[Judgement]:
        """Return what came of each assertion."""
        return [tally.judgement(self._names) for tally in self._tallies]


def _names(target: TargetSummary, name: str) -> tuple[tuple[str, str], ...]:
    if target.target.kind is Kind.SERVICE:
        return (("service", name),)
    return (("project", target.target.project),) if target.target.project else ()


@dataclass(slots=True)
class _Tally:
    """What is known of an assertion so far.

    Attributes:
        assertion: Which.
        cases: In the order of the report.
        kinds: How many targets of each kind these are about.
        worst: By result, the worst case, with its weight.
        episodes: Of all these together.
        left_out: Addresses that never answered.
        isolated: See `Finding`, summed up.
        resolution: By check, the largest of any target.
    """

    assertion: Assertion
    cases: list[Case] = field(default_factory=list)
    kinds: Counter[Kind] = field(default_factory=Counter)
    worst: dict[Result, tuple[Bounds, Case]] = field(default_factory=dict)
    episodes: int = 0
    left_out: int = 0
    isolated: int = 0
    resolution: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, finding: Finding) -> None:
        """Take a finding into account."""
        case = finding.case
        if case is None or case.kind is None:
            self.left_out += 1
            return
        self.cases.append(case)
        self.kinds[case.kind] += 1
        if case.result not in self.worst or finding.weight > self.worst[case.result][0]:
            self.worst[case.result] = finding.weight, case
        self.episodes += finding.episodes
        self.isolated += finding.isolated
        for check, length_ns in finding.resolution:
            self.resolution[check] = max(self.resolution[check], length_ns)

    def judgement(self, names: set[tuple[str, str]]) -> Judgement:
        """Return what it comes to."""
        assertion = self.assertion
        if not self.cases:
            why = self._why_nothing(names)
            # Addresses that never answered may be down or not; but no promise is kept of nothing at all.
            result = Result.UNDECIDED if self.left_out else Result.FAIL
            return Judgement(assertion.text, result, why, (Case(None, None, result, why),))
        result = next(result for result in _SEVERITY if result in self.worst)
        if assertion.measure is Measure.OUTAGES and len(self.cases) > 1:
            return self._judgement_of_all(result)
        why = "; ".join([self._why(result), *self._remarks()])
        return Judgement(assertion.text, result, why, tuple(self.cases))

    def _judgement_of_all(self, worst: Result) -> Judgement:
        """Return what it comes to where episodes are counted, of all targets together."""
        result = compare(self.assertion, (self.episodes, self.episodes))
        if result is Result.PASS:  # as long as enough was observed of each
            result = worst
        if self.episodes and result is not Result.UNDECIDED:
            told = f"{plural(self.episodes, 'episode')} in all; {self._most()}"
        else:
            told = self._why(worst)
        why = "; ".join([told, *self._remarks()])
        return Judgement(self.assertion.text, result, why, (Case(None, None, result, why),))

    def _most(self) -> str:
        """Return which target was down most often."""
        return max(self.worst.values(), key=lambda worst: worst[0])[1].why

    def _why_nothing(self, names: set[tuple[str, str]]) -> str:
        if self.left_out:
            return f"there is nothing to judge: {plural(self.left_out, 'address')} never answered"
        selector = self.assertion.selector
        if not selector.key:
            return "there is nothing to judge: the run has no targets"
        if selector.pattern == "*":
            return f"there is nothing to judge: no {_NOUNS[selector.key]} was measured"
        return f"no target fits {printable(str(selector))}{_hint(selector, names)}"

    def _why(self, result: Result) -> str:
        weight, case = self.worst[result]
        if len(self.cases) == 1:
            return case.why
        if result is not Result.PASS:
            others = [other.target for other in self.cases if other.result is result and other is not case]
            return f"{case.why}{_too(result, others)}"
        everything = " and ".join(plural(count, kind.value) for kind, count in self.kinds.items())
        if not any(weight):
            return f"{everything}: {_NOTHING[self.assertion.measure]}"
        return f"{everything}; the worst: {case.why}"

    def _remarks(self) -> Iterator[str]:
        if self.resolution:
            lengths = ", ".join(
                f"{wording.seconds_up(length_ns)} ({printable(check)})"
                for check, length_ns in sorted(self.resolution.items())
            )
            yield f"a shorter outage than {lengths} can have been missed"
        if self.assertion.measure is Measure.NO_FAILURES_IN_A_ROW:
            yield f"{number(self.isolated)} isolated {'loss' if self.isolated == 1 else 'losses'}"
        if self.left_out:
            are = "is" if self.left_out == 1 else "are"
            yield f"{plural(self.left_out, 'address')} that never answered {are} left out"


def _too(result: Result, others: Sequence[str | None]) -> str:
    """Return how many other targets it is the same with, and the names of the first."""
    if not others:
        return ""
    names = ", ".join(str(name) for name in others[:_NAMES_SHOWN])
    more = ", …" if len(others) > _NAMES_SHOWN else ""
    return f"; {number(len(others))} more {_VERBS[result][len(others) != 1]} ({names}{more})"


def _hint(selector: Selector, names: set[tuple[str, str]]) -> str:
    return hint(selector.pattern, sorted(name for key, name in names if key == selector.key))


_NOUNS: Final = {"service": "service", "address": "address", "project": "address of a project"}

_VERBS: Final = {Result.FAIL: ("fails", "fail"), Result.UNDECIDED: ("is undecided", "are undecided")}

_NOTHING: Final = {
    Measure.DOWN: "none was down",
    Measure.SHARE: "none was down",
    Measure.LONGEST: "none was down",
    Measure.OUTAGES: "none was down",
    Measure.OBSERVED: "all was observed",
    Measure.NO_FAILURE: "no probe failed",
    Measure.NO_FAILURES_IN_A_ROW: "no two probes in a row failed",
}
"""What is said of many targets where there is nothing to say."""
