"""What the simulated cloud contains: users, catalog, floating IPs, servers, agents; kept in one JSON file.

The cloud writes the file, atomically; the service processes read it again whenever it changed, so
that lists can change at run time and a restarted service remembers.
"""

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from downtimer.demo.services import PROFILES, endpoint_url


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Someone who may sign in; an admin sees every project."""

    name: str
    password: str
    project_id: str
    admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One URL of the catalog."""

    service: str
    type: str
    region: str
    interface: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatingIp:
    """A floating IP as Neutron knows it; `port_id` is None while it is associated with nothing."""

    id: str
    address: str
    project_id: str
    port_id: str | None = None
    server_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An instance as Nova knows it. `updated`: when that last changed, as Nova writes it."""

    id: str
    name: str
    project_id: str
    status: str = "ACTIVE"
    task_state: str | None = None
    updated: str = "2024-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A process that reports that it lives to the API of its service, which lists it.

    Attributes:
        id: Of its row in that list.
        service: nova, neutron, cinder or heat.
        binary: Its program.
        host: Where it runs; a volume service of Cinder's has its back end behind an ``@``.
        started_at: Seconds since the epoch.
        last_seen_at: When it last reported, likewise; None while it goes on reporting.
    """

    id: str
    service: str
    binary: str
    host: str
    started_at: float
    last_seen_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything.

    Attributes:
        secret: With which tokens are signed, so that any service can check one.
        token_ttl_s: How long a token is valid.
        page_cap: The longest page that Neutron and Nova give; 0 for no cap.
        users: Who may sign in.
        projects: Names by id.
        endpoints: The catalog.
        floatingips: Neutron's list.
        servers: Nova's list.
        agents: Those of Nova, Neutron, Cinder and Heat.
        revoked: Tokens that are no longer accepted.
        forbidden: Names of processes whose lists nobody may have, so that it is as for a user without rights.
        keystone_url: Where services send those who have no valid token; without ``/v3``.
    """

    secret: str
    token_ttl_s: float = 3600.0
    page_cap: int = 0
    users: tuple[User, ...] = ()
    projects: dict[str, str]
    endpoints: tuple[Endpoint, ...] = ()
    floatingips: tuple[FloatingIp, ...] = ()
    servers: tuple[Server, ...] = ()
    agents: tuple[Agent, ...] = ()
    revoked: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    keystone_url: str = ""

    def save(self, path: Path) -> None:
        """Replace the file atomically; it holds a password, so only its owner may read it."""
        scratch = path.with_suffix(".new")
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(self, default=_fields_of))
        scratch.replace(path)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Decode what `save` wrote."""
        content: dict[str, Any] = json.loads(text)
        decoded = {key: tuple(kind(**item) for item in content[key]) for key, kind in _KINDS.items()}
        names = {key: tuple(content[key]) for key in ("revoked", "forbidden")}
        return cls(**content | decoded | names)


_KINDS: Final = {
    "users": User,
    "endpoints": Endpoint,
    "floatingips": FloatingIp,
    "servers": Server,
    "agents": Agent,
}


def _fields_of(kept: Any) -> dict[str, Any]:  # noqa: ANN401 - one of those, or the world
    """Return the fields, as they are: `dataclasses.asdict` copies all that is in them, which takes long."""
    return {field.name: getattr(kept, field.name) for field in fields(kept)}


class WorldFile:
    """Reads the file, again when it changed. Any thread may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._world = World(secret="", projects={})

    def read(self) -> World:
        """Return what the file says now."""
        with self._lock:
            found = os.stat(self._path)  # noqa: PTH116 - one call, on every request
            stamp = (found.st_ino, found.st_mtime_ns)
            if stamp != self._stamp:
                self._world = World.from_json(self._path.read_text())
                self._stamp = stamp
            return self._world


def make_id(*parts: str) -> str:
    """Return 32 hex digits that stand for `parts`, the same in every run."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]


def make_uuid(*parts: str) -> str:
    """Return the same digits written as Neutron and Nova do."""
    digits = make_id(*parts)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def make_catalog(
    bases: dict[str, str],
    *,
    project_id: str,
    regions: Sequence[str] = ("RegionOne",),
    interfaces: Sequence[str] = ("public", "internal", "admin"),
) -> tuple[Endpoint, ...]:
    """Return the endpoints of the given processes, in every region and on every interface.

    Args:
        bases: ``http://host:port`` by the name of the process.
        project_id: For the URLs that carry one.
        regions: Their names.
        interfaces: Their names.
    """
    return tuple(
        Endpoint(
            service=entry.name,
            type=entry.type,
            region=region,
            interface=interface,
            url=endpoint_url(base, entry.path, project_id),
        )
        for name, base in bases.items()
        for entry in PROFILES[name].entries
        for region in regions
        for interface in interfaces
    )


def make_floating(address: str, *, project_id: str, server: Server | None) -> FloatingIp:
    """Return a floating IP, associated if a server is given."""
    return FloatingIp(
        id=make_uuid("floatingip", address),
        address=address,
        project_id=project_id,
        port_id=None if server is None else make_uuid("port", address),
        server_id=None if server is None else server.id,
    )
