"""Puts the page together: each target is told once, and what is told goes to the tiles, the table, the data.

What stands on top is known last; until then the data, which may be too large to be held in memory, waits in a
spool.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from downtimer.findings import TargetSummary
from downtimer.model import Kind, TargetId
from downtimer.printable import printable
from downtimer.projects import Projects, ProjectSummary
from downtimer.report.by_phase import Gathering, Share
from downtimer.report.html import assets, notes, overview
from downtimer.report.html.data import Describer, Milliseconds
from downtimer.report.html.latencies import describe_latencies, points_of_each
from downtimer.report.html.markup import compact_json, text
from downtimer.report.html.overview import Brief, Tiles
from downtimer.report.html.rows import Quiet, Rows, row_of
from downtimer.report.sections import AnswersAlone, Resolution, Section
from downtimer.report.spool import Spool
from downtimer.report.summary import Summary
from downtimer.timeline import NOTHING, Timeline


class _Told(NamedTuple):
    """What is told of a target: to the tiles, the table, the script, of its phases and its project."""

    brief: Brief
    row: str
    data: str
    phases: Share | None
    project: ProjectSummary | None
    notes: list[Any]  # of each section that the text report has, too
    service: tuple[TargetId, int] | None  # whose latencies are wanted, and how many checks it has


class _Gathered:
    """What was told of the targets."""

    def __init__(self, summary: Summary) -> None:
        self.phases = Gathering(summary)
        self.tiles, self.quiet, self.projects = Tiles(), Quiet(), Projects()
        self.rows, self.data = Rows(), Spool()
        self.notes: list[Section[Any]] = [AnswersAlone(summary), Resolution(summary)]
        self.services: list[tuple[TargetId, int]] = []

    def add(self, told: _Told) -> None:
        """Take a target into account; they come in the order of the report."""
        self.tiles.add(told.brief)
        if told.row:
            self.rows.add(told.brief.down_ns, told.row)
        else:
            self.quiet.add(told.brief.kind, told.brief.title)
        group = ""
        if told.service is not None:
            group = f'"i":{len(self.services)},'
            self.services.append(told.service)
        if told.phases is not None:
            self.phases.add(told.phases)
        if told.project is not None:
            group = f'"g":{self.projects.add(told.project)},'
        for section, its in zip(self.notes, told.notes, strict=True):
            if its:
                section.add(its)
        self.add_data(f"{{{group}{told.data[1:]}")

    def add_data(self, data: str) -> None:
        """Add what the script gets of a target."""
        self.data.add(f"{',' if self.data else ''}\n{data}")


def render(summary: Summary) -> Iterator[str]:
    """Yield the report, piece by piece."""
    gathered = _gather(summary)
    yield from _top(summary)
    yield from overview.title(summary)
    yield from overview.verdicts(summary)
    yield from overview.head(summary)
    yield from gathered.tiles.read()
    yield from notes.missing(summary)
    yield '<section id=timeline hidden aria-label="Timeline"></section>\n'
    yield "<section id=table><h2>Targets with something to see</h2>\n"
    yield from gathered.rows.read()
    yield from gathered.quiet.read()
    yield "</section>\n"
    yield from notes.by_phase(summary, gathered.phases)
    yield from notes.by_project(gathered.projects)
    for section in gathered.notes:
        yield from notes.section(section)
    yield from notes.events(summary)
    yield f"{notes.READING}</main>\n"
    yield from _data(summary, gathered)
    yield f"<script>{assets.script()}</script>\n</html>\n"


def _gather(summary: Summary) -> _Gathered:
    gathered, describer = _Gathered(summary), Describer(summary)

    def tell(target: TargetSummary, timeline: Timeline) -> _Told:
        title = printable(summary.name_of(target.target))
        return _Told(
            Brief.of(title, target),
            row_of(summary, title, target),
            compact_json(describer.describe(title, target, timeline)),
            gathered.phases.tell(target),
            ProjectSummary.of(target),
            [section.tell(target) for section in gathered.notes],
            (target.target.id, len(target.checks)) if target.target.kind is Kind.SERVICE else None,
        )

    for told in summary.with_timeline(tell):
        gathered.add(told)
    has_regions = len({agent.target.region for agent in summary.agents}) > 1
    for agent in summary.agents:
        title = _title_of_agent(agent, has_regions=has_regions)
        gathered.add_data(compact_json(describer.describe(title, agent, NOTHING)))
        row = row_of(summary, title, agent)
        if row:
            gathered.rows.add(agent.down_ns, row)
    return gathered


def _title_of_agent(agent: TargetSummary, *, has_regions: bool) -> str:
    region = f" ({agent.target.region})" if has_regions and agent.target.region else ""
    return printable(f"{agent.target.name} on {agent.target.host or ''}{region}")


def _top(summary: Summary) -> Iterator[str]:
    run = summary.run
    title = text(f"downtimer: {run.label or run.id}")
    yield f"""<!DOCTYPE html>
<html lang=en>
<meta charset=utf-8>
<meta http-equiv="Content-Security-Policy" content="{assets.policy()}">
<meta name=viewport content="width=device-width, initial-scale=1">
<meta name=color-scheme content="light dark">
<meta name=referrer content=no-referrer>
<title>{title}</title>
<style>{assets.style()}</style>
<script>{assets.FIRST}</script>
<main>
"""


def _data(summary: Summary, gathered: _Gathered) -> Iterator[str]:
    """Yield what the script draws."""
    ms = Milliseconds(summary)
    about = {
        "origin": ms.origin,
        "length": ms.at(max(summary.length_ns, summary.through_ns)),
        "marks": [[ms.at(mark.at_ns), printable(mark.text)] for mark in summary.marks],
        "projects": [
            [printable(project.name or ""), printable(project.id or "")]
            for project in gathered.projects.by_number()
        ],
    }
    yield f'<script type="application/json" id=data>{{"about":{compact_json(about)},\n"latencies":['
    yield from _latencies(summary, gathered, ms)
    yield '],\n"targets":['
    yield from gathered.data.read()
    yield "]}</script>\n"


def _latencies(summary: Summary, gathered: _Gathered, ms: Milliseconds) -> Iterator[str]:
    points = points_of_each(sum(checks for _, checks in gathered.services))
    for number, (service, _) in enumerate(gathered.services):
        windows = summary.latencies(service)
        yield f"{',' if number else ''}\n{compact_json(describe_latencies(windows, ms, points))}"
