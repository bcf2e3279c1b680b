"""How things stand by what the children last said. Pure; owned by a measurement."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from downtimer.messages import Beat, Counts, Standing, Turned, WriterState
from downtimer.model import Kind, TargetId


@dataclass(slots=True)
class Picture:
    """What the children last said of themselves, their targets and the configuration."""

    beats: dict[str, Beat] = field(default_factory=dict)  # by class of process
    writer: WriterState | None = None
    complaints: tuple[str, ...] = ()
    standings: dict[TargetId, Standing] = field(default_factory=dict)  # of services
    _down: dict[str, dict[tuple[TargetId, str], Turned]] = field(default_factory=dict)  # by class of process

    def take(self, name: str, beat: Beat) -> None:
        """Take a beat."""
        self.beats[name] = beat
        if beat.standings:
            self.standings = {standing.target: standing for standing in beat.standings}
        down = self._down.setdefault(name, {})
        for turned in beat.turned:
            if turned.cause is None:
                down.pop((turned.target, turned.check), None)
            else:
                down[turned.target, turned.check] = turned

    def down(self) -> Iterator[Turned]:
        """Yield every check that is down."""
        for down in self._down.values():
            yield from down.values()

    def is_down(self, target: TargetId, check: str) -> bool:
        """Tell whether this check is down."""
        return self.down_since_ns(target, check) is not None

    def down_since_ns(self, target: TargetId, check: str) -> int | None:
        """Return since when this check is down; None if it is not."""
        found = (down.get((target, check)) for down in self._down.values())
        return next((turned.since_ns for turned in found if turned is not None), None)

    def clear(self, target: TargetId, check: str) -> None:
        """A check is given up: it is not down any more."""
        for down in self._down.values():
            down.pop((target, check), None)

    def counts(self, kind: Kind) -> Counts:
        """Return how the checks of this kind of target stand."""
        return sum((beat.counts.get(kind, Counts()) for beat in self.beats.values()), Counts())

    def forget(self, name: str) -> None:
        """A class starts anew: what its former worker said no longer holds."""
        self.beats.pop(name, None)
        self._down.pop(name, None)
        if name == "api":
            self.standings = {}
