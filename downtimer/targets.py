"""How targets are made and named: the one place that writes ids.

Pure: no I/O. An id is the natural key of its target within a run, and readable:
``service/nova/RegionOne/public/http://h:8774/``, ``static/web/http://h/``, ``address/172.16.1.5``,
``reference/10.0.0.1``. What comes from elsewhere is quoted, so that no two targets have one id.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from downtimer.config import StaticSection
from downtimer.model import Kind, Target, TargetId

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SERVICE = "service"
_STATIC = "static"
_ADDRESS = "address"
_REFERENCE = "reference"
_AGENT = "agent"

REFERENCES: Final = f"{_REFERENCE}/"
"""With what the ids of references begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint of the catalog.

    Attributes:
        service: The catalog's name, or the type where it has none.
        type: The catalog's type.
        region: Empty if the endpoint has none.
        interface: ``public``, ``internal`` or ``admin``.
        url: As the catalog gives it.
        root: What is probed.
    """

    service: str
    type: str
    region: str
    interface: str
    url: str
    root: str


def service(endpoint: Endpoint) -> Target:
    """Return the target for one endpoint of the catalog."""
    parts = (endpoint.service, endpoint.region, endpoint.interface)
    key = "/".join(quote(part, safe="") for part in parts)
    return Target(
        id=TargetId(f"{_SERVICE}/{key}/{endpoint.root}"),
        kind=Kind.SERVICE,
        name=endpoint.service,
        region=endpoint.region,
        interface=endpoint.interface,
        service_type=endpoint.type,
        endpoint=endpoint.url,
        url=endpoint.root,
    )


def static_service(name: str, url: str) -> Target:
    """Return the target for a URL of ``[static]``, which is probed as it stands."""
    return Target(
        id=TargetId(f"{_STATIC}/{quote(name, safe='')}/{url}"),
        kind=Kind.SERVICE,
        name=name,
        endpoint=url,
        url=url,
    )


def agent(owner: Target, name: str, host: str) -> Target:
    """Return the target for a program of a service (``owner``) that runs on a host and has no API."""
    parts = (owner.name, owner.region or "", name, host)
    return Target(
        id=TargetId(f"{_AGENT}/{'/'.join(quote(part, safe='') for part in parts)}"),
        kind=Kind.AGENT,
        name=name,
        region=owner.region,
        service_type=owner.service_type,
        host=host,
    )


def address(
    at: Address,
    *,
    project_id: str | None = None,
    project: str | None = None,
    server_id: str | None = None,
    server: str | None = None,
) -> Target:
    """Return the target for an address. One per address per run, whatever its server."""
    return Target(
        id=address_id(at),
        kind=Kind.ADDRESS,
        name=str(at),
        project_id=project_id,
        project=project,
        server_id=server_id,
        server=server,
    )


def address_id(at: Address) -> TargetId:
    """Return the id of an address's target."""
    return TargetId(f"{_ADDRESS}/{at}")


def reference(at: Address) -> Target:
    """Return the target for an address that tells whether our own link works."""
    return Target(id=TargetId(f"{_REFERENCE}/{at}"), kind=Kind.ADDRESS, name=str(at), reference=True)


def static(section: StaticSection) -> Iterator[Target]:
    """Return the targets of ``[static]``: URLs, then addresses."""
    for name, url in section.urls:
        yield static_service(name, url)
    for at in _expand(section.ips):
        yield address(at)


def _expand(blocks: Iterable[str]) -> Iterator[Address]:
    """Return every address of the blocks: network and broadcast address, too (floating IPs may be those)."""
    for block in blocks:
        yield from ipaddress.ip_network(block)
