"""How targets stand, each as the worst of its checks does; kept up to date, so that counting them is cheap.

Pure.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from downtimer.messages import Counts
from downtimer.model import Kind, TargetId, Verdict

_WORST_FIRST: Final = (Verdict.DOWN, Verdict.SLOW, Verdict.UP, Verdict.UNKNOWN)

TOLD_MAX: Final = 1_000
"""Most services of which it is told how each stands."""


class Standings:
    """Of the api worker's targets."""

    def __init__(self) -> None:
        self._worst: dict[Kind, dict[TargetId, Verdict | None]] = {Kind.SERVICE: {}, Kind.ADDRESS: {}}

    def put(self, target: TargetId, kind: Kind, latest: Iterable[Verdict | None]) -> None:
        """Note what the newest probe of each of its checks says; None for a check that has none yet."""
        self._worst[kind][target] = _worst(latest)

    def drop(self, target: TargetId) -> None:
        """It is not probed any more."""
        for worst in self._worst.values():
            worst.pop(target, None)

    def counts(self) -> dict[Kind, Counts]:
        """Return how many stand how."""
        return {kind: Counts.of(worst.values()) for kind, worst in self._worst.items()}

    def services(self) -> Iterator[tuple[TargetId, Verdict | None]]:
        """Yield how services stand, at most so many as are told of."""
        return islice(self._worst[Kind.SERVICE].items(), TOLD_MAX)


def _worst(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Return the verdict that says most: down, slow, up, unknown; None before the first."""
    found = set(verdicts)
    return next((verdict for verdict in _WORST_FIRST if verdict in found), None)
