"""The text report, for the one who is on duty.

It begins with one line per target, whose wording scripts rely on. After a blank line come
sections, each left out where it has nothing to say. Every name and text that is not ours goes
through `printable`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from downtimer.findings import CheckSummary, Episode, TargetSummary
from downtimer.model import WORKS, Kind, TargetId
from downtimer.printable import printable
from downtimer.projects import by_project
from downtimer.report import wording
from downtimer.report.summary import Summary
from downtimer.report.wording import plural

_NAMES_SHOWN: Final = 4
"""Targets that a line for many names before it counts the rest."""

_SECURITY_GROUPS: Final = (
    "  Down, or not allowed to answer: a default security group drops ICMP. If the server is up,\n"
    "  permit ICMP from this host, or add the address to exclude= in section [targets].\n"
)

_KINDS: Final = {Kind.SERVICE: "Service", Kind.ADDRESS: "Address"}


def render(summary: Summary) -> Iterator[str]:
    """Yield the report, piece by piece."""
    for target in summary.targets:
        yield f"{line(summary, target)}\n"
    for section in (
        _run,
        _missing,
        _outages,
        _slow,
        _impaired,
        _projects,
        _never_answered,
        _retired,
        _unobserved,
        _unobserved_by_check,
        _answers_alone,
        _resolution,
        _agents,
        _marks,
        _events,
    ):
        pieces = section(summary)
        first = next(pieces, None)
        if first is not None:
            yield f"\n{first}"
            yield from pieces


def line(summary: Summary, target: TargetSummary) -> str:
    """Return the one line of a target. Scripts parse it: its wording never changes."""
    name = printable(summary.names[target.target.id])
    share = wording.percent(target.down_ns, target.observed_ns)
    if target.target.kind is Kind.SERVICE:
        time = wording.whole_seconds(target.down_ns)
        return f"Service {name} was down approximately {time} seconds which is {share}% of total uptime"
    time = wording.tenths_of_seconds(target.down_ns)
    return f"Address {name} was unreachable approximately {time} second which is {share}% of total uptime"


def _run(summary: Summary) -> Iterator[str]:
    run = summary.run
    yield f"Run {printable(run.id)}\n"
    if run.label:
        yield f"  label     {printable(run.label)}\n"
    yield f"  vantage   {printable(run.vantage)}\n"
    for name, has_answered in summary.references.items():
        failed = "" if has_answered else " (never answered: it can't prove this host's own link)"
        yield f"  reference {printable(name)}{failed}\n"
    yield f"  start     {_moment(summary, 0)} UTC\n"
    if run.end_ns is None:
        through = _moment(summary, summary.through_ns)
        yield f"  end       not yet (running, or cut off); figures count to {through} UTC\n"
    else:
        cut_off = " (interrupted)" if run.interrupted else ""
        yield f"  end       {_moment(summary, run.end_ns)} UTC{cut_off}\n"
    length_ns = summary.through_ns if run.end_ns is None else run.end_ns
    yield f"  length    {wording.length(length_ns)}\n"
    yield f"  targets   {_count_targets(summary)}\n"
    windows = sorted(target.window_ns for target in summary.targets if target.window_ns)
    if windows:
        shortest, longest = wording.length(windows[0]), wording.length(windows[-1])
        each = longest if shortest == longest else f"{shortest} to {longest}"
        yield f"  measured  {each} each, first to last probe; percentages are of what was observed\n"


def _count_targets(summary: Summary) -> str:
    kinds = [target.target.kind for target in summary.targets]
    counts = [
        plural(count, noun)
        for count, noun in ((kinds.count(Kind.SERVICE), "service"), (kinds.count(Kind.ADDRESS), "address"))
        if count
    ]
    if not counts:
        return "none: nothing was found to measure"
    down = sum(1 for target in summary.targets if target.episodes)
    return f"{', '.join(counts)}; {down or 'none'} with outages"


def _missing(summary: Summary) -> Iterator[str]:
    if summary.notes:
        yield "Missing from this report\n"
    for note in summary.notes:
        yield f"  {printable(note)}\n"


def _outages(summary: Summary) -> Iterator[str]:
    affected = [target for target in summary.targets if target.episodes]
    if affected:
        yield "Outages (times in UTC; in brackets the bounds of each figure)\n"
    for target in affected:
        yield _headline(summary, target)
        has_checks = len(target.checks) > 1
        if has_checks:
            yield f"    by check: {', '.join(_share(check) for check in target.checks)}\n"
        for episode in target.episodes:
            yield _row(summary, episode, has_checks=has_checks)
            remarks = "; ".join(_remarks(summary, episode, target))
            if remarks:
                yield f"      {remarks}\n"


def _headline(summary: Summary, target: TargetSummary) -> str:
    longest = f", the longest {wording.seconds(target.longest_ns)}" if len(target.episodes) > 1 else ""
    method = target.method if target.method not in (None, "icmp") else None
    by = f" (measured by {printable(method)})" if method else ""
    return (
        f"  {_title(summary, target)}{by}: down {wording.downtime(target)}"
        f" in {plural(len(target.episodes), 'episode')}{longest}\n"
    )


def _share(check: CheckSummary) -> str:
    slow = f" (and slow {wording.seconds(check.slow_ns)})" if check.slow_ns else ""
    return f"{printable(check.name)} {wording.seconds(check.down_ns)}{slow}"


def _row(summary: Summary, episode: Episode, *, has_checks: bool) -> str:
    times = f"{_moment(summary, episode.start_ns)} – {_end(summary, episode)}"
    share = f"{wording.percent(round(episode.failed_share * 1_000_000), 1_000_000)} % failed"
    causes = ", ".join(f"{printable(cause)} {count:,}" for cause, count in episode.causes.items())
    checks = f"  [{printable(', '.join(episode.checks))}]" if has_checks else ""
    return f"    {times:<38}  {wording.duration(episode):<22}  {share:>14}  {causes}{checks}\n"


def _end(summary: Summary, episode: Episode) -> str:
    if episode.is_ongoing:
        return "ongoing" if summary.run.end_ns is None else "not ended"
    origin_ns = summary.run.start_utc_ns
    return wording.moment_after(origin_ns + episode.end_ns, origin_ns + episode.start_ns)


def _remarks(summary: Summary, episode: Episode, target: TargetSummary) -> Iterator[str]:
    """Yield what keeps an episode's row from being the whole story."""
    if episode.label:
        yield printable(episode.label)
    if len(episode.outages) > 1:
        yield f"{len(episode.outages):,} outages in it, together down {wording.downtime(episode)}"
    if not target.has_answered:
        yield "never answered, see below"
    elif episode.is_start_censored:
        if episode.earliest_ns == target.start_ns:
            yield "start not seen: under way when first observed"
        else:
            yield f"start not seen: {_moment(summary, episode.earliest_ns)} at the earliest"
    if episode.is_end_censored:
        yield f"end not seen: {_moment(summary, episode.latest_ns)} at the latest"
    if episode.is_ongoing and target.has_answered:
        yield f"not ended when last seen at {_moment(summary, episode.end_ns)}"
    if episode.unobserved_ns:
        yield f"{wording.seconds(episode.unobserved_ns)} of it not observed"


def _slow(summary: Summary) -> Iterator[str]:
    slow = [target for target in summary.targets if target.slow_ns]
    if slow:
        yield "Slow (good answers, but much later than usual; in no downtime)\n"
    for target in slow:
        share = wording.percent(target.slow_ns, target.observed_ns)
        yield f"  {_title(summary, target)}: {wording.seconds(target.slow_ns)}, {share} %\n"


def _impaired(summary: Summary) -> Iterator[str]:
    impaired = [target for target in summary.targets if target.impairments]
    if impaired:
        yield "Impaired by Keystone (calls failed for want of it while it failed; in no downtime of theirs)\n"
    for target in impaired:
        calls = sum(impairment.probes for impairment in target.impairments)
        origin_ns, start_ns = summary.run.start_utc_ns, target.impairments[0].start_ns
        end = wording.moment_after(origin_ns + target.impairments[-1].end_ns, origin_ns + start_ns)
        times = f"{_moment(summary, start_ns)} – {end}"
        yield f"  {_title(summary, target)}: {plural(calls, 'call')}, {times}\n"


def _projects(summary: Summary) -> Iterator[str]:
    """Yield a table: names in the last column, for they may be long."""
    projects = by_project(summary.targets)
    if projects:
        yield "Addresses by project (user-uptime: up of up and down, summed over a project's addresses)\n"
        yield f"  {'addresses':>9} {'down':>6} {'total':>10} {'longest':>10} {'user-uptime':>12}  project\n"
    for project in projects:
        share = project.user_uptime
        uptime = "-" if share is None else f"{share * 100:.3f} %"
        name = " ".join(printable(part) for part in (project.name, project.id and f"({project.id})") if part)
        silent = f"; {project.never_answered:,} more never answered" if project.never_answered else ""
        yield (
            f"  {project.addresses:>9,} {project.down:>6,} {wording.seconds(project.down_ns):>10} "
            f"{wording.seconds(project.longest_ns):>10} {uptime:>12}  {name or '(none)'}{silent}\n"
        )


def _never_answered(summary: Summary) -> Iterator[str]:
    silent = [target for target in summary.targets if target.down_ns and not target.has_answered]
    if silent:
        yield "Never answered\n"
    for target in silent:
        yield f"  {_title(summary, target)}\n"
    if any(target.target.kind is Kind.ADDRESS for target in silent):
        yield _SECURITY_GROUPS


def _retired(summary: Summary) -> Iterator[str]:
    retired = [target for target in summary.targets if target.retired_ns is not None]
    if retired:
        yield "Retired (no longer listed; measured until then)\n"
    for target in retired:
        until = "not at all" if target.end_ns is None else f"until {_moment(summary, target.end_ns)}"
        yield f"  {_title(summary, target)}: {until}\n"


def _unobserved(summary: Summary) -> Iterator[str]:
    blind = [target for target in summary.targets if not target.observed_ns]
    by_cause: defaultdict[str, defaultdict[Kind, list[tuple[int, TargetId]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for target in summary.targets:
        for cause, length_ns in target.unobserved.items():
            by_cause[cause][target.target.kind].append((length_ns, target.target.id))
    if not (blind or by_cause):
        return
    yield "Not observed (in no downtime and in no percentage)\n"
    for cause in sorted(by_cause):
        yield f"  {printable(cause)}: {wording.REASONS.get(cause, 'no verdict')}\n"
        for kind, shares in by_cause[cause].items():  # services come first
            yield f"    {_extent(summary, kind, shares)}\n"
    for target in blind:
        reason = "no probe gave a verdict" if target.probes else "not probed"
        yield f"  {_title(summary, target)}: nothing was observed, {reason}\n"


def _extent(summary: Summary, kind: Kind, shares: Sequence[tuple[int, TargetId]]) -> str:
    """Return how long, and on which targets, the most affected first."""
    ordered = sorted(shares, key=lambda share: -share[0])
    longest, shortest = wording.seconds(ordered[0][0]), wording.seconds(ordered[-1][0])
    names = ", ".join(printable(summary.names[target]) for _, target in ordered[:_NAMES_SHOWN])
    if len(ordered) == 1:
        return f"{longest}  {_KINDS[kind]} {names}"
    length = longest if longest == shortest else f"{shortest} to {longest}"
    more = ", …" if len(ordered) > _NAMES_SHOWN else ""
    return f"{length} on each of {plural(len(ordered), kind.value)}: {names}{more}"


def _unobserved_by_check(summary: Summary) -> Iterator[str]:
    """Yield what each check did not observe while its target's other checks did."""
    partial = [
        (target, check)
        for target in summary.targets
        for check in target.checks
        if len(target.checks) > 1 and sum(check.unobserved.values()) > target.unobserved_ns
    ]
    if partial:
        yield "Not observed by one check (the service's other checks observed it)\n"
    for target, check in partial:
        parts = (
            f"{wording.seconds(length_ns)} ({printable(cause)})"
            for cause, length_ns in check.unobserved.items()
        )
        yield f"  {_title(summary, target)}, check {printable(check.name)}: {', '.join(parts)}\n"


def _answers_alone(summary: Summary) -> Iterator[str]:
    """Yield which services of the catalog may have been useless unnoticed."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for target in summary.targets:
        for check, reason in target.state.lacks.items():
            found[check, reason].append(printable(summary.names[target.target.id]))
    if found:
        yield "Not checked (a service may answer and yet not work)\n"
    for (check, reason), names in sorted(found.items()):
        rest = "answers alone" if check == WORKS else "the other checks"
        yield f"  {', '.join(names)}: measured by {rest}, not {check}: {printable(reason)}\n"


def _resolution(summary: Summary) -> Iterator[str]:
    """Yield a line per class: what can have been missed between two good answers."""
    widest: defaultdict[tuple[Kind, str], list[int]] = defaultdict(list)
    for target in summary.targets:
        for check in target.checks:
            if check.resolution_ns is not None:
                widest[target.target.kind, check.name].append(check.resolution_ns)
    if widest:
        yield "Resolution (a shorter outage, between two good answers, can have been missed)\n"
    for (kind, name), unordered in sorted(widest.items(), key=lambda item: _class_rank(*item[0])):
        lengths = sorted(unordered)
        title = f"{plural(len(lengths), kind.value)} by {printable(name)}"
        typical, worst = _upwards(lengths[len(lengths) // 2]), _upwards(lengths[-1])
        usual = "" if typical == worst else f" at worst, usually {typical}"
        yield f"  {title}: {worst}{usual}\n"


def _class_rank(kind: Kind, name: str) -> tuple[bool, str]:
    """Rank services first, then by the name of the cause or check."""
    return kind is not Kind.SERVICE, name


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
        yield f"not read for {wording.whole_seconds(agent.unobserved_ns)}"


def _marks(summary: Summary) -> Iterator[str]:
    if summary.marks:
        yield "Marks\n"
    for mark in summary.marks:
        yield f"  {_moment(summary, mark.at_ns)}  {printable(mark.text)}\n"


def _events(summary: Summary) -> Iterator[str]:
    if summary.events:
        yield "Events of the measurement itself\n"
    for event in summary.events:
        yield f"  {_moment(summary, event.at_ns)}  {printable(event.kind):<9} {printable(event.text)}\n"


def _title(summary: Summary, target: TargetSummary) -> str:
    return f"{_KINDS[target.target.kind]} {printable(summary.names[target.target.id])}"


def _moment(summary: Summary, at_ns: int) -> str:
    return wording.moment(summary.run.start_utc_ns + at_ns)


def _upwards(length_ns: int) -> str:
    """Return a length in seconds, rounded up to 10 ms."""
    return f"{-(-length_ns // 10_000_000) / 100:.2f} s"
