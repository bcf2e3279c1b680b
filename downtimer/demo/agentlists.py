"""The lists of agents, as Nova, Neutron, Cinder and Heat give them to an admin.

To others they are forbidden, but Neutron's, which is empty then.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from downtimer.demo.agents import CREATED_AT, REPORTS_EVERY_S
from downtimer.demo.api import Call
from downtimer.demo.httpd import Request, Response, json_response
from downtimer.demo.services import PROJECT
from downtimer.demo.tokens import Claims
from downtimer.demo.world import Agent, WorldFile, make_uuid

_PATHS: Final = {
    "nova": ("/v2.1/os-services",),
    "neutron": ("/v2.0/agents",),
    "cinder": (f"/v3/{PROJECT}/os-services", f"/v2/{PROJECT}/os-services"),
    "heat": (f"/v1/{PROJECT}/services",),
}
_NEUTRON_KINDS: Final = {
    "neutron-dhcp-agent": ("DHCP agent", "dhcp_agent"),
    "neutron-l3-agent": ("L3 agent", "l3_agent"),
    "neutron-metadata-agent": ("Metadata agent", "N/A"),
    "neutron-openvswitch-agent": ("Open vSwitch agent", "N/A"),
}
"""What Neutron calls an agent, and where it sends it messages."""


def agent_calls(service: str, world: WorldFile) -> Mapping[tuple[str, str], Call]:
    """Return the calls with which that service lists its agents; none if it has none."""

    def listed(_: Request, claims: Claims) -> Response:
        rows = _rows(service, world.read().agents) if claims.admin else []
        return json_response(200, {"agents" if service == "neutron" else "services": rows})

    return {("GET", path): listed for path in _PATHS.get(service, ())}


def _rows(service: str, agents: Iterable[Agent]) -> list[dict[str, Any]]:
    meant = (agent for agent in agents if agent.service == service)
    return [_ROWS[service](number, agent) for number, agent in enumerate(meant, start=1)]


def _nova(number: int, agent: Agent) -> dict[str, Any]:
    return {
        "id": number,
        "binary": agent.binary,
        "host": agent.host,
        "zone": "nova" if agent.binary == "nova-compute" else "internal",
        "status": "enabled",
        "state": _state(agent),
        "updated_at": _with_t(_seen_at(agent)),
        "disabled_reason": None,
    }


def _neutron(_: int, agent: Agent) -> dict[str, Any]:
    kind, topic = _NEUTRON_KINDS[agent.binary]
    return {
        "id": agent.id,
        "agent_type": kind,
        "binary": agent.binary,
        "topic": topic,
        "host": agent.host,
        "availability_zone": "nova" if topic != "N/A" else None,
        "admin_state_up": True,
        "alive": agent.last_seen_at is None,
        "created_at": _with_blank(CREATED_AT),
        "started_at": _with_blank(agent.started_at),
        "heartbeat_timestamp": _with_blank(_seen_at(agent)),
        "description": None,
        "configurations": {},
        "resources_synced": None,
    }


def _cinder(_: int, agent: Agent) -> dict[str, Any]:
    row: dict[str, Any] = {
        "binary": agent.binary,
        "host": agent.host,
        "zone": "nova",
        "status": "enabled",
        "state": _state(agent),
        "updated_at": _with_t(_seen_at(agent)),
        "disabled_reason": None,
    }
    if agent.binary == "cinder-volume":
        row |= {"replication_status": "disabled", "active_backend_id": None, "frozen": False}
    return row


def _heat(_: int, agent: Agent) -> dict[str, Any]:
    return {
        "id": make_uuid("row", agent.id),
        "binary": agent.binary,
        "engine_id": agent.id,
        "host": agent.host,
        "hostname": agent.host,
        "topic": "engine",
        "report_interval": REPORTS_EVERY_S["heat"],
        "created_at": _with_t(agent.started_at),
        "updated_at": _with_t(_seen_at(agent)),
        "deleted_at": None,
        "status": _state(agent),
    }


_ROWS: Final[dict[str, Callable[[int, Agent], dict[str, Any]]]] = {
    "nova": _nova,
    "neutron": _neutron,
    "cinder": _cinder,
    "heat": _heat,
}


def _state(agent: Agent) -> str:
    return "up" if agent.last_seen_at is None else "down"


def _seen_at(agent: Agent) -> float:
    """Return when it last reported: for one that is up that is less than an interval ago."""
    if agent.last_seen_at is not None:
        return agent.last_seen_at
    now_s = time.time()
    return max(agent.started_at, now_s - now_s % REPORTS_EVERY_S[agent.service])


def _with_t(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%S.000000}"


def _with_blank(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d %H:%M:%S}"
