"""A run as read from a store -> its summary, which every format of report is made from.

Streams: the targets are read and summarized one at a time, in the order of the report, and none is kept. A
format says what it tells of each, which all cores work at, and gathers that as it comes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from downtimer.assertions import Assertion, Judgement
from downtimer.findings import TargetSummary
from downtimer.intervals import Cover, Interval, unite
from downtimer.model import (
    Event,
    Latency,
    Mark,
    Phase,
    Run,
    Target,
    TargetId,
    Verdict,
    phases_between,
)
from downtimer.outages import summarize
from downtimer.pauses import find_pauses
from downtimer.report.attributed import AttributedSpans
from downtimer.report.cases import Scene
from downtimer.report.cores import spread
from downtimer.report.judging import Judge
from downtimer.report.roster import Roster, call
from downtimer.store.reader import Reader, Stored
from downtimer.timeline import Timeline, find_timeline

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything a report shows.

    Attributes:
        run: The run.
        through_ns: The instant that the figures count to.
        agents: By name, then host: what the cloud itself reports, which is nobody's probe.
        references: Whether each reference has ever answered, by its address; numerically.
        marks: By instant.
        phases: From each of them to the next, in order; none without marks.
        events: By instant.
        notes: What the source lacks.
        judgements: Of each assertion, in the order given; none without assertions.
        is_lenient: What is undecided is no failure.
        is_endless: It came from a file that told of no end, nor how far it had come: nobody knows whether it
            had ended.
    """

    run: Run
    through_ns: int
    agents: Sequence[TargetSummary]
    references: Mapping[str, bool]
    marks: Sequence[Mark]
    phases: Sequence[Phase]
    events: Sequence[Event]
    notes: Sequence[str]
    judgements: Sequence[Judgement] = ()
    is_lenient: bool = False
    is_endless: bool = False
    _roster: Roster = field(repr=False)
    _spans: AttributedSpans = field(repr=False)

    def of_each(self, tell: Callable[[TargetSummary], _Told]) -> Iterator[_Told]:
        """Yield what is told of each target: services by name, then addresses numerically, IPv4 first.

        References are none of them. Each time they are read anew.

        Args:
            tell: May be called in another process, a fork of this one.
        """

        def tell_of(stored: Stored) -> _Told:
            return tell(summarize(*self._spans.decode(stored), self.phases))

        return spread(tell_of, self._spans.stored(self._roster.targets))

    def count_targets(self) -> int:
        """Return how many `of_each` tells of."""
        return len(self._roster.targets)

    def with_timeline(self, tell: Callable[[TargetSummary, Timeline], _Told]) -> Iterator[_Told]:
        """Yield the same as `of_each`, told by the figures of a target and when it was what."""

        def tell_of(stored: Stored) -> _Told:
            state, spans = self._spans.decode(stored)
            figures = summarize(state, spans, self.phases)
            return tell(figures, find_timeline(state, spans, figures))

        return spread(tell_of, self._spans.stored(self._roster.targets))

    def latencies(self, target: TargetId) -> Sequence[Latency]:
        """Return how soon a service answered, by check and time; nothing for all other targets."""
        return self._spans.latencies(target)

    @property
    def length_ns(self) -> int:
        """How long the run was; as long as it has no end, how long what is recorded of it."""
        return _length_ns(self.run, self.through_ns)

    @property
    def pauses(self) -> Sequence[Interval]:
        """When probing rested, as the user asked; in order, up to the run's end."""
        return unite((start_ns, min(end_ns, self.length_ns)) for start_ns, end_ns in self._spans.pauses)

    @property
    def scene(self) -> Scene:
        """What is needed of it, besides its targets, to judge one."""
        return Scene(self.run.start_utc_ns, self.through_ns, self.name_of, Cover(self.pauses))

    def name_of(self, target: Target) -> str:
        """Return how a target is called: ``nova``, or ``nova (RegionTwo)`` where that is needed.

        It is as the cloud gave it: a format must escape it.
        """
        return self._roster.names.get(target.id, target.name)


def build(reader: Reader, assertions: Sequence[Assertion] = (), *, is_lenient: bool = False) -> Summary:
    """Return the summary of a run, whose targets are read as they are asked for. The reader stays open.

    Args:
        reader: Of the run.
        assertions: What to judge it by. If there are any, all targets are read once for that.
        is_lenient: What is undecided is no failure, for formats that tell the two apart only.
    """
    summary = _read(reader)
    judgements = _judge(summary, assertions) if assertions else ()
    return replace(summary, judgements=judgements, is_lenient=is_lenient)


def _judge(summary: Summary, assertions: Sequence[Assertion]) -> Sequence[Judgement]:
    judge = Judge(assertions, summary.scene)
    for told in summary.of_each(judge.tell):
        judge.add(told)
    return judge.judgements()


def _length_ns(run: Run, through_ns: int) -> int:
    return through_ns if run.end_ns is None else run.end_ns


def _read(reader: Reader) -> Summary:
    roster, events = call(reader.targets()), reader.events()
    spans = AttributedSpans(reader, roster, find_pauses(events))
    run, through_ns, marks = reader.run(), reader.through_ns(), reader.marks()
    return Summary(
        run=run,
        through_ns=through_ns,
        agents=[summarize(state, theirs) for state, theirs in spans.of(roster.agents)],
        references={
            state.target.name: any(span.verdict is Verdict.UP for span in theirs)
            for state, theirs in spans.of(roster.references)
        },
        marks=marks,
        phases=phases_between(marks, _length_ns(run, through_ns)),
        events=events,
        notes=reader.notes(),
        is_endless=run.is_imported and run.end_ns is None and not reader.tells_progress(),
        _roster=roster,
        _spans=spans,
    )
