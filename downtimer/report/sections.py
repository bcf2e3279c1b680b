"""Sections of the text report that tell of targets. What one has to say of each is gathered as they go by."""

import heapq
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from downtimer.findings import TargetSummary
from downtimer.model import WORKS, Kind
from downtimer.printable import printable
from downtimer.projects import Projects, ProjectSummary
from downtimer.report import wording
from downtimer.report.by_phase import FIRST, Gathering, Row, Share
from downtimer.report.spool import Spool
from downtimer.report.summary import Summary
from downtimer.report.titles import KINDS, moment_of, name_of, period_of, title_of
from downtimer.report.wording import plural

_NAMES_SHOWN: Final = 4
"""Targets that a line for many names before it counts the rest."""

_SECURITY_GROUPS: Final = (
    "  Down, or not allowed to answer: a default security group drops ICMP. If the server is up,\n"
    "  permit ICMP from this host, or add the address to exclude= in section [targets].\n"
)

Tell = Callable[[Summary, TargetSummary], str]
_Told = TypeVar("_Told")


class Section(Protocol[_Told]):
    """A part of the report."""

    def tell(self, target: TargetSummary) -> _Told:
        """Return what matters of a target; what is false is not added. Another process may be asked."""
        ...

    def add(self, told: _Told) -> None:
        """Take what was told of a target into account; they come in the order of the report."""
        ...

    def read(self) -> Iterator[str]:
        """Yield the text, nothing if there is nothing to say."""
        ...


class Each:
    """A title, and what is to be said of each target that it concerns.

    Args:
        summary: Of the run.
        title: The first line.
        tell: Returns the lines of a target, nothing if it does not concern it.
    """

    def __init__(self, summary: Summary, title: str, tell: Tell) -> None:
        self._summary, self._title, self._tell = summary, title, tell
        self._lines = Spool()

    def tell(self, target: TargetSummary) -> str:
        """See `Section`."""
        return self._tell(self._summary, target)

    def add(self, told: str) -> None:
        """See `Section`."""
        self._lines.add(told)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        if self._lines:
            yield f"{self._title}\n"
            yield from self._lines.read()


def tell_of_slow(summary: Summary, target: TargetSummary) -> str:
    """Return for how long answers were late."""
    if not target.slow_ns:
        return ""
    share = wording.percent(target.slow_ns, target.observed_ns)
    return f"  {title_of(summary, target)}: {wording.seconds(target.slow_ns)}, {share} %\n"


def tell_of_impaired(summary: Summary, target: TargetSummary) -> str:
    """Return when calls failed for want of Keystone."""
    if not target.impairments:
        return ""
    calls = sum(impairment.probes for impairment in target.impairments)
    times = period_of(summary, target.impairments[0].start_ns, target.impairments[-1].end_ns)
    return f"  {title_of(summary, target)}: {plural(calls, 'call')}, {times}\n"


def tell_of_retired(summary: Summary, target: TargetSummary) -> str:
    """Return until when it was measured."""
    if target.retired_ns is None:
        return ""
    until = "not at all" if target.end_ns is None else f"until {moment_of(summary, target.end_ns)}"
    return f"  {title_of(summary, target)}: {until}\n"


def tell_of_checks(summary: Summary, target: TargetSummary) -> str:
    """Return what each check did not observe while its target's other checks did."""
    if len(target.checks) < 2:
        return ""
    title = title_of(summary, target)
    return "".join(
        f"  {title}, check {printable(check.name)}: {wording.unobserved(check.unobserved)}\n"
        for check in target.checks
        if sum(check.unobserved.values()) > target.unobserved_ns
    )


class NeverAnswered:
    """What never answered, with a hint if addresses are among it."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._lines = Spool()
        self._has_addresses = False

    def tell(self, target: TargetSummary) -> tuple[Kind, str] | None:
        """See `Section`."""
        if target.has_answered or not target.down_ns:
            return None
        return target.target.kind, f"  {title_of(self._summary, target)}\n"

    def add(self, told: tuple[Kind, str]) -> None:
        """See `Section`."""
        kind, line = told
        self._has_addresses |= kind is Kind.ADDRESS
        self._lines.add(line)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        if self._lines:
            yield "Never answered\n"
        yield from self._lines.read()
        if self._has_addresses:
            yield _SECURITY_GROUPS


class ByPhase:
    """A table of phases, each with what was down in it; the marks' texts come last, for they may be long."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._gathering = Gathering(summary)

    @property
    def rows(self) -> list[Row]:
        """What was gathered, for a format that shows it in its own way."""
        return self._gathering.rows

    def tell(self, target: TargetSummary) -> Share | None:
        """See `Section`."""
        return self._gathering.tell(target)

    def add(self, told: Share) -> None:
        """See `Section`."""
        self._gathering.add(told)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        if self.rows:
            yield "By phase (from each mark to the next; downtime within it, the longest first)\n"
            yield f"  {'start':<23}  {'length':>18}  observed  services  addresses  phase\n"
        for row in self.rows:
            phase = row.phase
            yield (
                f"  {moment_of(self._summary, phase.start_ns)}  "
                f"{wording.length(phase.end_ns - phase.start_ns):>18}  {row.observed() or '-':>8}  "
                f"{_down(row.count(Kind.SERVICE)):>8}  {_down(row.count(Kind.ADDRESS)):>9}  "
                f"{printable(phase.name) or FIRST}\n"
            )
            for kind in KINDS:
                if row.count(kind):
                    yield f"      {KINDS[kind]} {row.downs[kind].text()}\n"


def _down(count: int) -> str:
    return f"{count:,} down" if count else "-"


class ByProject:
    """A table of projects: names in the last column, for they may be long."""

    def __init__(self, _: Summary) -> None:
        self._projects = Projects()

    def tell(self, target: TargetSummary) -> ProjectSummary | None:
        """See `Section`."""
        return ProjectSummary.of(target)

    def add(self, told: ProjectSummary) -> None:
        """See `Section`."""
        self._projects.add(told)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        projects = self._projects.by_name()
        if projects:
            yield "Addresses by project (user-uptime: up of up and down, summed over a project's addresses)\n"
            yield "  addresses   down      total    longest  user-uptime  project\n"
        for project in projects:
            share = project.user_uptime
            uptime = "-" if share is None else f"{share * 100:.3f} %"
            parts = (project.name, project.id and f"({project.id})")
            name = " ".join(printable(part) for part in parts if part)
            silent = f"; {project.never_answered:,} more never answered" if project.never_answered else ""
            yield (
                f"  {project.addresses:>9,} {project.down:>6,} {wording.seconds(project.down_ns):>10} "
                f"{wording.seconds(project.longest_ns):>10} {uptime:>12}  {name or '(none)'}{silent}\n"
            )


class _Extent:
    """On how many targets of a kind something lasted for how long, and the names of the most affected."""

    def __init__(self) -> None:
        self._count = 0
        self._shortest_ns = 0
        self._longest: list[tuple[int, int, str]] = []  # a heap: of equal lengths those that came first stay

    def add(self, length_ns: int, name: str) -> None:
        """Take a target into account."""
        self._shortest_ns = min(length_ns, self._shortest_ns) if self._count else length_ns
        self._count += 1
        push = heapq.heappush if self._count <= _NAMES_SHOWN else heapq.heappushpop
        push(self._longest, (length_ns, -self._count, name))

    def text(self, kind: Kind) -> str:
        """Return how long, and on which targets, the most affected first."""
        ordered = sorted(self._longest, reverse=True)
        longest, shortest = wording.seconds(ordered[0][0]), wording.seconds(self._shortest_ns)
        names = ", ".join(name for _, _, name in ordered)
        if self._count == 1:
            return f"{longest}  {KINDS[kind]} {names}"
        length = longest if longest == shortest else f"{shortest} to {longest}"
        more = ", …" if self._count > _NAMES_SHOWN else ""
        return f"{length} on each of {plural(self._count, kind.value)}: {names}{more}"


class _Unseen(NamedTuple):
    """For how long, by cause, a target was not observed; and what is said if nothing of it was."""

    kind: Kind
    name: str
    by_cause: Mapping[str, int]
    blind: str


class Unobserved:
    """What was not observed, by cause, and of which targets nothing was."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._by_cause: defaultdict[str, defaultdict[Kind, _Extent]] = defaultdict(
            lambda: defaultdict(_Extent)
        )
        self._blind = Spool()

    def tell(self, target: TargetSummary) -> _Unseen | None:
        """See `Section`."""
        blind = ""
        if not target.observed_ns:
            reason = "no probe gave a verdict" if target.probes else "not probed"
            blind = f"  {title_of(self._summary, target)}: nothing was observed, {reason}\n"
        elif not target.unobserved:
            return None
        return _Unseen(target.target.kind, name_of(self._summary, target), target.unobserved, blind)

    def add(self, told: _Unseen) -> None:
        """See `Section`."""
        for cause, length_ns in told.by_cause.items():
            self._by_cause[cause][told.kind].add(length_ns, told.name)
        if told.blind:
            self._blind.add(told.blind)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        if self._by_cause or self._blind:
            yield "Not observed (in no downtime and in no percentage)\n"
        for cause, kinds in sorted(self._by_cause.items(), key=lambda item: item[0]):
            yield f"  {printable(cause)}: {wording.REASONS.get(cause, 'no verdict')}\n"
            for kind, extent in kinds.items():  # services come first
                yield f"    {extent.text(kind)}\n"
        yield from self._blind.read()


class AnswersAlone:
    """Which services of the catalog may have been useless unnoticed."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def tell(self, target: TargetSummary) -> tuple[str, Mapping[str, str]] | None:
        """See `Section`."""
        lacks = target.state.lacks
        return (
            (name_of(self._summary, target), lacks) if lacks and target.target.kind is Kind.SERVICE else None
        )

    def add(self, told: tuple[str, Mapping[str, str]]) -> None:
        """See `Section`."""
        name, lacks = told
        for lack in lacks.items():
            self._found[lack].append(name)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        if self._found:
            yield "Not checked (a service may answer and yet not work)\n"
        for (check, reason), names in sorted(self._found.items()):
            rest = "answers alone" if check == WORKS else "the other checks"
            yield f"  {', '.join(names)}: measured by {rest}, not {check}: {printable(reason)}\n"


class Resolution:
    """What can have been missed between two good answers, a line for each class of checks."""

    def __init__(self, _: Summary) -> None:
        self._widest: defaultdict[tuple[Kind, str], array[int]] = defaultdict(lambda: array("q"))

    def tell(self, target: TargetSummary) -> list[tuple[Kind, str, int]]:
        """See `Section`."""
        kind = target.target.kind
        return [
            (kind, check.name, check.resolution_ns)
            for check in target.checks
            if check.resolution_ns is not None
        ]

    def add(self, told: Sequence[tuple[Kind, str, int]]) -> None:
        """See `Section`."""
        for kind, name, widest_ns in told:
            self._widest[kind, name].append(widest_ns)

    def read(self) -> Iterator[str]:
        """See `Section`."""
        if self._widest:
            yield "Resolution (a shorter outage, between two good answers, can have been missed)\n"
        for (kind, name), unordered in sorted(self._widest.items(), key=lambda item: _class_rank(*item[0])):
            lengths = sorted(unordered)
            title = f"{plural(len(lengths), kind.value)} by {printable(name)}"
            typical, worst = wording.seconds_up(lengths[len(lengths) // 2]), wording.seconds_up(lengths[-1])
            usual = "" if typical == worst else f" at worst, usually {typical}"
            yield f"  {title}: {worst}{usual}\n"


def _class_rank(kind: Kind, name: str) -> tuple[bool, str]:
    """Rank services first, then by the name of the check."""
    return kind is not Kind.SERVICE, name
