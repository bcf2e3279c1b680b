"""The real daemon: addresses that go away, owners who stop servers, lists that wobble, a link that is cut."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.world import World, make_floating
from tests.integration.checks import unobserved
from tests.waiting import wait_until

SERVICES = ("keystone", "neutron", "nova", "glance")
ADDRESSES = tuple(f"172.16.166.{last}" for last in range(151, 157))
TAKEN, STOPPED, NEW = ADDRESSES[0], ADDRESSES[1], "172.16.166.200"
REFRESH_S = 30.0
OUTAGE_S = 3.0
SENT_AGAIN_S = 1.1  # a SYN is, by a coarse timer; who asks so near the end gets an answer, if a late one

Targets = dict[str, dict[str, Any]]


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    """Some addresses, and one that is associated with no server and not to be measured."""
    with SimulatedCloud(CloudConfig(services=SERVICES, addresses=ADDRESSES, unassociated=(NEW,))) as running:
        yield running


def targets(daemon: Daemon) -> Targets:
    """Return the report's targets by name."""
    return {target["name"]: target for target in daemon.report()["targets"]}


def until(daemon: Daemon, is_so: Callable[[Targets], object], what: str, timeout_s: float = 45) -> Targets:
    """Wait until the report is like that; return its targets."""
    latest: list[Targets] = []

    def look() -> bool:
        latest[:] = [targets(daemon)]
        return bool(is_so(latest[0]))

    wait_until(look, timeout_s=timeout_s, what=what)
    return latest[0]


def without(*addresses: str) -> Callable[[World], World]:
    """Return what takes addresses out of Neutron's list."""

    def alter(world: World) -> World:
        kept = tuple(item for item in world.floatingips if item.address not in addresses)
        return replace(world, floatingips=kept)

    return alter


def associate(cloud: SimulatedCloud, address: str) -> None:
    """Associate a floating IP with the server of another one."""
    server = cloud.world.servers[-1]
    bound = make_floating(address, project_id=server.project_id, server=server)
    cloud.change(without(address))
    cloud.change(lambda world: replace(world, floatingips=(*world.floatingips, bound)))


def assert_never_down(found: Targets, *but: str) -> None:
    """Check that no target was down but those named."""
    assert {name: t["down_max_s"] for name, t in found.items() if t["episodes"] and name not in but} == {}


def test_addresses_that_come_and_go_and_whose_server_is_stopped(cloud: SimulatedCloud) -> None:
    with Daemon(cloud) as daemon:
        associate(cloud, NEW)
        associated = time.monotonic()
        until(daemon, lambda t: NEW in t and t[NEW]["answered"], "the new address to be measured")
        assert time.monotonic() - associated < REFRESH_S + 3

        cloud.change(without(TAKEN))
        cloud.drop(TAKEN)
        cloud.set_server(STOPPED, "SHUTOFF")
        cloud.drop(STOPPED)
        until(daemon, lambda t: t[TAKEN]["retired"], "the address that was taken away to be retired")
        cloud.set_server(STOPPED, "ACTIVE")
        cloud.restore(STOPPED)
        until(daemon, lambda t: not t[STOPPED]["episodes"][0]["ongoing"], "the other to be back")
        daemon.stop()
        found = targets(daemon)
    assert (found[TAKEN]["episodes"], found[TAKEN]["down_s"], found[TAKEN]["answered"]) == ([], 0, True)
    (episode,) = found[STOPPED]["episodes"]
    assert episode["label"] == "Nova reported its server stopped"
    low_s, high_s = cloud.truth.of(STOPPED)[-1].seconds(1.0)
    assert episode["min_s"] <= high_s
    assert low_s <= episode["max_s"]
    assert_never_down(found, STOPPED)


def test_an_empty_list_retires_nothing_that_answers_and_what_is_listed_again_was_never_away(
    cloud: SimulatedCloud,
) -> None:
    listed = cloud.world.floatingips
    with Daemon(cloud) as daemon:
        cloud.change(without(*ADDRESSES))
        cloud.drop(TAKEN)  # which makes discovery look
        until(daemon, lambda t: t[TAKEN]["retired"], "what does not answer to be retired")
        cloud.change(lambda world: replace(world, floatingips=listed))
        cloud.restore(TAKEN)
        cloud.service("glance").kill()  # look again
        until(daemon, lambda t: not t[TAKEN]["retired"], "it to be measured again")
        time.sleep(1.0)
        cloud.service("glance").start()
        daemon.stop()
        report = daemon.report()
        found = {target["name"]: target for target in report["targets"]}
    assert any("lacks most addresses" in event["text"] for event in report["events"])
    assert all(found[address]["retired"] is None for address in ADDRESSES)
    assert all(unobserved(found[address]) == {} for address in ADDRESSES if address != TAKEN)
    assert set(unobserved(found[TAKEN])) == {"unlisted"}
    assert_never_down(found, TAKEN, "glance")


@pytest.mark.parametrize("before_s", [3.0, 12.0])
def test_a_link_of_ours_that_is_down_is_nobodys_downtime(cloud: SimulatedCloud, before_s: float) -> None:
    """Whether the normal of services is known already or not: that takes ten seconds."""
    with Daemon(cloud) as daemon:
        time.sleep(before_s)
        cut = cloud.cut_link()
        time.sleep(5.0)
        mended = cloud.mend_link()
        time.sleep(4.0)
        text = daemon.stop()
        found = targets(daemon)
    assert_never_down(found)
    away_s = (mended.middle_ns - cut.middle_ns) / 1e9
    for name, target in found.items():
        assert set(unobserved(target)) <= {"vantage", "no-route", "send"}, name
        assert target["unobserved"]["vantage"] > 0, name
        assert target["unobserved_s"] + target["slow_s"] == pytest.approx(away_s, abs=2.0), name
    assert "vantage" in text


def test_addresses_that_answer_no_echo_are_measured_by_tcp(cloud: SimulatedCloud) -> None:
    """As behind a default security group: the kernel is told to ignore echoes; ports refuse."""
    ignore = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all"
    assert cloud.run_in_cloud(["/bin/sh", "-c", ignore]).wait(10) == 0
    with Daemon(cloud) as daemon:
        until(daemon, lambda t: all(t[a]["method"] == "tcp-22" for a in ADDRESSES), "all to be reached")
        time.sleep(2.0)
        cloud.drop(STOPPED)
        time.sleep(OUTAGE_S)
        cloud.restore(STOPPED)
        until(
            daemon, lambda t: t[STOPPED]["episodes"] and not t[STOPPED]["episodes"][0]["ongoing"], "the end"
        )
        time.sleep(1.0)
        text = daemon.stop()
        found = targets(daemon)
    assert_never_down(found, STOPPED)
    (episode,) = found[STOPPED]["episodes"]
    assert episode["checks"] == ["tcp"]
    low_s, high_s = cloud.truth.of(STOPPED)[-1].seconds(2.0)
    assert episode["min_s"] <= high_s
    assert low_s - SENT_AGAIN_S <= episode["max_s"]
    assert f"Address {STOPPED} (measured by tcp-22): down" in text
    assert all(target["answered"] for target in found.values())


def test_status_counts_addresses_by_the_way_in_which_they_are_reached(cloud: SimulatedCloud) -> None:
    """One that is silent to echoes is down until a port answers, and is up then."""
    ignore = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all"
    assert cloud.run_in_cloud(["/bin/sh", "-c", ignore], stdout=subprocess.DEVNULL).wait(10) == 0
    with Daemon(cloud) as daemon:
        wait_until(lambda: _up(daemon) == len(ADDRESSES), timeout_s=30, what="all to be up")


def _up(daemon: Daemon) -> int:
    """Return how many addresses are up, by `status`."""
    line = next(line for line in daemon.command("status").splitlines() if line.startswith("addresses"))
    return int(line.split()[2])
