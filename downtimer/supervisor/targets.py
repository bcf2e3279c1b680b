"""The target list: what is measured, and what the run has learnt of it. Pure; owned by a measurement."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from downtimer.messages import Listing, Normal, Powers, Reached
from downtimer.model import SECOND_NS, Kind, PowerChange, Target, TargetId, TargetState

RETIRE_NS: Final = 5 * SECOND_NS
"""Two complete lists so far apart must lack an address before it is retired."""

_NOTHING: Final[dict[str, Any]] = {}  # one for all of whom nothing is known, for they are many

Answers = Callable[[TargetState], bool]
"""Tells whether an address answers."""


class TargetList:
    """All targets of a run, by id. Nothing here looks at all of them to answer what is asked all the time."""

    def __init__(self, states: Iterable[TargetState] = ()) -> None:
        self._states: dict[TargetId, TargetState] = {}
        self._probed: Counter[Kind] = Counter()  # those that are, references aside
        self._others: dict[TargetId, None] = {}  # all that is no address of the cloud's: few
        self._complete_ns: int | None = None  # when the last complete list was asked for
        self._powers_ns: int | None = None  # when Nova was last asked for its servers
        self._change(states)

    def __len__(self) -> int:
        return len(self._states)

    def get(self, target: TargetId) -> TargetState | None:
        """Return what is known of a target, None for a stranger."""
        return self._states.get(target)

    def ids(self) -> Iterable[TargetId]:
        """Return the ids of all of them."""
        return self._states.keys()

    def others(self) -> Iterator[TargetState]:
        """Yield all that are no addresses measured for their own sake."""
        return (self._states[target] for target in self._others)

    def count_probed(self, kind: Kind) -> int:
        """Return how many of a kind are probed for their own sake: references are in no report."""
        return self._probed[kind]

    # --- what discovery found ---

    def apply(self, listing: Listing, answers: Answers) -> tuple[TargetState, ...]:
        """Take what discovery found; return the targets that have changed by it.

        Args:
            listing: What it found.
            answers: Of the addresses at present.
        """
        found = [self._found(target, listing.at_ns) for target in listing.found]
        changed = self._change([*found, *self._missing(listing, answers)])
        if listing.complete:
            self._complete_ns = listing.at_ns
        return changed

    def _found(self, target: Target, at_ns: int) -> TargetState:
        """Return the state of a target that is listed; a retirement is undone."""
        old = self._states.get(target.id)
        if old is None:
            return TargetState(
                target=target, discovered_ns=at_ns, listed_ns=at_ns, baselines=_NOTHING, unfit=_NOTHING
            )
        return replace(
            old,
            target=target,
            listed_ns=at_ns,
            missing_ns=None,
            retired_ns=None,
            is_doubtful=False,
            unfit=old.unfit if old.target.calls == target.calls else {},  # it is asked something else now
        )

    def _missing(self, listing: Listing, answers: Answers) -> Iterator[TargetState]:
        """Yield the addresses that the list lacks, where that changes something."""
        for id_ in listing.missing:
            state = self._states.get(id_)
            if state is None or not _is_probed(state):
                continue
            if state.missing_ns is None:
                last_ns = state.listed_ns if self._complete_ns is None else self._complete_ns
                yield replace(
                    state, listed_ns=last_ns, missing_ns=listing.at_ns, is_doubtful=listing.lacks_most
                )
            elif listing.at_ns - state.missing_ns >= RETIRE_NS and not (state.is_doubtful and answers(state)):
                yield replace(state, retired_ns=listing.at_ns)

    def apply_powers(self, told: Powers) -> tuple[TargetState, ...]:
        """Take what Nova reports; return the addresses whose server was started, stopped or deleted."""
        after_ns = told.at_ns if self._powers_ns is None else self._powers_ns
        changed = []
        for state in self._states.values() if told.changed else ():
            server = state.target.server_id
            power = told.changed.get(server) if server is not None else None
            if power is not None and power is not state.power:
                change = PowerChange(after_ns, told.at_ns, power)
                changed.append(replace(state, powers=(*state.powers, change)))
        if told.complete:
            self._powers_ns = told.at_ns
        return self._change(changed)

    # --- what workers have learnt ---

    def learn(self, normals: Iterable[Normal]) -> tuple[TargetState, ...]:
        """Take the baselines that a worker has learnt; return the targets that have changed by it."""
        return self._change(
            replace(state, baselines={**state.baselines, normal.check: normal.baseline})
            for normal in normals
            if (state := self._states.get(normal.target)) is not None
        )

    def silent(self, targets: Iterable[TargetId], at_ns: int) -> tuple[TargetState, ...]:
        """These addresses have not answered any echo; return those of which that is news."""
        return self._change(
            replace(state, silent_ns=at_ns)
            for target in targets
            if (state := self._states.get(target)) and state.silent_ns is None and state.method is None
        )

    def reached(self, reached: Iterable[Reached]) -> tuple[TargetState, ...]:
        """Addresses that were silent have answered; return those of which it is the first word."""
        return self._change(
            replace(state, method=each.method)
            for each in reached
            if (state := self._states.get(each.target)) and state.method is None
        )

    def unfit(self, target: TargetId, check: str, why: str) -> tuple[TargetState, ...]:
        """A check of a service has turned out not to be possible; return the service if that is news."""
        state = self._states.get(target)
        if state is None or check in state.unfit:
            return ()
        return self._change([replace(state, unfit={**state.unfit, check: why})])

    def drop(self, targets: Iterable[TargetId], at_ns: int) -> tuple[TargetState, ...]:
        """The configuration has these no more; return those that are retired by it.

        What the cloud has nevertheless comes back with the next list.
        """
        return self._change(
            replace(state, missing_ns=state.missing_ns or at_ns, retired_ns=at_ns)
            for target in targets
            if (state := self._states.get(target)) is not None and state.retired_ns is None
        )

    def _change(self, states: Iterable[TargetState]) -> tuple[TargetState, ...]:
        """Keep these; each is made of what the one before has left. Return them."""
        changed = []
        for state in states:
            target = state.target
            old = self._states.get(target.id)
            self._states[target.id] = state
            if target.kind is not Kind.ADDRESS or target.reference:
                self._others[target.id] = None
            if not target.reference:
                was_probed = old is not None and old.retired_ns is None
                self._probed[target.kind] += (state.retired_ns is None) - was_probed
            changed.append(state)
        return tuple(changed)


def _is_probed(state: TargetState) -> bool:
    """Tell whether this is an address that a list may retire."""
    target = state.target
    return target.kind is Kind.ADDRESS and not target.reference and state.retired_ns is None
