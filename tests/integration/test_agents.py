"""What the cloud reports of its agents, read by the real daemon, and held apart from what it measures."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from downtimer.demo.cloud import NONE, CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.world import World
from tests.waiting import wait_until

SERVICES = ("keystone", "nova", "neutron", "cinder", "heat")
READ_S = 10.0
BINARIES = {"nova-compute", "nova-conductor", "nova-scheduler", "cinder-volume", "heat-engine"}


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    """The services that list agents, and Keystone."""
    with SimulatedCloud(CloudConfig(services=SERVICES, network=NONE)) as running:
        yield running


def agents(daemon: Daemon) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the report's agents by program and host."""
    return {(agent["name"], agent["host"]): agent for agent in daemon.report()["agents"]}


def until_read(daemon: Daemon, is_so: Callable[[dict[tuple[str, str], dict[str, Any]]], bool]) -> None:
    """Wait until the report's agents are like that."""
    wait_until(lambda: is_so(agents(daemon)), timeout_s=3 * READ_S, what="the agents to be read")


def test_agent_that_its_service_reports_down_is_in_a_section_of_its_own(cloud: SimulatedCloud) -> None:
    with Daemon(cloud) as daemon:
        until_read(daemon, lambda found: {name for name, _ in found} >= BINARIES)
        cloud.set_agent("nova-compute", "cmp1", is_up=False)
        cloud.set_agent("heat-engine", "ctl1", is_up=False)
        down_from = time.monotonic()
        compute, engine = ("nova-compute", "cmp1"), ("heat-engine", "ctl1")
        until_read(daemon, lambda found: found[compute]["down_s"] > 0 and found[engine]["down_s"] > 0)
        wait_until(
            lambda: "of which the cloud reports 2 down" in daemon.command("status"),
            timeout_s=READ_S,
            what="the status to say so",
        )
        cloud.set_agent("nova-compute", "cmp1", is_up=True)
        cloud.set_agent("heat-engine", "ctl1", is_up=True)
        down_s = time.monotonic() - down_from
        until_read(daemon, lambda found: not any(e["ongoing"] for a in found.values() for e in a["episodes"]))
        text = daemon.stop()
        report = daemon.report()
    found = {(agent["name"], agent["host"]): agent for agent in report["agents"]}
    for agent in (compute, engine):
        assert found[agent]["down_min_s"] <= down_s <= found[agent]["down_max_s"] + READ_S
        assert abs(found[agent]["down_s"] - down_s) <= READ_S
    assert {key for key, agent in found.items() if agent["down_s"]} == {compute, engine}
    assert {target["kind"] for target in report["targets"]} == {"service"}
    assert {target["down_s"] for target in report["targets"]} == {0}
    whole = round(found[compute]["down_s"])
    assert f"  Agent nova-compute on cmp1 was reported down approximately {whole} seconds (" in text
    assert "  Agent nova-compute on cmp2 was reported down approximately 0 seconds\n" in text


def test_list_that_cannot_be_read_for_a_while_says_nothing_of_the_agents(cloud: SimulatedCloud) -> None:
    compute = ("nova-compute", "cmp1")
    with Daemon(cloud) as daemon:
        until_read(daemon, lambda found: compute in found and found[compute]["readings"] >= 2)
        cloud.service("nova").set_mode("500")
        time.sleep(READ_S + 2)
        cloud.service("nova").set_mode("normal")
        until_read(daemon, lambda found: "unlisted" in found[compute]["unobserved"])
        until_read(daemon, lambda found: found[compute]["readings"] >= 4)
        found = agents(daemon)
    assert found[compute]["down_max_s"] == found[compute]["down_s"] == 0
    assert found["heat-engine", "ctl1"]["unobserved"] == {}


def test_lists_that_the_user_may_not_read_are_an_event_and_nothing_more(cloud: SimulatedCloud) -> None:
    def forbid(world: World) -> World:
        return replace(world, forbidden=("heat", "cinder"))

    cloud.change(forbid)
    with Daemon(cloud) as daemon:
        until_read(daemon, lambda found: len(found) > 0)
        wait_until(lambda: lacks(daemon)["heat"], timeout_s=READ_S, what="heat's call to be refused")
        wait_until(lambda: len(told(daemon)) == 2, timeout_s=READ_S, what="both lists to be refused")
        report = daemon.report()
        events = told(daemon)
    assert not {agent["service_type"] for agent in report["agents"]} & {"orchestration", "volumev3"}
    assert sorted(events) == [
        "cinder answered 403: its agents are not reported",
        "heat answered 403: its agents are not reported",
    ]
    (heat,) = [target for target in report["targets"] if target["name"] == "heat"]
    assert heat["lacks"].keys() == {"works"}
    assert heat["lacks"]["works"].endswith("/stacks?limit=1 answered 403: not permitted to this user")
    assert [check["name"] for check in heat["checks"]] == ["answers"]


def told(daemon: Daemon) -> list[str]:
    """Return what was told of the agents' lists."""
    return [event["text"] for event in daemon.report()["events"] if event["kind"] == "agents"]


def lacks(daemon: Daemon) -> dict[str, dict[str, str]]:
    """Return the checks that each service lacks."""
    return {target["name"]: target["lacks"] for target in daemon.report()["targets"]}
