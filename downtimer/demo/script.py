"""What happens during the demo's upgrade, and when. Pure."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LEAD_S: Final = 2.0
"""Time before the first step, in which everything is up."""

TAIL_S: Final = 2.5
"""Time after the last step, so that its end is seen."""


class Act(enum.Enum):
    """What is done to a target; the values are how a person says that it begins, and ends."""

    RESTART = ("goes down for its upgrade", "is started again")
    DATABASE = ("loses its database, and answers on", "has its database again")
    DROP = ("drops out", "is back")  # an address


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that goes down for a while.

    Attributes:
        target: A service or an address.
        at_s: When, since the beginning of the script.
        for_s: For how long.
        act: What is done to it.
    """

    target: str
    at_s: float
    for_s: float
    act: Act = Act.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One edge of one step."""

    at_s: float
    step: Step
    down: bool

    @property
    def text(self) -> str:
        """What happens, as a person says it."""
        begins, ends = self.step.act.value
        return f"{self.step.target} {begins if self.down else ends}"


_RESTARTS = (
    ("keystone", 0.0, 1.5),
    ("glance", 3.0, 3.0),
    ("neutron", 8.0, 2.0),
    ("nova", 12.0, 5.0),
    ("cinder", 18.5, 3.5),
)
_DATABASE = Step(target="heat", at_s=LEAD_S + 23.0, for_s=3.0, act=Act.DATABASE)
_DROP_AT_S = 7.0
_DROP_FOR_S = 6.0


def upgrade(addresses: Sequence[str]) -> tuple[Step, ...]:
    """Return the demo's script: services one by one, a database, and the first address, if there is one."""
    steps = [Step(target=name, at_s=LEAD_S + at, for_s=lasts) for name, at, lasts in _RESTARTS]
    steps.append(_DATABASE)
    steps += [
        Step(target=address, at_s=LEAD_S + _DROP_AT_S, for_s=_DROP_FOR_S, act=Act.DROP)
        for address in addresses[:1]
    ]
    return tuple(steps)


def moments(steps: Iterable[Step]) -> list[Moment]:
    """Return the edges of all steps in the order in which they are to be played."""
    edges = [
        Moment(at_s=step.at_s if down else step.at_s + step.for_s, step=step, down=down)
        for step in steps
        for down in (True, False)
    ]
    return sorted(edges, key=lambda edge: (edge.at_s, edge.down))


def length_s(steps: Iterable[Step]) -> float:
    """Return how long the script takes, its tail included."""
    return max((step.at_s + step.for_s for step in steps), default=LEAD_S) + TAIL_S
