"""A run as read from a store -> its summary, which every format of report is made from.

Streams: spans are read target by target; what stays in memory is the figures. What is judged by the
spans of other targets (whether the vantage was blind, whether Keystone was failing) is found out before, and
applied to the spans of each target before they are summarized.
"""

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from downtimer.checks import is_identity
from downtimer.findings import TargetSummary
from downtimer.impairment import attribute as attribute_to_keystone
from downtimer.impairment import find_failing
from downtimer.intervals import Interval, unite
from downtimer.model import Event, Kind, Mark, Run, Span, Target, TargetId, TargetState, Verdict
from downtimer.outages import summarize
from downtimer.store.reader import Reader
from downtimer.targets import REFERENCES
from downtimer.vantage import Answers, Failures, answers_of_reference, attribute, evidence_of, find_blind

_CHECK: Final = attrgetter("check")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything a report shows.

    Attributes:
        run: The run.
        through_ns: The instant that the figures count to.
        targets: Services by name, then addresses numerically, IPv4 first; no references.
        agents: By name, then host: what the cloud itself reports, which is nobody's probe.
        references: Whether each reference has ever answered, by its address; numerically.
        names: How each target is called: ``nova``, or ``nova (RegionTwo)`` where that is needed to
            tell them apart. As the cloud gave it: a format must escape it.
        marks: By instant.
        events: By instant.
        notes: What the source lacks.
    """

    run: Run
    through_ns: int
    targets: Sequence[TargetSummary]
    agents: Sequence[TargetSummary]
    references: Mapping[str, bool]
    names: Mapping[TargetId, str]
    marks: Sequence[Mark]
    events: Sequence[Event]
    notes: Sequence[str]


def build(reader: Reader) -> Summary:
    """Read a run and return its summary. The reader stays open."""
    strays: list[TargetId] = []
    targets, agents, references = [], [], {}
    for state, spans in attributed_spans(reader, strays):
        if state.target.reference:
            references[state.target.name] = any(span.verdict is Verdict.UP for span in spans)
        elif state.target.kind is Kind.AGENT:
            agents.append(summarize(state, spans))
        else:
            targets.append(summarize(state, spans))
    names = name_targets([summary.target for summary in targets])
    targets.sort(key=lambda summary: _rank(summary.target, names))
    agents.sort(key=lambda summary: _rank_agent(summary.target))
    notes = reader.notes()
    if strays:
        notes = [*notes, f"{len(strays)} targets have spans but are not described; they are left out"]
    return Summary(
        run=reader.run(),
        through_ns=reader.through_ns(),
        targets=targets,
        agents=agents,
        references={name: references[name] for name in sorted(references, key=_numerically)},
        names=names,
        marks=reader.marks(),
        events=reader.events(),
        notes=notes,
    )


def attributed_spans(reader: Reader, strays: list[TargetId]) -> Iterator[tuple[TargetState, Sequence[Span]]]:
    """Yield each target with its spans, in which what is not its own fault is unknown.

    That is what failed because the vantage was blind, or because Keystone did.

    Args:
        reader: Stays open.
        strays: Takes the ids of spans whose target is not described.
    """
    blind = _find_blind(reader)
    keystones = _Keystones(reader, blind)
    for state, spans in _gather(reader.targets(), reader.spans(), strays):
        theirs = _attributed(state, spans, blind) if blind else spans
        failing = keystones.failing_for(state.target)
        yield state, list(attribute_to_keystone(theirs, failing)) if failing else theirs


class _Keystones:
    """When the Keystones of each region may have failed."""

    def __init__(self, reader: Reader, blind: Sequence[Interval]) -> None:
        checks: defaultdict[str | None, list[list[Span]]] = defaultdict(list)
        for state in reader.targets():
            if state.target.kind is Kind.SERVICE and is_identity(state.target):
                mine = [span for span in reader.spans(state.target.id) if span.target == state.target.id]
                mine = [span for span in mine if span.check not in state.unfit]
                spans = _attributed(state, mine, blind)
                checks[state.target.region] += (list(each) for _, each in groupby(spans, key=_CHECK))
        until_ns = reader.through_ns() if checks else 0
        self._failing = {region: find_failing(each, until_ns) for region, each in checks.items()}
        self._anywhere = unite(interval for each in self._failing.values() for interval in each)

    def failing_for(self, target: Target) -> Sequence[Interval]:
        """Return when the Keystone that this target asks may have failed: its region's, if it has one."""
        if target.kind is not Kind.SERVICE or is_identity(target):
            return ()
        return self._failing.get(target.region, self._anywhere)


def _find_blind(reader: Reader) -> list[Interval]:
    """Return when the vantage was blind. Of most runs this reads the spans of the references only."""
    references = [
        list(spans) for _, spans in groupby(reader.spans(REFERENCES), key=attrgetter("target", "check"))
    ]
    return find_blind(references, _evidence(reader), reader.through_ns())


def _evidence(reader: Reader) -> Iterator[Answers | Failures]:
    for state, spans in _gather(reader.targets(), reader.spans(), []):
        if state.target.kind is Kind.AGENT:
            continue
        tell = answers_of_reference if state.target.reference else evidence_of
        for check, of_check in groupby(spans, key=_CHECK):
            yield from tell(of_check, _baseline_ns(state, check))


def _attributed(state: TargetState, spans: list[Span], blind: Sequence[Interval]) -> list[Span]:
    found: list[Span] = []
    for check, of_check in groupby(spans, key=_CHECK):
        found.extend(attribute(of_check, blind, _baseline_ns(state, check)))
    return found


def _baseline_ns(state: TargetState, check: str) -> int | None:
    baseline = state.baselines.get(check)
    return None if baseline is None else baseline.latency_ns


def name_targets(targets: Iterable[Target]) -> dict[TargetId, str]:
    """Return how each target is called, so that no two are called alike if that can be helped.

    Where a name has several regions every one carries its region; where that does not tell two
    apart they carry the URL, and then the interface, too.
    """
    listed = list(targets)
    regions = Counter(name for name, _ in {(t.name, t.region) for t in listed})
    places = Counter((t.name, t.region) for t in listed)
    urls = Counter((t.name, t.region, t.url) for t in listed)
    names = {}
    for target in listed:
        place, url = (target.name, target.region), (target.name, target.region, target.url)
        parts = [
            target.region if regions[target.name] > 1 else None,
            target.url if places[place] > urls[url] else None,
            target.interface if urls[url] > 1 else None,
        ]
        suffix = ", ".join(part for part in parts if part)
        names[target.id] = f"{target.name} ({suffix})" if suffix else target.name
    return names


def _gather(
    states: Iterable[TargetState], spans: Iterable[Span], strays: list[TargetId]
) -> Iterator[tuple[TargetState, list[Span]]]:
    """Merge the two streams, both ordered by target; `strays` takes ids without a target."""
    groups = groupby(spans, key=attrgetter("target"))
    group = next(groups, None)
    for state in states:
        while group is not None and group[0] < state.target.id:
            strays.append(group[0])
            group = next(groups, None)
        if group is not None and group[0] == state.target.id:
            yield state, list(group[1])
            group = next(groups, None)
        else:
            yield state, []
    if group is not None:
        strays.append(group[0])
        strays.extend(target for target, _ in groups)


def _rank(target: Target, names: Mapping[TargetId, str]) -> tuple[int, int, str, str]:
    name = names[target.id]
    if target.kind is Kind.SERVICE:
        return 0, 0, target.name, name
    try:
        return *_numerically(target.name), "", name
    except ValueError:
        return 9, 0, target.name, name


def _rank_agent(target: Target) -> tuple[str, str, str]:
    return target.name, target.host or "", target.region or ""


def _numerically(name: str) -> tuple[int, int]:
    """Rank an address, IPv4 first; a ValueError says that it is none."""
    address = ipaddress.ip_address(name)
    return address.version, int(address)
