"""Figures of addresses -> figures of the projects that they belong to. Pure.

*User-uptime* weighs a project's addresses by the time that each was measured: up / (up + down), summed over
all of them (Hauer et al., Meaningful Availability, NSDI 2020). Good answers that came late count as up.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from downtimer.findings import TargetSummary
from downtimer.model import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSummary:
    """The addresses of one project.

    Attributes:
        id: The project's; None for addresses that belong to none.
        name: Its name, if known.
        addresses: How many were measured, those that never answered aside.
        never_answered: How many never answered: they are in no other figure.
        down: How many were down at all.
        down_ns: Their downtime, summed up.
        down_min_ns: Its lower bound.
        down_max_ns: Its upper bound.
        up_ns: Time with good answers, summed up.
        longest_ns: The longest episode of any.
    """

    id: str | None
    name: str | None
    addresses: int
    never_answered: int
    down: int
    down_ns: int
    down_min_ns: int
    down_max_ns: int
    up_ns: int
    longest_ns: int

    @property
    def user_uptime(self) -> float | None:
        """Up as a share (0-1) of up and down; None where nothing was observed."""
        observed_ns = self.up_ns + self.down_ns
        return self.up_ns / observed_ns if observed_ns else None


def by_project(targets: Iterable[TargetSummary]) -> list[ProjectSummary]:
    """Return the figures of every project that has addresses, by name; none if no address has a project.

    A project is its id, for it may be renamed in a run, and not be known by name to all of its addresses.
    """
    groups: defaultdict[tuple[str | None, str | None], list[TargetSummary]] = defaultdict(list)
    for summary in targets:
        id_, name = summary.target.project_id, summary.target.project
        if summary.target.kind is Kind.ADDRESS:
            groups[id_, None if id_ else name].append(summary)
    if not any(id_ or name for id_, name in groups):
        return []
    found = [_project(id_, _newest_name(members), members) for (id_, _), members in groups.items()]
    return sorted(found, key=lambda project: (project.name or "\U0010ffff", project.id or ""))


def _newest_name(members: Sequence[TargetSummary]) -> str | None:
    """Return a project's name as the address that was discovered last has it; None if none has any."""
    named = [summary for summary in members if summary.target.project]
    newest = max(named, key=lambda summary: summary.state.discovered_ns, default=None)
    return None if newest is None else newest.target.project


def _project(id_: str | None, name: str | None, members: Sequence[TargetSummary]) -> ProjectSummary:
    known = [summary for summary in members if summary.has_answered]
    return ProjectSummary(
        id=id_,
        name=name,
        addresses=len(known),
        never_answered=len(members) - len(known),
        down=sum(bool(summary.episodes) for summary in known),
        down_ns=sum(summary.down_ns for summary in known),
        down_min_ns=sum(summary.down_min_ns for summary in known),
        down_max_ns=sum(summary.down_max_ns for summary in known),
        up_ns=sum(summary.up_ns + summary.slow_ns for summary in known),
        longest_ns=max((summary.longest_ns for summary in known), default=0),
    )
