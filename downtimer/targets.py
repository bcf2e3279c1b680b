"""How targets are made and named: the one place that writes ids.

Pure: no I/O. An id is the natural key of its target within a run, and readable:
``service/nova/RegionOne/public/http://h:8774/``, ``static/web/http://h/``, ``address/172.16.1.5``,
``reference/10.0.0.1``. What comes from elsewhere is quoted, so that no two targets have one id.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from downtimer.config import StaticSection
from downtimer.model import Kind, Target, TargetId

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SERVICE = "service"
_STATIC = "static"
_ADDRESS = "address"
_REFERENCE = "reference"


def service(name: str, *, region: str, interface: str, service_type: str, endpoint: str, url: str) -> Target:
    """Return the target for one endpoint of the catalog; `url` is its root."""
    key = "/".join(quote(part, safe="") for part in (name, region, interface))
    return Target(
        id=TargetId(f"{_SERVICE}/{key}/{url}"),
        kind=Kind.SERVICE,
        name=name,
        region=region,
        interface=interface,
        service_type=service_type,
        endpoint=endpoint,
        url=url,
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


def is_listed_by_cloud(target: Target) -> bool:
    """Tell whether the target's absence from the cloud's lists can mean anything.

    True also for an address that stands in ``[static]`` alone; who asks knows those.
    """
    return target.id.startswith((f"{_SERVICE}/", f"{_ADDRESS}/"))


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
