"""The table of targets: what is read where the script does not run, and on paper. Pure."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from downtimer.findings import Episode, TargetSummary
from downtimer.model import Kind
from downtimer.report import wording
from downtimer.report.html.markup import name, text
from downtimer.report.outage_text import remarks_on
from downtimer.report.spool import Spool
from downtimer.report.summary import Summary
from downtimer.report.titles import moment_of, period_of

ROWS_MAX: Final = 2_000
"""The table has no more: it is read by people, and costs as much of the page again as the timeline does."""

_HEAD: Final = (
    "<table id=targets><thead><tr><th scope=col>Target<th scope=col>Down<th scope=col>Longest"
    "<th scope=col>Slow<th scope=col>Not observed<th scope=col>Episodes (UTC)<tbody>\n"
)


def row_of(summary: Summary, title: str, target: TargetSummary) -> str:
    """Return the row of a target; nothing if there is nothing to see: it was up all the time.

    Args:
        summary: Of the run.
        title: How the target is called.
        target: Its figures.
    """
    if not (target.episodes or target.slow_ns or target.unobserved or not target.observed_ns):
        return ""
    down = longest = ""
    if target.episodes:
        share = wording.percent(target.down_ns, target.observed_ns)
        down = f"{wording.downtime(target)}, {share} %"
        longest = wording.seconds(target.longest_ns)
    slow = wording.seconds(target.slow_ns) if target.slow_ns else ""
    unobserved = text(wording.unobserved(target.unobserved)) if target.observed_ns else "nothing was observed"
    cells = (down, longest, slow, unobserved, "<br>".join(_episodes(summary, target)))
    return f"<tr><th>{_called(title, target)}{''.join(f'<td>{cell}' for cell in cells)}\n"


def _called(title: str, target: TargetSummary) -> str:
    the = target.target
    about = [the.project or the.project_id, the.server or the.server_id] if the.kind is Kind.ADDRESS else []
    more = ", ".join(text(part) for part in about if part)
    return f"{name(title)}<small>{more or the.kind.value}</small>"


def _episodes(summary: Summary, target: TargetSummary) -> Iterator[str]:
    has_checks = len(target.checks) > 1
    for episode in target.episodes:
        parts = [_times(summary, episode), wording.duration(episode)]
        if episode.failed_share < 1:
            parts.append(f"{wording.share(episode.failed_share)} % failed")
        parts.append(text(wording.causes(episode.causes)))
        if has_checks:
            parts.append(text(f"[{', '.join(episode.checks)}]"))
        parts += (text(remark) for remark in remarks_on(summary, episode, target))
        yield ", ".join(parts)


def _times(summary: Summary, episode: Episode) -> str:
    if episode.is_ongoing:
        return f"{moment_of(summary, episode.start_ns)} – not ended"
    return period_of(summary, episode.start_ns, episode.end_ns)


class Rows:
    """The rows of the targets that were down for longest, in the order of the report."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, str]] = []  # a heap: of equal downtimes those that came first stay
        self._count = 0

    def add(self, down_ns: int, row: str) -> None:
        """Add a row; which are dropped is told by the downtime."""
        self._count += 1
        push = heapq.heappush if self._count <= ROWS_MAX else heapq.heappushpop
        push(self._rows, (down_ns, -self._count, row))

    def read(self) -> Iterator[str]:
        """Yield the table."""
        if not self._count:
            yield "<p>Nothing was down, slow or not observed.</p>\n"
            return
        if self._count > ROWS_MAX:
            yield f"<p>The {ROWS_MAX:,} that were down for longest, of {self._count:,}.</p>\n"
        yield f"<div class=scroll>{_HEAD}"
        for _, _, row in sorted(self._rows, key=lambda ranked: -ranked[1]):
            yield row
        yield "</table></div>\n"


class Quiet:
    """The names of what was up all the time, by kind: no rows, for there may be many thousands."""

    def __init__(self) -> None:
        self._counts: Counter[Kind] = Counter()
        self._names: defaultdict[Kind, Spool] = defaultdict(Spool)

    def add(self, kind: Kind, title: str) -> None:
        """Add a target."""
        separator = ", " if self._counts[kind] else ""
        self._counts[kind] += 1
        self._names[kind].add(f"{separator}{name(title)}")

    def read(self) -> Iterator[str]:
        """Yield a line for each kind, which opens."""
        for kind, count in self._counts.items():
            yield f"<details><summary>{wording.plural(count, kind.value)} up all the time</summary><p>"
            yield from self._names[kind].read()
            yield "</details>\n"
