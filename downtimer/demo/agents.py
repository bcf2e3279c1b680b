"""The agents behind the APIs: which there are, and what becomes of one that goes down or comes up. Pure.

Each reports to its service at an interval, and counts as down when it has not for a while; both are the
services' defaults.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from downtimer.demo.processes import DemoError
from downtimer.demo.world import Agent, make_uuid

REPORTS_EVERY_S: Final = {"nova": 10, "neutron": 30, "cinder": 10, "heat": 60}
DOWN_AFTER_S: Final = {"nova": 60, "neutron": 75, "cinder": 60, "heat": 120}
ENGINES: Final = 2
"""Workers of Heat's on a host; each has a row of its own."""

CREATED_AT: Final = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
_DEFAULTS = (
    ("nova", "nova-scheduler", "ctl1"),
    ("nova", "nova-conductor", "ctl1"),
    ("nova", "nova-compute", "cmp1"),
    ("nova", "nova-compute", "cmp2"),
    ("neutron", "neutron-dhcp-agent", "net1"),
    ("neutron", "neutron-l3-agent", "net1"),
    ("neutron", "neutron-metadata-agent", "net1"),
    ("neutron", "neutron-openvswitch-agent", "net1"),
    ("neutron", "neutron-openvswitch-agent", "cmp1"),
    ("neutron", "neutron-openvswitch-agent", "cmp2"),
    ("cinder", "cinder-scheduler", "ctl1"),
    ("cinder", "cinder-volume", "ctl1@lvm"),
    ("cinder", "cinder-backup", "ctl1"),
)


def make_agents() -> tuple[Agent, ...]:
    """Return those of a new cloud, all of them up."""
    made = tuple(
        Agent(id=make_uuid(binary, host), service=service, binary=binary, host=host, started_at=CREATED_AT)
        for service, binary, host in _DEFAULTS
    )
    return (*made, *_engines("ctl1", 0, CREATED_AT))


def changed(
    agents: tuple[Agent, ...], binary: str, host: str, *, is_up: bool, now_s: float
) -> tuple[Agent, ...]:
    """Return the agents with that of a host up or down. What is so already stays as it is.

    Args:
        agents: All of them.
        binary: Its program.
        host: Where it runs.
        is_up: Whether it goes on reporting.
        now_s: Seconds since the epoch.

    Raises:
        DemoError: There is no such agent.
    """
    meant = [agent for agent in agents if (agent.binary, agent.host) == (binary, host)]
    if not meant:
        raise DemoError(f"the simulated cloud has no agent {binary} on {host}")
    if is_up and meant[0].service == "heat":
        is_running = any(agent.last_seen_at is None for agent in meant)
        return agents if is_running else (*agents, *_engines(host, len(meant), now_s))
    new = {agent.id: _turned(agent, is_up=is_up, now_s=now_s) for agent in meant}
    return tuple(new.get(agent.id, agent) for agent in agents)


def _engines(host: str, first: int, started_at: float) -> tuple[Agent, ...]:
    return tuple(
        Agent(
            id=make_uuid("heat-engine", host, str(number)),
            service="heat",
            binary="heat-engine",
            host=host,
            started_at=started_at,
        )
        for number in range(first, first + ENGINES)
    )


def _turned(agent: Agent, *, is_up: bool, now_s: float) -> Agent:
    if is_up == (agent.last_seen_at is None):
        return agent
    if is_up:
        return replace(agent, started_at=now_s, last_seen_at=None)
    return replace(agent, last_seen_at=now_s - DOWN_AFTER_S[agent.service] - REPORTS_EVERY_S[agent.service])
