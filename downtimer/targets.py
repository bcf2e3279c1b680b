"""How targets are made and named: the one place that writes ids.

Pure: no I/O. An id is the natural key of its target within a run, and readable:
``service/nova/RegionOne/public/http://h:8774/``, ``static/web/http://h/``, ``address/172.16.1.5``,
``reference/10.0.0.1``. What comes from elsewhere is quoted, so that no two targets have one id.
"""

import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from downtimer.model import Kind, Target, TargetId
from downtimer.sections import StaticSection

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SERVICE = "service"
_STATIC = "static"
_ADDRESS = "address"
_REFERENCE = "reference"
_AGENT = "agent"
_PACKED_4: Final = 4


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


def pack(text: str) -> bytes:
    """Return an address in 4 or 16 bytes, which a hundred thousand of them are kept in.

    Raises:
        ValueError: It is none. With a zone it is none, either.
    """
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, UnicodeEncodeError) as exc:
        raise ValueError(f"{text!r} is no address") from exc


def unpack(packed: bytes) -> Address:
    """Return the address that was packed."""
    return ipaddress.IPv4Address(packed) if len(packed) == _PACKED_4 else ipaddress.IPv6Address(packed)


def reference(at: Address) -> Target:
    """Return the target for an address that tells whether our own link works."""
    return Target(id=TargetId(f"{_REFERENCE}/{at}"), kind=Kind.ADDRESS, name=str(at), reference=True)


def static_services(section: StaticSection) -> Iterator[Target]:
    """Return the services of ``[static]``."""
    return (static_service(name, url) for name, url in section.urls)


def static_addresses(section: StaticSection) -> Iterator[bytes]:
    """Return every address of the blocks of ``[static]``, packed.

    Network and broadcast address, too: floating IPs may be those.
    """
    for block in section.ips:
        network = ipaddress.ip_network(block)
        first, size = int(network.network_address), network.max_prefixlen // 8
        for number in range(first, first + network.num_addresses):
            yield number.to_bytes(size, "big")
