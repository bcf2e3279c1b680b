"""What the cloud itself reports of its services that have no API: which lists there are, how they are read.

Pure. Nova, Neutron, Cinder and Heat each keep a list of their programs on all hosts, with the time of each
one's last heartbeat, and call those down that have been silent for too long: by default 60 s at Nova and
Cinder (`service_down_time`), 75 s at Neutron (`agent_down_time`), 120 s at Heat (two reports). So such a
state is late by up to that, and by our own interval; and it says that the heartbeat is missing, not what is.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, NamedTuple

import msgspec

_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


_Word = Annotated[str, msgspec.Meta(max_length=255)]  # the services' own columns are no wider

AGENTS_MAX: Final = 20_000
"""A list with more is not believed."""


class AgentList(NamedTuple):
    """Where a service lists its agents.

    Attributes:
        path: As in `downtimer.checks`.
        name: Of the list in the answer.
    """

    path: str
    name: str


LISTS: Final[Mapping[str, AgentList]] = MappingProxyType(
    {
        "block-storage": AgentList("os-services", "services"),
        "compute": AgentList("os-services", "services"),
        "network": AgentList("/v2.0/agents", "agents"),
        "orchestration": AgentList("services", "services"),
    }
)
"""By official type of service."""


class Agent(NamedTuple):
    """A program on a host."""

    name: str
    host: str


class _Raw(msgspec.Struct):
    """One entry: Nova and Cinder have `state`, Neutron `alive`, Heat `status` (at Nova another matter)."""

    binary: _Word
    host: _Word | None = None
    state: str | None = None
    alive: bool | None = None
    status: str | None = None


_LISTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRIES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ENTRY: Final = msgspec.json.Decoder(_Raw)


def read_agents(body: bytes, name: str) -> dict[Agent, bool]:
    """Return whether each agent is up; entries that are malformed are passed over.

    Of several with one program and host one that is up is enough: Heat keeps the rows of engines that were
    stopped beside those of their successors.

    Args:
        body: What the service answered.
        name: Of the list.

    Raises:
        ValueError: It is no such list.
    """
    try:
        entries = _ENTRIES.decode(_LISTS.decode(body)[name])
    except (*_BROKEN, KeyError) as exc:
        raise ValueError("answered something that is no list of agents") from exc
    if len(entries) > AGENTS_MAX:
        raise ValueError(f"answered with more than {AGENTS_MAX} agents")
    found: dict[Agent, bool] = {}
    for entry in entries:
        try:
            raw = _ENTRY.decode(entry)
        except _BROKEN:
            continue
        is_up = _is_up(raw)
        if is_up is not None and raw.host:
            agent = Agent(raw.binary, raw.host)
            found[agent] = found.get(agent, False) or is_up
    return found


def _is_up(raw: _Raw) -> bool | None:
    """Tell whether it is up; None if that is not said."""
    if raw.alive is not None:
        return raw.alive
    state = raw.state or raw.status
    return state == "up" if state in ("up", "down") else None
