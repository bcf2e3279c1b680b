"""The spans of a run, in which what is not a target's own fault is unknown, and so is what was paused.

What is judged by the spans of other targets (whether the vantage was blind, whether Keystone was failing) is
found out first, from no more spans than that needs. Then each target is read with its own, one at a time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from downtimer.checks import is_identity
from downtimer.impairment import attribute as attribute_to_keystone
from downtimer.impairment import find_failing
from downtimer.intervals import Interval, unite
from downtimer.model import Kind, Latency, Span, Target, TargetId, TargetState
from downtimer.pauses import find_pauses, put_in
from downtimer.report.roster import Roster, call
from downtimer.store.reader import Reader, Stored
from downtimer.vantage import Evidence, answers_of_reference, attribute, evidence_of, find_blind

_CHECK: Final = attrgetter("check")

StateAndSpans = tuple[TargetState, Sequence[Span]]


class AttributedSpans:
    """Reads targets with their spans, after attribution.

    Args:
        reader: Of the run. It stays open.
        roster: Of the run.
        pauses: Of the run, in order.
    """

    def __init__(self, reader: Reader, roster: Roster, pauses: Sequence[Interval]) -> None:
        self.pauses = pauses
        self._reader = reader
        self._blind = _find_blind(reader, roster)
        self._find_failing(roster)

    def of(self, targets: Iterable[TargetId]) -> Iterator[StateAndSpans]:
        """Yield each of these targets with its spans, in the order asked for."""
        return map(self.decode, self.stored(targets))

    def stored(self, targets: Iterable[TargetId]) -> Iterator[Stored]:
        """Yield the same as the reader has them."""
        return self._reader.stored(targets)

    def decode(self, stored: Stored) -> StateAndSpans:
        """Return a target that the reader has `stored`, with its spans."""
        state, spans = self._reader.decode(stored)
        theirs: Sequence[Span] = _attributed(state, spans, self._blind) if self._blind else spans
        failing = self._failing_for(state.target)
        if failing:
            theirs = list(attribute_to_keystone(theirs, failing))
        return state, put_in(theirs, self.pauses)

    def latencies(self, target: TargetId) -> Sequence[Latency]:
        """Return how soon a service answered; that is nobody else's doing, and so as the reader has it."""
        return self._reader.latencies(target)

    def _find_failing(self, roster: Roster) -> None:
        """Find out when the Keystones of each region may have failed."""
        checks: defaultdict[str | None, list[list[Span]]] = defaultdict(list)
        for state, spans in self._reader.with_spans(roster.keystones):
            fit = [span for span in spans if span.check not in state.unfit]
            theirs = _attributed(state, fit, self._blind)
            checks[state.target.region] += (list(each) for _, each in groupby(theirs, key=_CHECK))
        until_ns = self._reader.through_ns() if checks else 0
        self._failing = {region: find_failing(each, until_ns) for region, each in checks.items()}
        self._failing_anywhere = unite(interval for each in self._failing.values() for interval in each)

    def _failing_for(self, target: Target) -> Sequence[Interval]:
        """Return when the Keystone that this target asks may have failed: its region's, if it has one."""
        if target.kind is not Kind.SERVICE or is_identity(target):
            return ()
        return self._failing.get(target.region, self._failing_anywhere)


def attributed_spans(reader: Reader) -> Iterator[StateAndSpans]:
    """Yield every target of a run with its spans, after attribution."""
    roster = call(reader.targets())
    everything = AttributedSpans(reader, roster, find_pauses(reader.events()))
    yield from everything.of([*roster.targets, *roster.agents, *roster.references])


def _find_blind(reader: Reader, roster: Roster) -> list[Interval]:
    """Return when the vantage was blind. Of most runs this reads the spans of few targets only."""
    references = [
        list(of_check)
        for _, spans in reader.with_spans(roster.references)
        for _, of_check in groupby(spans, key=_CHECK)
    ]
    begun: set[TargetId] = set()

    def around(times: Sequence[Interval]) -> Iterator[Evidence]:
        wide = unite((start_ns - roster.patience_ns, end_ns) for start_ns, end_ns in times)
        begun.update(reader.failing(wide))
        return _evidence(reader, begun.difference(roster.agents))

    def others() -> Iterator[Evidence]:
        listed = (*roster.references, *roster.targets)
        return _evidence(reader, (target for target in listed if target not in begun))

    return find_blind(references, around, others, reader.through_ns())


def _evidence(reader: Reader, targets: Iterable[TargetId]) -> Iterator[Evidence]:
    for state, spans in reader.with_spans(targets):
        tell = answers_of_reference if state.target.reference else evidence_of
        for check, of_check in groupby(spans, key=_CHECK):
            yield from tell(of_check, _baseline_ns(state, check))


def _attributed(state: TargetState, spans: Sequence[Span], blind: Sequence[Interval]) -> list[Span]:
    found: list[Span] = []
    for check, of_check in groupby(spans, key=_CHECK):
        found.extend(attribute(of_check, blind, _baseline_ns(state, check)))
    return found


def _baseline_ns(state: TargetState, check: str) -> int | None:
    baseline = state.baselines.get(check)
    return None if baseline is None else baseline.latency_ns
