"""What stands below the picture and the table, the events last; and what is missing. Pure."""

from collections.abc import Iterator
from typing import Any

from downtimer.projects import Projects
from downtimer.report import wording
from downtimer.report.by_phase import FIRST, Gathering, Row
from downtimer.report.html.markup import name, table, text
from downtimer.report.sections import Section
from downtimer.report.summary import Summary
from downtimer.report.titles import KINDS, moment_of

READING = """<details class=reading><summary>How to read this</summary>
<p><b>Down</b> is a request issued then that gets no good answer in time. In brackets are the bounds that the
probes prove: between the last good probe and the first failed one the edge may be anywhere. <b>Slow</b> is a
good answer, much later than this target's own normal; it is in no downtime. <b>Not observed</b> is time in
which a probe says nothing of the target, by cause; it is in no downtime and in no percentage. An
<b>episode</b> is a series of outages with less than 5 s of good answers between them. Nothing shorter than
a target's <b>resolution</b> is sure to be seen.</p></details>
"""


def missing(summary: Summary) -> Iterator[str]:
    """Yield what the source lacks; it stands high up, since figures may be wrong for it."""
    if summary.notes:
        notes = "".join(f"<li>{text(note)}\n" for note in summary.notes)
        yield f"<section class=missing><h2>Missing from this report</h2><ul>{notes}</ul></section>\n"


def section(told: Section[Any]) -> Iterator[str]:
    """Yield a section of the text report: its title, and its lines as a list."""
    title, *lines = "".join(told.read()).splitlines() or [""]
    if lines:
        items = "".join(f"<li>{name(line.strip())}\n" for line in lines)
        yield f"<section><h2>{text(title)}</h2>\n<ul>{items}</ul></section>\n"


def by_project(projects: Projects) -> Iterator[str]:
    """Yield a table of projects."""
    found = projects.by_name()
    if found:
        head = ("Project", "Addresses", "Down", "Downtime", "Longest", "User-uptime", "Never answered")
        yield "<section><h2>Addresses by project</h2>\n"
        yield table(
            head,
            (
                (
                    f"{name(project.name or '(none)')}<small>{text(project.id or '')}</small>",
                    wording.number(project.addresses),
                    wording.number(project.down),
                    wording.seconds(project.down_ns),
                    wording.seconds(project.longest_ns),
                    "" if project.user_uptime is None else f"{project.user_uptime * 100:.3f} %",
                    wording.number(project.never_answered),
                )
                for project in found
            ),
        )
        yield "</section>\n"


def by_phase(summary: Summary, gathering: Gathering) -> Iterator[str]:
    """Yield a table of phases, each with what was down in it."""
    if gathering.rows:
        head = ("Phase", "Start (UTC)", "Length", "Observed", "Services down", "Addresses down")
        yield "<section><h2>By phase: from each mark to the next</h2>\n"
        yield table(head, (list(_phase(summary, row)) for row in gathering.rows))
        yield "</section>\n"


def _phase(summary: Summary, row: Row) -> Iterator[str]:
    phase = row.phase
    yield name(phase.name or FIRST)
    yield moment_of(summary, phase.start_ns)
    yield wording.length(phase.end_ns - phase.start_ns)
    yield row.observed()
    for kind in KINDS:
        down = row.count(kind)
        yield (
            f"<b>{wording.number(down)}</b><small>{text(row.downs[kind].text())}</small>" if down else "none"
        )


def events(summary: Summary) -> Iterator[str]:
    """Yield the events of the measurement itself."""
    if summary.events:
        yield "<section><h2>Events of the measurement itself (UTC)</h2>\n"
        rows = ((moment_of(summary, e.at_ns), text(e.kind), text(e.text)) for e in summary.events)
        yield table(("At", "Kind", "What"), rows)
        yield "</section>\n"
