"""What a listing changes: what was listed, held against the targets that the supervisor has.

Pure: no I/O. Discovery asks the cloud for its lists; this says what of them is news. Of a hundred thousand
addresses neither side of the comparison keeps more than it takes: of those listed to whom each belongs, of
those that the supervisor has a hash of what it was told of each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from downtimer import targets
from downtimer.messages import Listing, Targets
from downtimer.model import Kind, Power, Target, TargetId, TargetState

CHUNK: Final = 2_000
"""Most targets in one message: a great list travels in several, so that nobody stalls on it."""


class Owner(msgspec.Struct, frozen=True, gc=False):
    """To whom an address belongs, as far as is known."""

    project_id: str | None = None
    server_id: str | None = None


NOBODY: Final = Owner()


class Names(msgspec.Struct, frozen=True, gc=False):
    """The names that go with an owner, as far as they are known."""

    project: str | None = None
    server: str | None = None


UNNAMED: Final = Names()


@dataclass(slots=True, kw_only=True)
class Listed:
    """Everything that was listed and is to be measured.

    Attributes:
        others: All that is no address of the cloud's or of the configuration: services, references.
        addresses: Owners by packed address.
        names: Tells the names of an owner.
    """

    others: dict[TargetId, Target] = field(default_factory=dict)
    addresses: dict[bytes, Owner] = field(default_factory=dict)
    names: Callable[[Owner], Names] = lambda _: UNNAMED

    def describe(self, packed: bytes, owner: Owner) -> Target:
        """Return an address's target."""
        names = self.names(owner)
        return targets.address(
            targets.unpack(packed),
            project_id=owner.project_id,
            project=names.project,
            server_id=owner.server_id,
            server=names.server,
        )


class Known:
    """The supervisor's targets, as far as a listing needs them."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._others: dict[TargetId, Target] = {}
        self._hashes: dict[bytes, int] = {}  # of the descriptions of addresses
        self._missing: set[bytes] = set()  # these are news when listed again, as are
        self._retired: set[bytes] = set()
        self._powers: dict[str, Power] = {}  # of servers; those that are not here run

    def __len__(self) -> int:
        return len(self._others) + len(self._hashes)

    def has(self, target: TargetId) -> bool:
        """Tell whether the supervisor has a target that is no address."""
        return target in self._others

    def has_told(self, target: Target) -> bool:
        """Tell whether the supervisor has a target, described like this."""
        if target.kind is not Kind.ADDRESS or target.reference:
            return self._others.get(target.id) == target
        return self._hashes.get(targets.pack(target.name)) == _hash_of(target)

    def apply(self, told: Targets) -> None:
        """Take what the supervisor tells."""
        if told.whole:
            self._begin()
        for state in told.changed:
            target = state.target
            if target.kind is Kind.ADDRESS and not target.reference:
                self._apply_address(state)
            elif state.retired_ns is None:
                self._others[target.id] = target
            else:  # if it is listed again, that is news
                self._others.pop(target.id, None)

    def _apply_address(self, state: TargetState) -> None:
        target = state.target
        packed = targets.pack(target.name)
        self._hashes[packed] = _hash_of(target)
        self._missing.discard(packed)
        self._retired.discard(packed)
        if state.retired_ns is not None:
            self._retired.add(packed)
        elif state.missing_ns is not None:
            self._missing.add(packed)
        if target.server_id is not None:
            self._powers.pop(target.server_id, None)
            if state.power is not Power.RUNNING:
                self._powers[target.server_id] = state.power

    def compare(self, listed: Listed, *, at_ns: int, complete: bool) -> Iterator[Listing]:
        """Return the messages that say what is news; only the last may be complete.

        Every complete list is told, also one without news: it says that all else was listed again.
        References are never missing: the route to a gateway goes with the very link it is to judge. Nor are
        agents, which have lists of their own, nor services. What is retired is not told to be missing again.

        Args:
            listed: Everything that was listed.
            at_ns: When the lists were asked for.
            complete: False if a part could not be listed; then nothing is missing.
        """
        missing: list[bytes] = []
        lacks_most = False
        if complete:
            missing = list(self._hashes.keys() - listed.addresses.keys() - self._retired)
            lacks_most = self._lacks_most(missing)
            self._missing.update(missing)  # so that they are news when the next list has them
        found: list[Target] = []
        for target in self._news(listed):
            if len(found) == CHUNK:
                yield Listing(at_ns=at_ns, found=tuple(found), more=True, complete=False)
                found = []
            found.append(target)
        while len(missing) > CHUNK:
            ids, missing = _ids_of(missing[:CHUNK]), missing[CHUNK:]
            yield Listing(
                at_ns=at_ns,
                found=tuple(found),
                missing=ids,
                lacks_most=lacks_most,
                more=True,
                complete=False,
            )
            found = []
        yield Listing(
            at_ns=at_ns,
            found=tuple(found),
            missing=_ids_of(missing),
            lacks_most=lacks_most,
            complete=complete,
        )

    def _news(self, listed: Listed) -> Iterator[Target]:
        """Yield what is new, was changed, or is back."""
        for id_, target in listed.others.items():
            if self._others.get(id_) != target:
                yield target
        names, hashes, away = listed.names, self._hashes, self._missing | self._retired
        for packed, owner in listed.addresses.items():
            if hashes.get(packed) != hash((owner, names(owner))) or packed in away:
                yield listed.describe(packed, owner)

    def _lacks_most(self, missing: Iterable[bytes]) -> bool:
        """Tell whether more than half of the addresses that were listed before are missing now."""
        dropped = sum(packed not in self._missing for packed in missing)
        return 2 * dropped > len(self._hashes) - len(self._missing) - len(self._retired)

    def news_of_powers(self, listed: Listed, powers: Mapping[str, Power]) -> dict[str, Power]:
        """Return what is news of the servers behind the addresses that are listed."""
        news = {
            server: power
            for server, power in powers.items()
            if power is not self._powers.get(server, Power.RUNNING)
        }
        if not news:
            return news
        servers = {owner.server_id for owner in listed.addresses.values()}
        return {server: power for server, power in news.items() if server in servers}


def _hash_of(target: Target) -> int:
    """Return the hash of what a listing says of an address; that of an equal one is the same."""
    owner = Owner(target.project_id, target.server_id)
    return hash((owner, Names(target.project, target.server)))


def _ids_of(packed: Iterable[bytes]) -> tuple[TargetId, ...]:
    return tuple(targets.address_id(targets.unpack(each)) for each in packed)
