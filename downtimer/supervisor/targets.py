"""The target list: what is measured, and what the run has learnt of it. Pure; owned by a measurement."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from downtimer.messages import Listing
from downtimer.model import SECOND_NS, Baseline, Kind, TargetId, TargetState

RETIRE_NS: Final = 5 * SECOND_NS
"""Two complete lists so far apart must lack an address before it is retired."""


class TargetList:
    """All targets of a run, by id."""

    def __init__(self, states: Iterable[TargetState] = ()) -> None:
        self._states = {state.target.id: state for state in states}
        self._complete_ns: int | None = None  # when the last complete list was asked for
        self.serial = 0

    def __len__(self) -> int:
        return len(self._states)

    def get(self, target: TargetId) -> TargetState | None:
        """Return what is known of a target, None for a stranger."""
        return self._states.get(target)

    def states(self) -> tuple[TargetState, ...]:
        """Return all of them."""
        return tuple(self._states.values())

    def count_probed(self, kind: Kind) -> int:
        """Return how many of a kind are probed for their own sake: references are in no report."""
        return sum(
            state.target.kind is kind and state.retired_ns is None and not state.target.reference
            for state in self._states.values()
        )

    def apply(self, listing: Listing) -> tuple[TargetState, ...]:
        """Take what discovery found; return the targets that have changed by it."""
        changed = [self._found(target_state) for target_state in self._as_states(listing)]
        if listing.complete:
            changed += self._back(listing)
            changed += self._missing(listing)
            self._complete_ns = listing.at_ns
        for state in changed:
            self._states[state.target.id] = state
        if changed:
            self.serial += 1
        return tuple(changed)

    def learn(self, target: TargetId, check: str, baseline: Baseline) -> TargetState | None:
        """Take what a worker has learnt of a check; return the changed target, None for a stranger."""
        state = self._states.get(target)
        if state is None:
            return None
        changed = replace(state, baselines={**state.baselines, check: baseline})
        self._states[target] = changed
        return changed

    def _as_states(self, listing: Listing) -> Iterable[TargetState]:
        for target in listing.found:
            yield TargetState(target=target, discovered_ns=listing.at_ns, listed_ns=listing.at_ns)

    def _found(self, new: TargetState) -> TargetState:
        old = self._states.get(new.target.id)
        if old is None:
            return new
        return replace(old, target=new.target, listed_ns=new.listed_ns, missing_ns=None, retired_ns=None)

    def _back(self, listing: Listing) -> list[TargetState]:
        """Return those that an earlier list lacked and this one has, as they were before."""
        missing = set(listing.missing)
        return [
            replace(state, listed_ns=listing.at_ns, missing_ns=None, retired_ns=None)
            for state in self._states.values()
            if state.missing_ns is not None and state.target.id not in missing
        ]

    def _missing(self, listing: Listing) -> list[TargetState]:
        changed = []
        for target in listing.missing:
            state = self._states.get(target)
            if state is None or state.target.kind is not Kind.ADDRESS or state.retired_ns is not None:
                continue
            if state.missing_ns is None:
                last_ns = state.listed_ns if self._complete_ns is None else self._complete_ns
                changed.append(replace(state, listed_ns=last_ns, missing_ns=listing.at_ns))
            elif listing.at_ns - state.missing_ns >= RETIRE_NS:
                changed.append(replace(state, retired_ns=listing.at_ns))
        return changed
