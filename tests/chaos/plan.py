"""What is played, and how often: in full for the table, in brief for every change."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.chaos import children, cloud, database, full_disk, fuzz, powercut
from tests.chaos.outcome import Outcome


class Play(Protocol):
    """Injects faults so often, by chance but repeatably; returns what came of each kind."""

    def __call__(self, directory: Path, *, seed: int, times: int) -> list[Outcome]:
        """Play it, with its files in a directory that is empty."""
        ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to be played.

    Attributes:
        name: By which it is chosen.
        play: Does it.
        full: How often for the table.
        brief: How often for every change; 0 if it has tests of its own, which play it.
    """

    name: str
    play: Play
    full: int
    brief: int


SCENARIOS: Final = (
    Scenario("processes", children.play, full=100, brief=5),
    Scenario("disk", full_disk.play, full=10, brief=1),
    Scenario("power", powercut.play, full=1_000, brief=0),
    Scenario("influxdb", database.play, full=5, brief=1),
    Scenario("cloud", cloud.play, full=300, brief=8),
    Scenario("fuzz", fuzz.play, full=200_000, brief=20_000),
)


def play(
    directory: Path, *, seed: int, names: Collection[str], brief: bool = False
) -> Iterator[list[Outcome]]:
    """Play the scenarios of these names, each in a folder of its own; yield what came of each."""
    for scenario in SCENARIOS:
        times = scenario.brief if brief else scenario.full
        if scenario.name in names and times:
            place = directory / scenario.name
            place.mkdir()
            yield scenario.play(place, seed=seed, times=times)
