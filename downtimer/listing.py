"""What a listing changes: what was listed, held against the targets that the supervisor has.

Pure: no I/O. Discovery asks the cloud for its lists; this says what of them is news.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from downtimer.messages import Listing, Targets
from downtimer.model import Kind, Power, Target, TargetId

CHUNK: Final = 5_000
"""Most targets in one message: a great list travels in several, so that nobody stalls on it."""


class Known:
    """The supervisor's targets, as far as a listing needs them."""

    def __init__(self) -> None:
        self._powers: dict[str, Power] = {}  # of servers; those that are not here run
        self._targets: dict[TargetId, Target] = {}
        self._absent: set[TargetId] = set()  # missing or retired: news when listed again

    def __len__(self) -> int:
        return len(self._targets)

    def has(self, target: TargetId) -> bool:
        """Tell whether the supervisor has a target."""
        return target in self._targets

    def targets(self) -> Iterable[Target]:
        """Return all of them."""
        return self._targets.values()

    def apply(self, told: Targets) -> None:
        """Take what the supervisor tells."""
        if told.whole:
            self._targets, self._absent = {}, set()
        for state in told.changed:
            id_ = state.target.id
            self._targets[id_] = state.target
            if state.target.server_id is not None:
                self._powers[state.target.server_id] = state.power
            if state.missing_ns is None and state.retired_ns is None:
                self._absent.discard(id_)
            else:
                self._absent.add(id_)

    def compare(self, listed: Mapping[TargetId, Target], *, at_ns: int, complete: bool) -> Iterator[Listing]:
        """Return the messages that say what is news; only the last may be complete.

        Every complete list is told, also one without news: it says that all else was listed again.
        References are never missing: the route to a gateway goes with the very link it is to judge. Nor are
        agents, which have lists of their own.

        Args:
            listed: Everything that was listed.
            at_ns: When the lists were asked for.
            complete: False if a part could not be listed; then nothing is missing.
        """
        found = [
            target
            for id_, target in listed.items()
            if id_ in self._absent or self._targets.get(id_) != target
        ]
        missing = self._missing(listed) if complete else ()
        while len(found) > CHUNK:
            yield Listing(at_ns=at_ns, found=tuple(found[:CHUNK]), complete=False)
            del found[:CHUNK]
        yield Listing(at_ns=at_ns, found=tuple(found), missing=tuple(missing), complete=complete)

    def news_of_powers(
        self, listed: Mapping[TargetId, Target], powers: Mapping[str, Power]
    ) -> dict[str, Power]:
        """Return what is news of the servers behind the addresses that are listed."""
        servers = {target.server_id for target in listed.values() if target.server_id is not None}
        return {
            server: power
            for server in servers
            if (power := powers.get(server)) is not None
            and power is not self._powers.get(server, Power.RUNNING)
        }

    def _missing(self, listed: Mapping[TargetId, Target]) -> Iterator[TargetId]:
        for id_, target in self._targets.items():
            if id_ not in listed and not target.reference and target.kind is not Kind.AGENT:
                yield id_
