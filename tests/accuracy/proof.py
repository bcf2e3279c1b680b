"""The whole proof: every kind of fault, many addresses, our own troubles; one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.accuracy import faults, many, ours
from tests.accuracy.faults import Played
from tests.accuracy.judge import Tally
from tests.accuracy.many import Crowd
from tests.accuracy.ours import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that was measured.

    Attributes:
        played: Faults of every kind.
        crowd: Many addresses; None if they were left out.
        outcomes: Of our own troubles.
    """

    played: Played
    crowd: Crowd | None
    outcomes: Sequence[Outcome]

    @property
    def tallies(self) -> Sequence[Tally]:
        """Of every kind of fault, that of the crowd last."""
        return (*self.played.tallies, *([self.crowd.tally] if self.crowd is not None else ()))


def measure(directory: Path, *, seed: int, count: int, addresses: int, times: int) -> Results:
    """Play all of it.

    Args:
        directory: For everything.
        seed: Of the plan.
        count: Faults of each kind, and of the many addresses four times as many.
        addresses: How many the many are; 0 leaves them out.
        times: How often each trouble of our own is played.
    """
    parts = [directory / name for name in ("faults", "many", "ours")]
    for part in parts:
        part.mkdir()
    return Results(
        played=faults.play(parts[0], seed=seed, count=count),
        crowd=many.play(parts[1], seed=seed, count=4 * count, addresses=addresses) if addresses else None,
        outcomes=ours.play(parts[2], times=times),
    )
