"""Figures of addresses -> figures of the projects that they belong to. Pure.

*User-uptime* weighs a project's addresses by the time that each was measured: up / (up + down), summed over
all of them (Hauer et al., Meaningful Availability, NSDI 2020). Good answers that came late count as up.
"""

from dataclasses import dataclass

from downtimer.findings import TargetSummary
from downtimer.model import Kind


@dataclass(slots=True, kw_only=True)
class ProjectSummary:
    """The addresses of one project, as far as they were added.

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
        named_ns: When the address was discovered that the name is from.
    """

    id: str | None
    name: str | None = None
    addresses: int = 0
    never_answered: int = 0
    down: int = 0
    down_ns: int = 0
    down_min_ns: int = 0
    down_max_ns: int = 0
    up_ns: int = 0
    longest_ns: int = 0
    named_ns: int = 0

    @property
    def user_uptime(self) -> float | None:
        """Up as a share (0-1) of up and down; None where nothing was observed."""
        observed_ns = self.up_ns + self.down_ns
        return self.up_ns / observed_ns if observed_ns else None

    def add(self, address: TargetSummary) -> None:
        """Add one of its addresses. The name is that which the address discovered last has."""
        name, discovered_ns = address.target.project, address.state.discovered_ns
        if name and (self.name is None or discovered_ns > self.named_ns):
            self.name, self.named_ns = name, discovered_ns
        if not address.has_answered:
            self.never_answered += 1
            return
        self.addresses += 1
        self.down += bool(address.episodes)
        self.down_ns += address.down_ns
        self.down_min_ns += address.down_min_ns
        self.down_max_ns += address.down_max_ns
        self.up_ns += address.up_ns + address.slow_ns
        self.longest_ns = max(self.longest_ns, address.longest_ns)


class Projects:
    """The projects of a run.

    A project is its id, for it may be renamed in a run, and not be known by name to all of its addresses.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, str | None], ProjectSummary] = {}

    def add(self, summary: TargetSummary) -> None:
        """Add a target; it counts if it is an address."""
        target = summary.target
        if target.kind is not Kind.ADDRESS:
            return
        key = target.project_id, None if target.project_id else target.project
        project = self._found.get(key)
        if project is None:
            project = self._found[key] = ProjectSummary(id=target.project_id)
        project.add(summary)

    def by_name(self) -> list[ProjectSummary]:
        """Return the projects by name; none if no address has a project."""
        if not any(id_ or name for id_, name in self._found):
            return []
        return sorted(
            self._found.values(), key=lambda project: (project.name or "\U0010ffff", project.id or "")
        )
