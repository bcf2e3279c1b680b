"""What a listing changes, held against the supervisor's list, and with the supervisor's own bookkeeping."""

import ipaddress
from dataclasses import replace

from downtimer import targets
from downtimer.listing import CHUNK, Known
from downtimer.messages import Listing, Targets
from downtimer.model import SECOND_NS, Target, TargetId, TargetState
from downtimer.supervisor.targets import TargetList

FIRST, SECOND, THIRD = (targets.address(ipaddress.ip_address(f"172.16.1.{last}")) for last in (1, 2, 3))
GATEWAY = targets.reference(ipaddress.ip_address("172.16.1.254"))


def listed(*found: Target) -> dict[TargetId, Target]:
    """Return them by id."""
    return {target.id: target for target in found}


def known(*states: TargetState) -> Known:
    """Return what the supervisor told."""
    made = Known()
    made.apply(Targets(serial=1, whole=True, changed=states))
    return made


def state(target: Target, missing_ns: int | None = None, retired_ns: int | None = None) -> TargetState:
    """Return the supervisor's record of a target."""
    return TargetState(
        target=target, discovered_ns=0, listed_ns=0, missing_ns=missing_ns, retired_ns=retired_ns
    )


def compare(to: Known, *found: Target, complete: bool = True) -> Listing:
    """Compare what fits into one message."""
    (only,) = to.compare(listed(*found), at_ns=7, complete=complete)
    return only


def test_everything_is_new_to_an_empty_list() -> None:
    assert compare(Known(), FIRST, SECOND) == Listing(at_ns=7, found=(FIRST, SECOND))


def test_a_list_without_news_is_told_for_it_says_that_all_is_still_there() -> None:
    assert compare(known(state(FIRST), state(SECOND)), FIRST, SECOND) == Listing(at_ns=7)


def test_a_changed_description_is_news() -> None:
    named = replace(FIRST, server="vm-1")
    assert compare(known(state(FIRST)), named) == Listing(at_ns=7, found=(named,))


def test_what_a_complete_list_lacks_is_missing() -> None:
    assert compare(known(state(FIRST), state(SECOND)), SECOND) == Listing(at_ns=7, missing=(FIRST.id,))


def test_nothing_is_missing_from_a_partial_list() -> None:
    held = known(state(FIRST), state(SECOND))
    assert compare(held, THIRD, complete=False) == Listing(at_ns=7, found=(THIRD,), complete=False)


def test_a_reference_is_never_missing() -> None:
    assert compare(known(state(GATEWAY), state(FIRST)), FIRST) == Listing(at_ns=7)


def test_what_was_missing_or_retired_is_news_when_it_is_back() -> None:
    held = known(state(FIRST, missing_ns=3), state(SECOND, missing_ns=3, retired_ns=5), state(THIRD))
    assert compare(held, FIRST, SECOND, THIRD, complete=False).found == (FIRST, SECOND)
    held.apply(Targets(serial=2, whole=False, changed=(state(FIRST), state(SECOND))))
    assert compare(held, FIRST, SECOND, THIRD, complete=False).found == ()


def test_a_whole_list_replaces_what_was_told_before() -> None:
    held = known(state(FIRST), state(SECOND, missing_ns=1))
    held.apply(Targets(serial=3, whole=True, changed=(state(THIRD),)))
    assert len(held) == 1
    assert compare(held, SECOND, THIRD) == Listing(at_ns=7, found=(SECOND,))


def test_a_great_list_travels_in_parts_of_which_the_last_is_complete() -> None:
    many = [targets.address(ipaddress.ip_address("10.0.0.0") + number) for number in range(2 * CHUNK + 1)]
    held = known(state(FIRST))
    parts = list(held.compare(listed(*many), at_ns=7, complete=True))
    assert [(len(part.found), part.missing, part.complete) for part in parts] == [
        (CHUNK, (), False),
        (CHUNK, (), False),
        (1, (FIRST.id,), True),
    ]
    assert [target for part in parts for target in part.found] == many


def test_exactly_one_part_needs_no_second() -> None:
    many = [targets.address(ipaddress.ip_address("10.0.0.0") + number) for number in range(CHUNK)]
    assert len(list(Known().compare(listed(*many), at_ns=7, complete=True))) == 1


def test_a_retired_address_stays_retired_in_the_supervisors_list_until_it_is_back() -> None:
    supervisor, discovery = TargetList(), Known()

    def look(at_s: int, *found: Target) -> None:
        for part in discovery.compare(listed(*found), at_ns=at_s * SECOND_NS, complete=True):
            changed = supervisor.apply(part, lambda _: True)
            discovery.apply(Targets(serial=at_s, whole=False, changed=changed))

    look(0, FIRST, SECOND)
    for at_s in (10, 20, 30, 40):
        look(at_s, SECOND)
    held = supervisor.get(FIRST.id)
    assert held is not None
    assert held.retired_ns is not None
    look(50, FIRST, SECOND)
    held = supervisor.get(FIRST.id)
    assert held is not None
    assert held.retired_ns is held.missing_ns is None
