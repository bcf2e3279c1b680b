"""The text report, for the one who is on duty.

It begins with one line per target, whose wording scripts rely on. After a blank line come
sections, each left out where it has nothing to say. Every name and text that is not ours goes
through `printable`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from downtimer.findings import TargetSummary
from downtimer.model import Kind
from downtimer.printable import printable
from downtimer.report import wording
from downtimer.report.head import Head
from downtimer.report.outage_text import tell_of_outages
from downtimer.report.sections import (
    AnswersAlone,
    ByPhase,
    ByProject,
    Each,
    NeverAnswered,
    Resolution,
    Section,
    Unobserved,
    tell_of_checks,
    tell_of_impaired,
    tell_of_retired,
    tell_of_slow,
)
from downtimer.report.summary import Summary
from downtimer.report.titles import RESULTS, moment_of, name_of
from downtimer.report.wording import number


def render(summary: Summary) -> Iterator[str]:
    """Yield the report, piece by piece: the lines as targets are read, then what was gathered meanwhile."""
    head, *of_targets = sections = _sections(summary)

    def tell(target: TargetSummary) -> tuple[str, list[Any]]:
        return f"{line(summary, target)}\n", [section.tell(target) for section in sections]

    for line_of_target, told in summary.of_each(tell):
        yield line_of_target
        for section, its in zip(sections, told, strict=True):
            if its:
                section.add(its)
    for pieces in (
        _judgements(summary),
        head.read(),
        _missing(summary),
        *(section.read() for section in of_targets),
        _agents(summary),
        _events(summary),
    ):
        first = next(pieces, None)
        if first is not None:
            yield f"\n{first}"
            yield from pieces


def _sections(summary: Summary) -> list[Section[Any]]:
    """Return the sections that tell of targets, in order."""
    return [
        Head(summary),
        Each(summary, "Outages (times in UTC; in brackets the bounds of each figure)", tell_of_outages),
        Each(summary, "Slow (good answers, but much later than usual; in no downtime)", tell_of_slow),
        Each(
            summary,
            "Impaired by Keystone (calls failed for want of it while it failed; in no downtime of theirs)",
            tell_of_impaired,
        ),
        ByPhase(summary),
        ByProject(summary),
        NeverAnswered(summary),
        Each(summary, "Retired (no longer listed; measured until then)", tell_of_retired),
        Unobserved(summary),
        Each(
            summary,
            "Not observed by one check (the service's other checks observed it)",
            tell_of_checks,
        ),
        AnswersAlone(summary),
        Resolution(summary),
    ]


def line(summary: Summary, target: TargetSummary) -> str:
    """Return the one line of a target. Scripts parse it: its wording never changes."""
    name = name_of(summary, target)
    share = wording.percent(target.down_ns, target.observed_ns)
    if target.target.kind is Kind.SERVICE:
        time = wording.whole_seconds(target.down_ns)
        return f"Service {name} was down approximately {time} seconds which is {share}% of total uptime"
    time = wording.tenths_of_seconds(target.down_ns)
    return f"Address {name} was unreachable approximately {time} second which is {share}% of total uptime"


def _judgements(summary: Summary) -> Iterator[str]:
    """Yield what came of the assertions, which is what a reader in a hurry wants to know."""
    counts = Counter(judgement.result for judgement in summary.judgements)
    if counts:
        parts = [f"{number(counts[result])} {RESULTS[result]}" for result in RESULTS if counts[result]]
        lenient = " (what is undecided is allowed)" if summary.is_lenient else ""
        yield f"Assertions: {', '.join(parts)}{lenient}\n"
    for judgement in summary.judgements:
        yield f"  {judgement.result.upper():<9}  {judgement.assertion}\n"
        yield f"             {judgement.why}\n"


def _missing(summary: Summary) -> Iterator[str]:
    if summary.notes:
        yield "Missing from this report\n"
    for note in summary.notes:
        yield f"  {printable(note)}\n"


def _agents(summary: Summary) -> Iterator[str]:
    has_regions = len({agent.target.region for agent in summary.agents}) > 1
    if summary.agents:
        yield "Agents (as the cloud itself reports them, by heartbeats: 10 to 75 seconds late, Heat's 120)\n"
    for agent in sorted(summary.agents, key=lambda agent: not agent.episodes):
        name, host = printable(agent.target.name), printable(agent.target.host or "")
        place = printable(agent.target.region or "")
        region = f" ({place})" if has_regions else ""
        line = f"Agent {name} on {host}{region} was reported down approximately"
        ongoing = ", and still was at the end" if agent.episodes and agent.episodes[-1].is_ongoing else ""
        notes = list(_notes_on_agent(agent))
        aside = f" ({'; '.join(notes)})" if notes else ""
        yield f"  {line} {wording.whole_seconds(agent.down_ns)} seconds{ongoing}{aside}\n"


def _notes_on_agent(agent: TargetSummary) -> Iterator[str]:
    if agent.episodes:
        least, most = map(wording.whole_seconds, (agent.down_min_ns, agent.down_max_ns))
        yield f"{least} to {most}"
    if not agent.observed_ns:
        yield "it was read once"
    elif agent.unobserved_ns:
        yield f"not read for {wording.whole_seconds(agent.unobserved_ns)} seconds"


def _events(summary: Summary) -> Iterator[str]:
    if summary.events:
        yield "Events of the measurement itself\n"
    for event in summary.events:
        yield f"  {moment_of(summary, event.at_ns)}  {printable(event.kind):<9} {printable(event.text)}\n"
