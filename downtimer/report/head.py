"""The head of a report: what was measured, when, and how much of it there is."""

from collections import Counter
from collections.abc import Iterator

from downtimer.findings import TargetSummary
from downtimer.model import Kind
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.summary import Summary
from downtimer.report.titles import moment_of, told_counts


class Head:
    """Gathers how many targets there are; a section of its own, see `downtimer.report.sections.Section`."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._counts = Counter[Kind]()
        self._down = 0
        self._shortest_ns = self._longest_ns = 0  # of the windows that have a length

    def tell(self, target: TargetSummary) -> tuple[Kind, bool, int]:
        """See `Section`."""
        return target.target.kind, bool(target.episodes), target.window_ns

    def add(self, told: tuple[Kind, bool, int]) -> None:
        """See `Section`."""
        kind, was_down, window_ns = told
        self._counts[kind] += 1
        self._down += was_down
        if window_ns:
            self._shortest_ns = min(window_ns, self._shortest_ns or window_ns)
            self._longest_ns = max(window_ns, self._longest_ns)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        yield from _run(self._summary)
        yield f"  targets   {self._targets()}\n"
        if self._longest_ns:
            shortest, longest = wording.length(self._shortest_ns), wording.length(self._longest_ns)
            each = longest if shortest == longest else f"{shortest} to {longest}"
            yield f"  measured  {each} each, first to last probe; percentages are of what was observed\n"

    def _targets(self) -> str:
        counts = told_counts(self._counts)
        if not counts:
            return "none: nothing was found to measure"
        return f"{', '.join(counts)}; {self._down or 'none'} with outages"


def _run(summary: Summary) -> Iterator[str]:
    run = summary.run
    yield f"Run {printable(run.id)}\n"
    if run.label:
        yield f"  label     {printable(run.label)}\n"
    if run.vantage:
        yield f"  vantage   {printable(run.vantage)}\n"
    for name, has_answered in summary.references.items():
        failed = "" if has_answered else f" ({wording.NO_PROOF})"
        yield f"  reference {printable(name)}{failed}\n"
    yield f"  start     {moment_of(summary, 0)} UTC\n"
    if run.end_ns is None:
        through = moment_of(summary, summary.through_ns)
        why = "no end was given" if summary.is_endless else "not yet (running, or cut off)"
        yield f"  end       {why}; figures count to {through} UTC\n"
    else:
        cut_off = " (interrupted)" if run.interrupted else ""
        yield f"  end       {moment_of(summary, run.end_ns)} UTC{cut_off}\n"
    yield f"  length    {wording.length(summary.length_ns)}\n"
