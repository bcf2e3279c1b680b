"""The lists of agents that Nova, Neutron, Cinder and Heat give, and what else may be given."""

import json
from typing import Any

import pytest

from downtimer import agents
from downtimer.agents import LISTS, Agent, read_agents

COMPUTE = {"id": 1, "binary": "nova-compute", "host": "cmp1", "status": "enabled", "state": "up"}
ENGINE = {"binary": "heat-engine", "host": "ctl1", "hostname": "ctl1", "engine_id": "a", "status": "up"}


def read(*entries: Any, name: str = "services") -> dict[Agent, bool]:  # noqa: ANN401 - any JSON
    """Return what a list says."""
    return read_agents(json.dumps({name: entries}).encode(), name)


def test_state_is_what_each_service_calls_it() -> None:
    dhcp = {"binary": "neutron-dhcp-agent", "host": "net1", "alive": False, "agent_type": "DHCP agent"}
    assert read(dhcp, name=LISTS["network"].name) == {Agent("neutron-dhcp-agent", "net1"): False}
    assert read(COMPUTE, {**COMPUTE, "host": "cmp2", "state": "down", "status": "disabled"}) == {
        Agent("nova-compute", "cmp1"): True,
        Agent("nova-compute", "cmp2"): False,
    }
    assert read(ENGINE) == {Agent("heat-engine", "ctl1"): True}


@pytest.mark.parametrize("order", [1, -1])
def test_one_engine_that_is_up_is_enough_beside_rows_of_stopped_ones(order: int) -> None:
    rows = [ENGINE, {**ENGINE, "engine_id": "b", "status": "down"}][::order]
    assert read(*rows) == {Agent("heat-engine", "ctl1"): True}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        "x",
        {},
        {"binary": 1, "host": "h", "state": "up"},
        {**COMPUTE, "host": ""},
        {**COMPUTE, "host": None},
        {**COMPUTE, "state": "sideways"},
        {**COMPUTE, "host": "h" * 256},
        {**COMPUTE, "binary": "b" * 256},
    ],
)
def test_malformed_entry_spoils_no_other(entry: object) -> None:
    assert read(entry, COMPUTE) == {Agent("nova-compute", "cmp1"): True}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"services": 1}', b"\xff", b"[" * 100_000, b'{"s": []}']
)
def test_anything_else_is_no_list(body: bytes) -> None:
    with pytest.raises(ValueError, match="no list of agents"):
        read_agents(body, "services")


def test_agents_without_end_are_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "AGENTS_MAX", 2)
    some = [{**COMPUTE, "host": f"cmp{number}"} for number in range(3)]
    assert len(read(*some[:2])) == 2
    with pytest.raises(ValueError, match="more than 2 agents"):
        read(*some)
