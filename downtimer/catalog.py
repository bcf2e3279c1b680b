"""What Keystone, Neutron and Nova list, decoded: services, floating IPs, names.

Pure: no I/O. Everything here comes from outside and may be anything: an entry that is malformed is
passed over and named, and never spoils the others.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import msgspec

from downtimer import endpoints, targets
from downtimer.listing import Owner
from downtimer.model import Power, Target
from downtimer.paging import Item, Kind, Malformed
from downtimer.targets import Endpoint

_SHOWN: Final = 120
_NAME_MAX: Final = 255
_Word = Annotated[str, msgspec.Meta(max_length=_NAME_MAX)]  # Keystone's, Nova's and Neutron's are no longer
_ODD_MAX: Final = 1_000
SHOWN_MAX: Final = 20
"""Most regions that are named to who has asked for another."""

ENDPOINTS_MAX: Final = 20_000
"""A catalog with more is not believed beyond that."""

_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Catalog:
    """The endpoints of one interface, in every region or in one.

    Attributes:
        endpoints: Those that can be probed.
        oddities: Entries passed over.
        interfaces: There are endpoints on these; at most `SHOWN_MAX` of them, as of
        regions: There are endpoints of that interface in these.
    """

    endpoints: tuple[Endpoint, ...]
    oddities: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def of_type(self, kind: str) -> dict[str, str]:
        """Return the URL of a service by region; a URL that several regions share stands once."""
        found: dict[str, str] = {}
        urls: set[str] = set()
        for item in self.endpoints:
            if item.type == kind and item.url not in urls and item.region not in found:
                found[item.region] = item.url
                urls.add(item.url)
        return found

    def services(self) -> tuple[Target, ...]:
        """Return the targets, each once.

        A service may be listed under several types with one root (``volumev2``, ``volumev3``). The
        greatest type and URL stand, so that the order of the catalog, which varies, means nothing.
        """
        made: dict[str, Target] = {}
        for item in sorted(self.endpoints, key=lambda item: (item.type, item.url)):
            target = targets.service(item)
            made[target.id] = target
        return tuple(made.values())


class _RawEndpoint(msgspec.Struct):
    interface: _Word
    url: str
    region: _Word | None = None
    region_id: _Word | None = None


class _RawService(msgspec.Struct):
    type: _Word
    endpoints: list[msgspec.Raw]
    name: str | None = None


class _RawToken(msgspec.Struct):
    catalog: list[msgspec.Raw] = []


class _RawAnswer(msgspec.Struct):
    token: _RawToken


class _RawPort(msgspec.Struct, gc=False):
    device_id: _Word | None = None
    device_owner: str | None = None


class RawFloatingIp(Item, kw_only=True, gc=False):
    """A floating IP as Neutron lists it."""

    floating_ip_address: str
    port_id: str | None = None
    project_id: _Word | None = None
    tenant_id: _Word | None = None
    port_details: _RawPort | None = None


class RawNamed(Item, kw_only=True, gc=False):
    """A project as Keystone lists it."""

    id: _Word
    name: _Word


class RawServer(Item, kw_only=True, gc=False):
    """A server as Nova lists it."""

    id: _Word
    name: _Word | None = None
    status: str = ""
    task_state: str | None = msgspec.field(name="OS-EXT-STS:task_state", default=None)
    updated: datetime | None = None


_ANSWER = msgspec.json.Decoder(_RawAnswer)
_SERVICE = msgspec.json.Decoder(_RawService)
_ENDPOINT = msgspec.json.Decoder(_RawEndpoint)

FLOATING: Final = Kind("floatingips", RawFloatingIp)
PROJECTS: Final = Kind("projects", RawNamed)
SERVERS: Final = Kind("servers", RawServer)


def read_catalog(body: bytes, *, interface: str, region: str | None) -> Catalog:
    """Return the catalog in the body of a token.

    Args:
        body: What Keystone answered, JSON.
        interface: Which one to take.
        region: Which one to take; None for all.

    Raises:
        ValueError: It is no token.
    """
    try:
        raw_services = _ANSWER.decode(body).token.catalog
    except _BROKEN as exc:
        raise ValueError(f"the answer is no token: {exc}") from exc
    found: list[Endpoint] = []
    odd: list[str] = []
    there = _There(interface)
    for raw in raw_services:
        service = _decode(_SERVICE.decode, raw)
        if isinstance(service, str):
            _note(odd, f"the catalog has a malformed service: {service}")
            continue
        for raw_endpoint in service.endpoints:
            endpoint = _decode(_ENDPOINT.decode, raw_endpoint)
            if isinstance(endpoint, str):
                _note(odd, f"the catalog has a malformed endpoint of {_shown(service.type)}: {endpoint}")
                continue
            there.note(endpoint)
            if _interface_of(endpoint) == interface and region in (None, _region_of(endpoint)):
                _add_endpoint(service, endpoint, found, odd)
    return Catalog(tuple(found), tuple(odd), tuple(sorted(there.interfaces)), tuple(sorted(there.regions)))


class _There:
    """What there is to choose from: interfaces, and the regions of one of them."""

    def __init__(self, interface: str) -> None:
        self.interfaces: set[str] = set()
        self.regions: set[str] = set()
        self._interface = interface

    def note(self, endpoint: _RawEndpoint) -> None:
        """Note where an endpoint is."""
        interface = _interface_of(endpoint)
        if len(self.interfaces) < SHOWN_MAX:
            self.interfaces.add(interface)
        if interface == self._interface and len(self.regions) < SHOWN_MAX:
            self.regions.add(_region_of(endpoint))


def _interface_of(endpoint: _RawEndpoint) -> str:
    """Return the interface; ``publicURL`` is an old spelling."""
    return endpoint.interface.removesuffix("URL")


def _region_of(endpoint: _RawEndpoint) -> str:
    return endpoint.region_id or endpoint.region or ""


def _add_endpoint(
    service: _RawService, endpoint: _RawEndpoint, found: list[Endpoint], odd: list[str]
) -> None:
    name = service.name or service.type
    if not 0 < len(name) <= _NAME_MAX:
        _note(odd, f"the catalog has a service without a name, or with too long a one: {_shown(name)}")
        return
    if len(found) == ENDPOINTS_MAX:
        _note(odd, f"the catalog has more than {ENDPOINTS_MAX} endpoints; the others are not measured")
        return
    try:
        root = endpoints.probe_root(endpoint.url)
    except ValueError as exc:
        _note(odd, f"the endpoint of {_shown(name)} cannot be probed: {_shown_url(endpoint.url)} {exc}")
        return
    found.append(
        Endpoint(
            service=name,
            type=service.type,
            region=_region_of(endpoint),
            interface=_interface_of(endpoint),
            url=endpoint.url,
            root=root,
        )
    )


def read_floating(items: Iterable[RawFloatingIp | Malformed]) -> tuple[dict[bytes, Owner], list[str]]:
    """Return the associated floating IPs in Neutron's list by packed address, and what was odd about it.

    Where external networks overlap, the first of an address stands. The server is None where the port is
    no server's.
    """
    found: dict[bytes, Owner] = {}
    odd: list[str] = []
    projects: dict[str, str] = {}  # each text once: there are few of them
    for raw in items:
        if isinstance(raw, Malformed):
            _note(odd, f"Neutron lists a malformed floating IP: {_shown(raw.why)}")
            continue
        if not raw.port_id:
            continue
        try:
            packed = _address(raw.floating_ip_address)
        except ValueError:
            _note(odd, f"Neutron lists a floating IP that is no address: {_shown(raw.floating_ip_address)}")
            continue
        project = raw.project_id or raw.tenant_id
        owner = Owner(projects.setdefault(project, project) if project else None, _server_of(raw))
        found.setdefault(packed, owner)
    return found, odd


def _note(odd: list[str], text: str) -> None:
    if len(odd) < _ODD_MAX:  # who reads them shows fewer; a list may have nothing else
        odd.append(text)


def _address(text: str) -> bytes:
    packed = targets.pack(text)
    if not any(packed) or packed[0] in _MULTICAST[len(packed)]:
        raise ValueError("not to be probed")
    return packed


_MULTICAST: Final = {4: range(224, 240), 16: range(255, 256)}
"""First bytes of such addresses, by length."""


def _server_of(raw: RawFloatingIp) -> str | None:
    port = raw.port_details
    if port is None or not (port.device_owner or "").startswith("compute:"):
        return None
    return port.device_id or None


def read_names(items: Iterable[RawNamed | Malformed]) -> Mapping[str, str]:
    """Return names by id from a list; what is malformed is passed over."""
    return {item.id: item.name for item in items if not isinstance(item, Malformed)}


@dataclass(frozen=True, slots=True)
class Server:
    """A server, as Nova lists it. `updated`: when it last changed, by Nova's clock, if that is said."""

    id: str
    name: str | None
    power: Power
    updated: datetime | None


def read_server(raw: RawServer | Malformed) -> Server | None:
    """Return a server of Nova's list; None if it is malformed."""
    if isinstance(raw, Malformed):
        return None
    power = _power_of(raw.status.upper(), (raw.task_state or "").lower())
    return Server(raw.id, raw.name, power, _utc_of(raw.updated))


def _utc_of(updated: datetime | None) -> datetime | None:
    """Return the instant in UTC, which is meant if nothing is said; None if nothing can have changed then."""
    if updated is None or updated.year not in _YEARS:
        return None
    return updated.astimezone(UTC) if updated.tzinfo else updated.replace(tzinfo=UTC)


_YEARS: Final = range(2000, 2200)


def _power_of(status: str, task: str) -> Power:
    """Tell what the owner has done: what has happened, or what is under way."""
    if status in _DELETED or task in _DELETING:
        return Power.DELETED
    if status in _STOPPED or task.startswith(_STOPPING):
        return Power.STOPPED
    return Power.RUNNING


# Of Nova's server states and task states (nova/compute/vm_states.py, task_states.py).
_DELETED = frozenset({"DELETED", "SOFT_DELETED"})
_DELETING = frozenset({"deleting", "soft-deleting"})
_STOPPED = frozenset({"SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED"})
_STOPPING = ("powering-off", "pausing", "suspending", "shelving")


def _decode(decode: Callable[[msgspec.Raw], _T], raw: msgspec.Raw) -> _T | str:
    """Return the entry, or what is wrong with it."""
    try:
        return decode(raw)
    except _BROKEN as exc:
        return _shown(str(exc))


def _shown(text: str) -> str:
    """Return a text from outside as one short printable word for an event."""
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _shown_url(url: str) -> str:
    """Return a URL so, without the password that it may have: events are in every report."""
    scheme, slashes, rest = url.partition("//")
    end = re.search(r"[/?#\\]", rest)
    authority = rest[: end.start()] if end else rest
    _, has_user, host = authority.rpartition("@")
    return _shown(f"{scheme}{slashes}…@{host}{rest[len(authority) :]}" if has_user else url)
