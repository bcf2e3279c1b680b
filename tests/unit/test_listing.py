"""What a listing changes, held against the supervisor's list, and with the supervisor's own bookkeeping."""

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downtimer import targets
from downtimer.listing import CHUNK, Known, Listed, Names, Owner
from downtimer.messages import Listing, Targets
from downtimer.model import SECOND_NS, Kind, Power, PowerChange, Target, TargetState
from downtimer.supervisor.targets import TargetList

FIRST, SECOND, THIRD = (targets.address(ipaddress.ip_address(f"172.16.1.{last}")) for last in (1, 2, 3))
SERVICE = targets.static_service("web", "http://h/")
GATEWAY = targets.reference(ipaddress.ip_address("172.16.1.254"))


def listed(*found: Target) -> Listed:
    """Return them as they are listed."""
    made, names = Listed(), dict[Owner, Names]()
    for target in found:
        if target.kind is Kind.ADDRESS and not target.reference:
            owner = Owner(target.project_id, target.server_id)
            made.addresses[targets.pack(target.name)] = owner
            names[owner] = Names(target.project, target.server)
        else:
            made.others[target.id] = target
    made.names = lambda owner: names[owner]
    return made


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
    assert compare(known(state(named)), named) == Listing(at_ns=7)
    assert compare(known(state(SERVICE)), SERVICE) == Listing(at_ns=7)
    moved = replace(SERVICE, endpoint="http://elsewhere/")
    assert compare(known(state(SERVICE)), moved) == Listing(at_ns=7, found=(moved,))


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


def test_what_a_list_lacks_is_news_in_the_next_that_has_it_even_if_the_supervisor_is_slow() -> None:
    held = known(state(FIRST), state(SECOND))
    assert compare(held, FIRST).missing == (SECOND.id,)
    assert compare(held, FIRST, SECOND).found == (SECOND,)


def test_what_is_retired_is_not_told_to_be_missing_again() -> None:
    held = known(state(FIRST), state(SECOND, missing_ns=3, retired_ns=5), state(THIRD, missing_ns=3))
    assert compare(held, FIRST).missing == (THIRD.id,)


@pytest.mark.parametrize(
    ("there", "gone", "most"), [(3, 2, True), (2, 1, False), (3, 1, False), (1, 1, True)]
)
def test_a_list_says_if_it_lacks_most_of_what_the_last_one_had(there: int, gone: int, *, most: bool) -> None:
    before = [FIRST, SECOND, THIRD][:there]
    held = known(*map(state, before))
    assert compare(held, *before[gone:]).lacks_most is most
    assert not compare(held, *before[gone:]).lacks_most  # said once


def test_services_are_never_missing() -> None:
    assert compare(known(state(SERVICE), state(FIRST)), FIRST) == Listing(at_ns=7)


def test_a_whole_list_replaces_what_was_told_before() -> None:
    held = known(state(FIRST), state(SECOND, missing_ns=1))
    held.apply(Targets(serial=3, whole=True, changed=(state(THIRD),)))
    assert len(held) == 1
    assert compare(held, SECOND, THIRD) == Listing(at_ns=7, found=(SECOND,))


def test_a_great_list_travels_in_parts_of_which_the_last_is_complete() -> None:
    many = [targets.address(ipaddress.ip_address("10.0.0.0") + number) for number in range(2 * CHUNK + 1)]
    held = known(state(FIRST))
    parts = list(held.compare(listed(*many), at_ns=7, complete=True))
    assert [(len(part.found), part.missing, part.more, part.complete) for part in parts] == [
        (CHUNK, (), True, False),
        (CHUNK, (), True, False),
        (1, (FIRST.id,), False, True),
    ]
    assert [target for part in parts for target in part.found] == many


def test_many_that_are_missing_travel_in_parts_too() -> None:
    many = [targets.address(ipaddress.ip_address("10.0.0.0") + number) for number in range(2 * CHUNK + 1)]
    parts = list(known(*map(state, many)).compare(listed(FIRST), at_ns=7, complete=True))
    assert [(len(part.missing), part.lacks_most, part.more, part.complete) for part in parts] == [
        (CHUNK, True, True, False),
        (CHUNK, True, True, False),
        (1, True, False, True),
    ]
    assert {id_ for part in parts for id_ in part.missing} == {target.id for target in many}
    assert [target for part in parts for target in part.found] == [FIRST]


def test_the_power_of_servers_behind_listed_addresses_is_news_where_it_has_changed() -> None:
    mine, other = replace(FIRST, server_id="a"), replace(SECOND, server_id="b")
    stopped = replace(state(other), powers=(PowerChange(1, 1, Power.STOPPED),))
    held = known(state(mine), stopped)
    now = {"a": Power.STOPPED, "b": Power.STOPPED, "of no address": Power.STOPPED}
    assert held.news_of_powers(listed(mine, other), now) == {"a": Power.STOPPED}
    now = {"a": Power.RUNNING, "b": Power.RUNNING}
    assert held.news_of_powers(listed(mine, other), now) == {"b": Power.RUNNING}
    held.apply(Targets(serial=2, whole=False, changed=(replace(stopped, powers=()),)))
    assert held.news_of_powers(listed(mine, other), now) == {}


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcdef")), st.booleans(), st.booleans()), max_size=25))
def test_discovery_and_supervisor_agree_after_every_list(
    steps: list[tuple[set[str], bool, bool]],
) -> None:
    """Whatever is listed: what a whole list has is probed, and what two lists lack is not."""
    supervisor, discovery = TargetList(), Known()
    lacking: dict[str, int] = {}  # in how many lists
    for step, (present, is_renamed, complete) in enumerate(steps):
        found = [
            replace(targets.address(ipaddress.ip_address(f"10.0.0.{ord(one)}")), project=str(is_renamed))
            for one in sorted(present)
        ]
        for part in discovery.compare(listed(*found), at_ns=step * 10 * SECOND_NS, complete=complete):
            changed = supervisor.apply(part, lambda _: False)
            discovery.apply(Targets(serial=step, whole=False, changed=changed))
        for target in found:
            held = supervisor.get(target.id)
            assert held is not None
            assert (held.target, held.missing_ns, held.retired_ns) == (target, None, None)
        lacking = dict.fromkeys(present, 0) | {
            one: count + complete for one, count in lacking.items() if one not in present
        }
        assert supervisor.count_probed(Kind.ADDRESS) == sum(count < 2 for count in lacking.values())


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


def test_a_service_that_was_retired_is_news_if_it_is_listed_again() -> None:
    """A URL that was taken out of the configuration, and put in again."""
    state = TargetState(target=SERVICE, discovered_ns=0, listed_ns=0)
    retired = known(replace(state, retired_ns=5))
    assert not retired.has(SERVICE.id)
    assert compare(retired, SERVICE) == Listing(at_ns=7, found=(SERVICE,))
    assert compare(known(state), SERVICE) == Listing(at_ns=7)
