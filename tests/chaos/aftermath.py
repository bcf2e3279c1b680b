"""What is found in a state folder after a power cut, against what had been acknowledged before it."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from downtimer.intervals import Interval
from downtimer.messages import SpanFact
from downtimer.model import ANSWERS, SECOND_NS, Incarnation, Mark, Run, RunId, Span, TargetId
from downtimer.report import summary
from downtimer.store.journal import (
    Facts,
    JournalReader,
    JournalWriter,
    delete_run,
    last_run,
    list_runs,
)
from tests.chaos.recorded import Recording, Told
from tests.unit.runs import ns, up

DARK_NS: Final = 60 * SECOND_NS
"""So long after the cut the run is gone on with."""

_Key = tuple[TargetId, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What one cut has cost.

    Attributes:
        lost: What was acknowledged and is not there: spans, or a part of one, marks, the end of the run.
        twice: Spans that begin before the one before them has ended.
        invented_ns: Downtime in the report of what was never said to be down.
        lacking_ns: The age of the oldest fact that had been sent and is not there.
        was_made: Whether there is a journal with a run.
    """

    lost: int
    twice: int
    invented_ns: int
    lacking_ns: int
    was_made: bool


def inspect(state: Path, recording: Recording, at_ns: int) -> Aftermath:
    """Read a state folder as a user does, go on with the run, and end it; say what it has cost.

    Args:
        state: As the cut has left it.
        recording: Of what came before.
        at_ns: When the power went (UTC).
    """
    promised = [told for told in recording.told if told.acknowledged_ns < at_ns]
    marks = {mark for mark, acknowledged_ns in recording.marks.items() if acknowledged_ns < at_ns}
    spans = _expected(promised)
    last = last_run(str(state))
    if last is None:
        _begin_anew(state, recording.run)
        return Aftermath(
            lost=len(spans) + len(marks),
            twice=0,
            invented_ns=0,
            lacking_ns=_lacking_ns(recording.told, {}, at_ns),
            was_made=False,
        )
    found = _Found.of(last.path)
    gone_on = _go_on(last.path, last.run, last.through_ns, found)
    return Aftermath(
        lost=_missing(spans, found.spans)
        + _missing(found.spans, gone_on.spans)
        + len(marks - found.marks)
        + (recording.ended_ns < at_ns and last.run.end_ns is None),
        twice=found.twice() + gone_on.twice(),
        invented_ns=found.invented_ns(recording.outer) + gone_on.invented_ns(recording.outer),
        lacking_ns=_lacking_ns(recording.told, found.spans, at_ns),
        was_made=True,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A journal as it is read.

    Attributes:
        spans: By their natural keys, in order.
        down: By target, estimated downtime as a report has it.
        marks: All of them.
    """

    spans: Mapping[_Key, Span]
    down: Mapping[TargetId, Sequence[Interval]]
    marks: frozenset[Mark]

    @classmethod
    def of(cls, path: str) -> "_Found":
        """Read a journal, and let SQLite look for damage."""
        with closing(JournalReader(path)) as reader:
            spans = {_key(span): span for span in reader.spans()}
            down = dict(
                summary.build(reader).of_each(
                    lambda figures: (
                        figures.target.id,
                        [
                            (outage.start_ns, outage.end_ns)
                            for episode in figures.episodes
                            for outage in episode.outages
                        ],
                    )
                )
            )
            marks = frozenset(reader.marks())
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            damage = connection.execute("PRAGMA integrity_check").fetchall()
        if damage != [("ok",)]:
            raise AssertionError(f"{path} is damaged: {damage}")
        return cls(spans, down, marks)

    def twice(self) -> int:
        """Count spans that overlap the one before."""
        return sum(
            one.target == other.target
            and one.check == other.check
            and other.first_sent_ns <= one.last_sent_ns
            for one, other in pairwise(self.spans.values())
        )

    def invented_ns(self, outer: Mapping[str, Sequence[Interval]]) -> int:
        """Return how much of the downtime lies outside of what may have been."""
        return sum(
            _outside_ns(interval, outer[target])
            for target, intervals in self.down.items()
            for interval in intervals
        )


def _go_on(path: str, run: Run, through_ns: int, found: _Found) -> _Found:
    """Go on with the run after another boot, see all targets up, and end it; return what is there then."""
    if run.end_ns is not None:
        return found
    tied = replace(run, boot_id="another boot", boot_origin_ns=run.boot_origin_ns - DARK_NS)
    at_s = (through_ns + DARK_NS) / SECOND_NS
    life = Incarnation("api.after")
    later = [
        SpanFact(up(at_s, at_s + 5, target=target, check=ANSWERS, life=life), is_open=False)
        for target in found.down
    ]
    with closing(JournalWriter(path, tied, ships=False)) as writer:
        writer.apply(Facts(spans=[*later]))
        writer.end_run(ns(at_s + 6))
    again = _Found.of(path)
    if len(again.spans) != len(found.spans) + len(later):
        raise AssertionError(f"{path}: {len(again.spans)} spans, and not {len(found.spans)} + {len(later)}")
    return again


def _begin_anew(state: Path, run: Run) -> None:
    """Have the folder listed, remove what is left of the making of a journal, and begin another run."""
    for entry in list_runs(str(state)):
        if entry.error is None or entry.path not in entry.error or "\n" in entry.error:
            raise AssertionError(f"{entry.path}: {entry.error}")
    other = replace(run, id=RunId("20240101-000000-9999"))
    with closing(JournalWriter(str(state / "runs" / f"{other.id}.sqlite"), other, ships=False)):
        pass
    for entry in list_runs(str(state)):
        if entry.id != other.id:
            delete_run(str(state), entry.id)
    left = [path.name for path in (state / "runs").iterdir() if not path.name.startswith(other.id)]
    ((entry),) = list_runs(str(state))
    if left or entry.error is not None:
        raise AssertionError(f"left are {left} and {entry}")


def _expected(told: Iterable[Told]) -> dict[_Key, Span]:
    """Return spans as a journal has them that was told all that, one after the other."""
    facts: dict[_Key, SpanFact] = {}
    grown: dict[Incarnation, tuple[int, int]] = {}
    for each in told:
        facts.update((_key(fact.span), fact) for fact in each.facts)
        progress = each.progress
        grown[progress.incarnation] = (progress.through_ns - progress.interval_ns, progress.widest_ns)
    return {
        key: fact.span.grown(*grown[fact.span.incarnation]) if fact.is_open else fact.span
        for key, fact in facts.items()
    }


def _missing(expected: Mapping[_Key, Span], found: Mapping[_Key, Span]) -> int:
    """Count spans that are not there, or shorter than they were, or others."""
    return sum(key not in found or not _reaches(found[key], span) for key, span in expected.items())


def _reaches(found: Span, span: Span) -> bool:
    return found.last_sent_ns >= span.last_sent_ns and found.verdict is span.verdict


def _lacking_ns(told: Iterable[Told], found: Mapping[_Key, Span], at_ns: int) -> int:
    """Return how old the oldest of those facts is that had been sent and are not there; 0 if there is none.

    Those that were acknowledged are none of them: they are lost.
    """
    unsure = (each for each in told if each.sent_ns < at_ns <= each.acknowledged_ns)
    return next((at_ns - each.sent_ns for each in unsure if _missing(_expected([each]), found)), 0)


def _outside_ns(interval: Interval, allowed: Iterable[Interval]) -> int:
    start_ns, end_ns = interval
    inside_ns = sum(max(0, min(end_ns, until_ns) - max(start_ns, from_ns)) for from_ns, until_ns in allowed)
    return end_ns - start_ns - inside_ns


def _key(span: Span) -> _Key:
    return (span.target, span.check, span.first_sent_ns)
