"""The target list: what listings and workers tell of targets, and when an address is retired."""

from downtimer.messages import Listing
from downtimer.model import SECOND_NS, Baseline, Kind, Target, TargetId, TargetState
from downtimer.supervisor.targets import TargetList


def address(last: int, project: str = "p") -> Target:
    """Return an address target."""
    return Target(
        id=TargetId(f"address/10.0.0.{last}"), kind=Kind.ADDRESS, name=f"10.0.0.{last}", project=project
    )


SERVICE = Target(id=TargetId("service/nova"), kind=Kind.SERVICE, name="nova", url="http://h/")


def listing(at_s: float, *found: Target, missing: tuple[Target, ...] = (), complete: bool = True) -> Listing:
    """Return a listing."""
    return Listing(
        at_ns=int(at_s * SECOND_NS),
        found=found,
        missing=tuple(target.id for target in missing),
        complete=complete,
    )


def state(targets: TargetList, target: Target) -> TargetState:
    """Return the state of a target that must be there."""
    found = targets.get(target.id)
    assert found is not None
    return found


def test_what_is_found_is_probed() -> None:
    targets = TargetList()
    changed = targets.apply(listing(1, SERVICE, address(1)))
    assert [one.target for one in changed] == [SERVICE, address(1)]
    assert (targets.count_probed(Kind.SERVICE), targets.count_probed(Kind.ADDRESS)) == (1, 1)
    assert targets.serial == 1


def test_a_reference_is_probed_but_not_reported() -> None:
    targets = TargetList()
    reference = Target(
        id=TargetId("reference/10.0.0.254"), kind=Kind.ADDRESS, name="10.0.0.254", reference=True
    )
    targets.apply(listing(1, SERVICE, address(1), reference))
    assert (targets.count_probed(Kind.ADDRESS), targets.count_probed(Kind.SERVICE)) == (1, 1)


def test_one_list_that_lacks_an_address_retires_nothing() -> None:
    targets = TargetList()
    targets.apply(listing(1, address(1)))
    targets.apply(listing(31, missing=(address(1),)))
    assert state(targets, address(1)).retired_ns is None
    assert state(targets, address(1)).listed_ns == SECOND_NS
    assert state(targets, address(1)).missing_ns == 31 * SECOND_NS


def test_two_lists_far_enough_apart_that_lack_an_address_retire_it() -> None:
    targets = TargetList()
    targets.apply(listing(1, address(1)))
    targets.apply(listing(31, missing=(address(1),)))
    assert targets.apply(listing(35, missing=(address(1),))) == ()
    (changed,) = targets.apply(listing(36, missing=(address(1),)))
    assert changed.retired_ns == 36 * SECOND_NS
    assert targets.count_probed(Kind.ADDRESS) == 0


def test_an_address_that_is_listed_again_is_probed_again() -> None:
    targets = TargetList()
    targets.apply(listing(1, address(1)))
    for at_s in (31, 61):
        targets.apply(listing(at_s, missing=(address(1),)))
    (changed,) = targets.apply(listing(91))
    assert (changed.missing_ns, changed.retired_ns) == (None, None)
    assert changed.discovered_ns == SECOND_NS


def test_a_list_that_is_not_complete_says_nothing_of_what_it_lacks() -> None:
    targets = TargetList()
    targets.apply(listing(1, address(1)))
    assert targets.apply(listing(31, complete=False)) == ()
    assert targets.apply(listing(61, address(2), complete=False))[0].target == address(2)
    assert state(targets, address(1)).missing_ns is None


def test_a_service_is_never_retired() -> None:
    targets = TargetList()
    targets.apply(listing(1, SERVICE))
    for at_s in (31, 61, 91):
        assert targets.apply(listing(at_s, missing=(SERVICE,))) == ()


def test_a_changed_description_keeps_what_was_learnt() -> None:
    targets = TargetList()
    targets.apply(listing(1, address(1)))
    targets.learn(address(1).id, "icmp", Baseline(latency_ns=5))
    (changed,) = targets.apply(listing(31, address(1, project="q")))
    assert changed.target.project == "q"
    assert changed.baselines == {"icmp": Baseline(latency_ns=5)}
    assert changed.discovered_ns == SECOND_NS


def test_what_is_learnt_of_a_stranger_is_passed_over() -> None:
    assert TargetList().learn(TargetId("x"), "icmp", Baseline()) is None


def test_the_serial_counts_differences_only() -> None:
    targets = TargetList()
    targets.apply(listing(1, address(1)))
    targets.apply(listing(2))
    assert targets.serial == 1
