"""The target list: what is measured, and what the run has learnt of it. Pure; owned by a measurement."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from downtimer.messages import Listing, Normal, Powers, Reached
from downtimer.model import SECOND_NS, Kind, PowerChange, TargetId, TargetState

RETIRE_NS: Final = 5 * SECOND_NS
"""Two complete lists so far apart must lack an address before it is retired."""

Answers = Callable[[TargetState], bool]
"""Tells whether an address answers."""


class TargetList:
    """All targets of a run, by id."""

    def __init__(self, states: Iterable[TargetState] = ()) -> None:
        self._states = {state.target.id: state for state in states}
        self._complete_ns: int | None = None  # when the last complete list was asked for
        self._powers_ns: int | None = None  # when Nova was last asked for its servers

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

    # --- what discovery found ---

    def apply(self, listing: Listing, answers: Answers) -> tuple[TargetState, ...]:
        """Take what discovery found; return the targets that have changed by it.

        Args:
            listing: What it found.
            answers: Of the addresses at present.
        """
        changed = [self._found(new) for new in self._as_states(listing)]
        if listing.complete:
            changed += self._back(listing)
            changed += self._missing(listing, answers)
            self._complete_ns = listing.at_ns
        return self._change(changed)

    def _as_states(self, listing: Listing) -> Iterable[TargetState]:
        for target in listing.found:
            yield TargetState(target=target, discovered_ns=listing.at_ns, listed_ns=listing.at_ns)

    def _found(self, new: TargetState) -> TargetState:
        old = self._states.get(new.target.id)
        if old is None:
            return new
        if old.target.calls != new.target.calls:
            old = replace(old, unfit={})  # it is asked something else now
        return _listed(replace(old, target=new.target), new.listed_ns)

    def _back(self, listing: Listing) -> list[TargetState]:
        """Return those that an earlier list lacked and this one has, as they were before."""
        missing = set(listing.missing)
        return [
            _listed(state, listing.at_ns)
            for state in self._states.values()
            if state.missing_ns is not None and state.target.id not in missing
        ]

    def _missing(self, listing: Listing, answers: Answers) -> list[TargetState]:
        """Return the addresses that the list lacks, where that changes something."""
        states = [state for id_ in listing.missing if (state := self._states.get(id_)) and _is_probed(state)]
        is_doubtful = self.lacks_most(listing)
        changed = []
        for state in states:
            if state.missing_ns is None:
                last_ns = state.listed_ns if self._complete_ns is None else self._complete_ns
                missed = replace(state, listed_ns=last_ns, missing_ns=listing.at_ns, is_doubtful=is_doubtful)
                changed.append(missed)
            elif listing.at_ns - state.missing_ns >= RETIRE_NS and not (state.is_doubtful and answers(state)):
                changed.append(replace(state, retired_ns=listing.at_ns))
        return changed

    def lacks_most(self, listing: Listing) -> bool:
        """Tell whether a complete list drops more than half of the addresses that were listed before."""
        listed = [state for state in self._states.values() if _is_probed(state) and state.missing_ns is None]
        missing = set(listing.missing)
        dropped = sum(state.target.id in missing for state in listed)
        return listing.complete and 2 * dropped > len(listed)

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

    def _change(self, states: Iterable[TargetState]) -> tuple[TargetState, ...]:
        """Keep these; each is made of what the one before has left. Return them."""
        changed = []
        for state in states:
            self._states[state.target.id] = state
            changed.append(state)
        return tuple(changed)


def _is_probed(state: TargetState) -> bool:
    """Tell whether this is an address that a list may retire."""
    target = state.target
    return target.kind is Kind.ADDRESS and not target.reference and state.retired_ns is None


def _listed(state: TargetState, at_ns: int) -> TargetState:
    """Return a target that is listed; a retirement is undone."""
    return replace(state, listed_ns=at_ns, missing_ns=None, retired_ns=None, is_doubtful=False)
