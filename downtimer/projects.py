"""Figures of addresses -> figures of the projects that they belong to. Pure.

*User-uptime* weighs a project's addresses by the time that each was measured: up / (up + down), summed over
all of them (Hauer et al., Meaningful Availability, NSDI 2020). Good answers that came late count as up.
"""

from collections.abc import Sequence

import msgspec

from downtimer.findings import TargetSummary
from downtimer.model import Kind


class ProjectSummary(msgspec.Struct, kw_only=True):
    """Addresses of one project: one of them, or more.

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
        named_ns: When the address was discovered that the name is from; of no meaning without a name.
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

    @classmethod
    def of(cls, summary: TargetSummary) -> "ProjectSummary | None":
        """Return what a target alone adds to its project; None if it is no address."""
        target = summary.target
        if target.kind is not Kind.ADDRESS:
            return None
        name, named_ns = target.project or None, summary.state.discovered_ns
        if not summary.has_answered:
            return cls(id=target.project_id, name=name, never_answered=1, named_ns=named_ns)
        return cls(
            id=target.project_id,
            name=name,
            addresses=1,
            down=int(bool(summary.episodes)),
            down_ns=summary.down_ns,
            down_min_ns=summary.down_min_ns,
            down_max_ns=summary.down_max_ns,
            up_ns=summary.up_ns + summary.slow_ns,
            longest_ns=summary.longest_ns,
            named_ns=named_ns,
        )

    def add(self, other: "ProjectSummary") -> None:
        """Add other addresses of it. The name is that which the address discovered last has."""
        if other.name and (self.name is None or other.named_ns > self.named_ns):
            self.name, self.named_ns = other.name, other.named_ns
        self.addresses += other.addresses
        self.never_answered += other.never_answered
        self.down += other.down
        self.down_ns += other.down_ns
        self.down_min_ns += other.down_min_ns
        self.down_max_ns += other.down_max_ns
        self.up_ns += other.up_ns
        self.longest_ns = max(self.longest_ns, other.longest_ns)


class Projects:
    """The projects of a run.

    A project is its id, for it may be renamed in a run, and not be known by name to all of its addresses.
    """

    def __init__(self) -> None:
        self._found: list[ProjectSummary] = []
        self._numbers: dict[tuple[str | None, str | None], int] = {}

    def add(self, part: ProjectSummary) -> int:
        """Add addresses of a project; return its number. What is given is kept, and may be changed."""
        key = part.id, None if part.id else part.name
        number = self._numbers.setdefault(key, len(self._found))
        if number == len(self._found):
            self._found.append(part)
        else:
            self._found[number].add(part)
        return number

    def by_number(self) -> Sequence[ProjectSummary]:
        """Return the projects in the order in which they came."""
        return self._found

    def by_name(self) -> list[ProjectSummary]:
        """Return the projects by name; none if no address has a project."""
        if not any(id_ or name for id_, name in self._numbers):
            return []
        return sorted(self._found, key=lambda project: (project.name or "\U0010ffff", project.id or ""))
