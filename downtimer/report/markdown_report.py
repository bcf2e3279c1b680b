"""The Markdown report, for a ticket: verdicts, what was down and when, and what to know about these figures.

It is short, however large the run was; the other formats have the rest.
"""

import heapq
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from downtimer.findings import TargetSummary
from downtimer.model import Kind
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.by_phase import FIRST, Row
from downtimer.report.head import Head
from downtimer.report.markdown import table, text, verbatim
from downtimer.report.sections import AnswersAlone, ByPhase, Resolution, Section, Unobserved
from downtimer.report.summary import Summary
from downtimer.report.titles import moment_of, title_of
from downtimer.report.wording import number, plural

ROWS: Final = 50
"""So many targets that were down are listed, those that were down longest."""

_NOTES: Final = 30  # lines
_CAUSES: Final = 3


def render(summary: Summary) -> Iterator[str]:
    """Yield the report, piece by piece."""
    head, down, phases = Head(summary), _Down(summary), ByPhase(summary)
    notes: list[Section[Any]] = [Unobserved(summary), AnswersAlone(summary), Resolution(summary)]
    sections: list[Section[Any]] = [head, down, phases, *notes]

    def tell(target: TargetSummary) -> list[Any]:
        return [section.tell(target) for section in sections]

    for told in summary.of_each(tell):
        for section, its in zip(sections, told, strict=True):
            if its:
                section.add(its)
    run = summary.run
    label = f": {text(run.label)}" if run.label else ""
    yield f"# Downtime in run {text(run.id)}{label}\n\n"
    yield from _judgements(summary)
    yield from verbatim(head.read())
    yield from down.read()
    yield from _phases(summary, phases.rows)
    yield from _notes(summary, chain(*(section.read() for section in notes)))


def _judgements(summary: Summary) -> Iterator[str]:
    if summary.judgements:
        rows = [
            (f"**{judgement.result.value}**", text(judgement.assertion), text(judgement.why))
            for judgement in summary.judgements
        ]
        yield from table(("result", "assertion", "why"), rows)


class _Row(NamedTuple):
    """A target that was down; all but the length is Markdown."""

    down_ns: int
    cells: tuple[str, ...]


class _Down:
    """The table of what was down, the longest first; addresses that never answered are counted."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._rows: list[tuple[int, int, _Row]] = []  # a heap: of equal lengths those that came first stay
        self._count = self._silent = 0

    def tell(self, target: TargetSummary) -> _Row | None:
        """See `Section`."""
        if not target.episodes:
            return None
        if target.is_silent:
            return _Row(0, ())
        return _Row(target.down_ns, self._cells(target))

    def _cells(self, target: TargetSummary) -> tuple[str, ...]:
        longest = max(target.episodes, key=lambda episode: episode.duration_ns)
        ending = ", not ended" if longest.is_ongoing else ""
        return (
            text(title_of(self._summary, target)),
            wording.downtime(target),
            f"{wording.percent(target.down_ns, target.observed_ns)} %",
            number(len(target.episodes)),
            wording.duration(longest),
            f"{moment_of(self._summary, longest.start_ns)} UTC{ending}",
            text(wording.causes(longest.causes, most=_CAUSES)),
        )

    def add(self, told: _Row) -> None:
        """See `Section`."""
        if not told.cells:
            self._silent += 1
            return
        self._count += 1
        push = heapq.heappush if self._count <= ROWS else heapq.heappushpop
        push(self._rows, (told.down_ns, -self._count, told))

    def read(self) -> Iterator[str]:
        """See `Section`."""
        if self._rows:
            yield "## Down\n\n"
            rows = [row.cells for _, _, row in sorted(self._rows, reverse=True)]
            titles = ("target", " downtime", " share", " episodes", " longest", "from", "causes")
            yield from table(titles, rows)
        else:
            yield "Nothing was down.\n\n"
        if self._count > ROWS:
            yield f"… and {number(self._count - ROWS)} more that were down for less.\n\n"
        if self._silent:
            yield f"{plural(self._silent, 'address')} never answered, and may not be allowed to.\n\n"


def _phases(summary: Summary, rows: list[Row]) -> Iterator[str]:
    if rows:
        yield "## By phase\n\n"
        titles = ("phase", "from", " length", " observed", "services down", "addresses down")
        yield from table(titles, (_phase(summary, row) for row in rows))


def _phase(summary: Summary, row: Row) -> tuple[str, ...]:
    phase = row.phase
    return (
        text(phase.name) or FIRST,
        f"{moment_of(summary, phase.start_ns)} UTC",
        wording.length(phase.end_ns - phase.start_ns),
        row.observed(),
        *(text(row.downs[kind].text()) if row.count(kind) else "" for kind in (Kind.SERVICE, Kind.ADDRESS)),
    )


def _notes(summary: Summary, told: Iterator[str]) -> Iterator[str]:
    """Yield what is to be known about the figures, in the words of the text report."""
    missing = (f"Missing from this report: {printable(note)}\n" for note in summary.notes)
    lines = (line for piece in chain(missing, told) for line in piece.splitlines(keepends=True))
    first = list(islice(lines, _NOTES))
    if first:
        yield "## Notes\n\n"
        yield from verbatim([*first, *(["…\n"] if next(lines, None) is not None else [])])
