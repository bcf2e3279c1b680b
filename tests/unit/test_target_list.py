"""The target list: what listings and workers tell of targets, and when an address is retired."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from downtimer.messages import Listing, Normal, Powers, Reached
from downtimer.model import (
    SECOND_NS,
    Baseline,
    Kind,
    Power,
    PowerChange,
    Target,
    TargetId,
    TargetState,
)
from downtimer.supervisor.targets import TargetList


def address(last: int, project: str = "p") -> Target:
    """Return an address target."""
    return Target(
        id=TargetId(f"address/10.0.0.{last}"), kind=Kind.ADDRESS, name=f"10.0.0.{last}", project=project
    )


SERVICE = Target(id=TargetId("service/nova"), kind=Kind.SERVICE, name="nova", url="http://h/")


def listing(
    at_s: float,
    *found: Target,
    missing: tuple[Target, ...] = (),
    lacks_most: bool = False,
    complete: bool = True,
) -> Listing:
    """Return a listing."""
    return Listing(
        at_ns=int(at_s * SECOND_NS),
        found=found,
        missing=tuple(target.id for target in missing),
        lacks_most=lacks_most,
        complete=complete,
    )


def apply(
    targets: TargetList, listing: Listing, answers: Callable[[TargetState], bool] = lambda _: True
) -> tuple[TargetState, ...]:
    """Take a listing, while all addresses answer, or those that do."""
    return targets.apply(listing, answers)


def state(targets: TargetList, target: Target) -> TargetState:
    """Return the state of a target that must be there."""
    found = targets.get(target.id)
    assert found is not None
    return found


def test_what_is_found_is_probed() -> None:
    targets = TargetList()
    changed = apply(targets, listing(1, SERVICE, address(1)))
    assert [one.target for one in changed] == [SERVICE, address(1)]
    assert (targets.count_probed(Kind.SERVICE), targets.count_probed(Kind.ADDRESS)) == (1, 1)


def test_a_reference_is_probed_but_not_reported() -> None:
    targets = TargetList()
    reference = Target(
        id=TargetId("reference/10.0.0.254"), kind=Kind.ADDRESS, name="10.0.0.254", reference=True
    )
    apply(targets, listing(1, SERVICE, address(1), reference))
    assert (targets.count_probed(Kind.ADDRESS), targets.count_probed(Kind.SERVICE)) == (1, 1)


def test_one_list_that_lacks_an_address_retires_nothing() -> None:
    targets = TargetList()
    apply(targets, listing(1, address(1)))
    apply(targets, listing(31, missing=(address(1),)))
    assert state(targets, address(1)).retired_ns is None
    assert state(targets, address(1)).listed_ns == SECOND_NS
    assert state(targets, address(1)).missing_ns == 31 * SECOND_NS


def test_two_lists_far_enough_apart_that_lack_an_address_retire_it() -> None:
    targets = TargetList()
    apply(targets, listing(1, address(1), address(2)))
    apply(targets, listing(31, missing=(address(1),)))
    assert apply(targets, listing(35, missing=(address(1),))) == ()
    (changed,) = apply(targets, listing(36, missing=(address(1),)))
    assert changed.retired_ns == 36 * SECOND_NS
    assert targets.count_probed(Kind.ADDRESS) == 1


def test_an_address_that_is_listed_again_is_probed_again() -> None:
    targets = TargetList()
    apply(targets, listing(1, address(1)))
    for at_s in (31, 61):
        apply(targets, listing(at_s, missing=(address(1),)), lambda _: False)
    (changed,) = apply(targets, listing(91, address(1)))
    assert targets.count_probed(Kind.ADDRESS) == 1
    assert (changed.missing_ns, changed.retired_ns) == (None, None)
    assert changed.discovered_ns == SECOND_NS


def test_a_list_that_is_not_complete_says_nothing_of_what_it_lacks() -> None:
    targets = TargetList()
    apply(targets, listing(1, address(1)))
    assert apply(targets, listing(31, complete=False)) == ()
    assert apply(targets, listing(61, address(2), complete=False))[0].target == address(2)
    assert state(targets, address(1)).missing_ns is None


def test_a_service_is_never_retired() -> None:
    targets = TargetList()
    apply(targets, listing(1, SERVICE))
    for at_s in (31, 61, 91):
        assert apply(targets, listing(at_s, missing=(SERVICE,))) == ()


def test_a_changed_description_keeps_what_was_learnt() -> None:
    targets = TargetList()
    apply(targets, listing(1, address(1)))
    targets.learn([Normal(address(1).id, "icmp", Baseline(latency_ns=5))])
    (changed,) = apply(targets, listing(31, address(1, project="q")))
    assert changed.target.project == "q"
    assert changed.baselines == {"icmp": Baseline(latency_ns=5)}
    assert changed.discovered_ns == SECOND_NS


def test_what_is_learnt_of_a_stranger_is_passed_over() -> None:
    assert TargetList().learn([Normal(TargetId("x"), "icmp", Baseline())]) == ()


def test_a_list_that_drops_most_addresses_retires_nothing_that_answers() -> None:
    targets, wobbling = TargetList(), (address(1), address(2))
    apply(targets, listing(1, address(1), address(2), address(3)))
    apply(targets, listing(31, missing=wobbling, lacks_most=True))
    assert apply(targets, listing(35, missing=wobbling)) == ()
    (changed,) = apply(targets, listing(41, missing=wobbling), lambda state: state.target == address(2))
    assert (changed.target, changed.retired_ns) == (address(1), 41 * SECOND_NS)
    assert apply(targets, listing(46, missing=wobbling)) == ()  # one of three by now, and still doubtful
    (back,) = apply(targets, listing(51, address(2), missing=(address(1),)))
    assert (back.target, back.missing_ns, back.is_doubtful) == (address(2), None, False)


def test_a_list_that_is_told_in_parts_is_one_list() -> None:
    """What is missing was in the complete list before, whose instant stands, not in this one's first part."""
    targets = TargetList()
    apply(targets, listing(1, address(1), address(2)))
    apply(targets, listing(31))
    apply(targets, listing(61, missing=(address(1),), complete=False))
    apply(targets, listing(61, missing=(address(2),)))
    assert {state(targets, address(number)).listed_ns for number in (1, 2)} == {31 * SECOND_NS}


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)), st.booleans()),
        max_size=20,
    )
)
def test_what_is_counted_is_what_is_there(steps: list[tuple[set[int], set[int], bool]]) -> None:
    targets = TargetList()
    for step, (found, missing, complete) in enumerate(steps):
        gone = tuple(map(address, missing - found))
        apply(targets, listing(6 * step, *map(address, found), SERVICE, missing=gone, complete=complete))
        states = [one for id_ in targets.ids() if (one := targets.get(id_)) is not None]
        for kind in Kind:
            probed = [one for one in states if one.target.kind is kind and one.retired_ns is None]
            assert targets.count_probed(kind) == len(probed)
        assert [one.target for one in targets.others()] == [SERVICE]
        again = TargetList(states)
        assert [again.count_probed(kind) for kind in Kind] == [targets.count_probed(kind) for kind in Kind]


def test_a_silent_address_is_tried_until_the_first_word_on_how_it_answers() -> None:
    targets = TargetList()
    apply(targets, listing(1, address(1)))
    (silent,) = targets.silent([address(1).id], 12 * SECOND_NS)
    assert (silent.silent_ns, silent.method, silent.check) == (12 * SECOND_NS, None, "icmp")
    assert targets.silent([address(1).id], 13 * SECOND_NS) == ()
    (reached,) = targets.reached([Reached(address(1).id, "tcp-22"), Reached(address(1).id, "tcp-80")])
    assert (reached.method, reached.port, reached.check) == ("tcp-22", 22, "tcp")
    assert targets.reached([Reached(address(1).id, "icmp")]) == ()
    assert targets.reached([Reached(TargetId("x"), "icmp")]) == targets.silent([TargetId("x")], 1) == ()


def test_both_normals_of_a_target_that_are_told_together_are_kept() -> None:
    targets = TargetList()
    apply(targets, listing(1, SERVICE))
    targets.learn([Normal(SERVICE.id, check, Baseline(latency_ns=5)) for check in ("answers", "works")])
    assert state(targets, SERVICE).baselines.keys() == {"answers", "works"}


def server(targets: TargetList, at_s: float, power: Power | None = None) -> tuple[PowerChange, ...]:
    """Have Nova report its servers; return what is known of that of the first address."""
    changed = {"vm": power} if power is not None else {}
    targets.apply_powers(Powers(at_ns=int(at_s * SECOND_NS), changed=changed))
    return state(targets, address(1)).powers


def test_the_power_of_a_server_changes_between_two_reports() -> None:
    targets = TargetList()
    apply(targets, listing(1, replace(address(1), server_id="vm"), address(2)))
    assert server(targets, 1, Power.RUNNING) == ()
    assert server(targets, 31) == ()
    stopped = PowerChange(31 * SECOND_NS, 61 * SECOND_NS, Power.STOPPED)
    assert server(targets, 61, Power.STOPPED) == (stopped,)
    assert server(targets, 91, Power.STOPPED) == (stopped,)
    running = PowerChange(91 * SECOND_NS, 95 * SECOND_NS, Power.RUNNING)
    assert server(targets, 95, Power.RUNNING) == (stopped, running)
    assert state(targets, address(1)).power is Power.RUNNING
    assert state(targets, address(2)).powers == ()


def test_a_server_that_is_found_stopped_has_been_so_since_it_was_looked_at() -> None:
    targets = TargetList()
    apply(targets, listing(1, replace(address(1), server_id="vm")))
    assert server(targets, 1, Power.STOPPED) == (PowerChange(SECOND_NS, SECOND_NS, Power.STOPPED),)


def test_what_the_configuration_dropped_is_retired_at_once_and_comes_back_if_it_is_listed() -> None:
    targets = TargetList()
    apply(targets, listing(0, SERVICE, address(1)))
    changed = targets.drop([SERVICE.id, address(1).id, TargetId("stranger")], 7 * SECOND_NS)
    assert [(one.target, one.retired_ns, one.missing_ns) for one in changed] == [
        (SERVICE, 7 * SECOND_NS, 7 * SECOND_NS),
        (address(1), 7 * SECOND_NS, 7 * SECOND_NS),
    ]
    assert (targets.count_probed(Kind.SERVICE), targets.count_probed(Kind.ADDRESS)) == (0, 0)
    assert targets.drop([SERVICE.id], 8 * SECOND_NS) == ()
    apply(targets, listing(9, SERVICE))
    assert state(targets, SERVICE).retired_ns is None
    assert targets.count_probed(Kind.SERVICE) == 1
