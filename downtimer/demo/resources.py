"""The lists that discovery reads: floating IPs as the simulated Neutron, servers as the simulated Nova."""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from downtimer.demo.api import Calls
from downtimer.demo.httpd import Request, Response, json_response
from downtimer.demo.paging import BadPageError, Item, Ordered, paginate
from downtimer.demo.refusals import forbidden, refusal
from downtimer.demo.services import PROFILES
from downtimer.demo.tokens import Claims
from downtimer.demo.world import FloatingIp, Server, World, WorldFile, make_uuid

_CREATED = "2024-01-01T00:00:00Z"


class Lists:
    """Lists made of one state of the world, until there is another. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._world: World | None = None
        self._made: dict[str | None, Ordered] = {}

    def get(self, world: World, scope: str | None, make: Callable[[], Iterable[Item]]) -> Ordered:
        """Return the list of a project, or of all (None); `make` makes it."""
        with self._lock:
            if world is not self._world:
                self._world, self._made = world, {}
            if scope not in self._made:
                self._made[scope] = Ordered(make())
            return self._made[scope]


class Network:
    """The calls of Neutron."""

    def __init__(self, world: WorldFile) -> None:
        self._world = world
        self._lists = Lists()

    @property
    def calls(self) -> Calls:
        """What this Neutron can do."""
        return Calls(closed={("GET", "/v2.0/floatingips"): self._floatingips}, open={}, documents={})

    def _floatingips(self, request: Request, claims: Claims) -> Response:
        world = self._world.read()
        scope = None if claims.admin else claims.project_id

        def make() -> Iterator[Item]:
            return (_floatingip(item) for item in world.floatingips if scope in (None, item.project_id))

        seen = self._lists.get(world, scope, make)
        return _listed("neutron", "floatingips", seen, request, cap=world.page_cap)


class Compute:
    """The calls of Nova."""

    def __init__(self, world: WorldFile) -> None:
        self._world = world
        self._lists = Lists()

    @property
    def calls(self) -> Calls:
        """What this Nova can do."""
        return Calls(closed={("GET", "/v2.1/servers/detail"): self._servers}, open={}, documents={})

    def _servers(self, request: Request, claims: Claims) -> Response:
        everywhere = request.query.get("all_tenants", "0").lower() in {"1", "true", "yes", ""}
        if everywhere and not claims.admin:
            return forbidden(PROFILES["nova"], request, "os_compute_api:servers:detail:get_all_tenants")
        world = self._world.read()
        since = request.query.get("changes-since")
        scope = None if everywhere else claims.project_id

        def make() -> Iterator[Item]:
            mine = (item for item in world.servers if scope in (None, item.project_id))
            return (_server(item) for item in mine if _is_asked_for(item, since))

        seen = self._lists.get(world, scope, make) if since is None else Ordered(make())
        return _listed("nova", "servers", seen, request, cap=world.page_cap)


def _listed(service: str, name: str, listed: Ordered, request: Request, *, cap: int) -> Response:
    url = f"http://{request.headers.get('host', 'localhost')}{request.path}"
    try:
        page = paginate(listed, request.query, cap=cap, url=url)
    except BadPageError as error:
        return refusal(service, request, 400, str(error))
    content: dict[str, Any] = {name: page.items}
    if page.links:
        content[f"{name}_links"] = page.links
    return json_response(200, content)


def _floatingip(item: FloatingIp) -> Item:
    """Return it with the fields that Neutron gives."""
    bound = item.port_id is not None
    details = {
        "name": "",
        "network_id": make_uuid("network", "private"),
        "mac_address": "fa:16:3e:00:00:01",
        "admin_state_up": True,
        "status": "ACTIVE",
        "device_id": item.server_id or "",
        "device_owner": "compute:nova",
    }
    return {
        "id": item.id,
        "tenant_id": item.project_id,
        "project_id": item.project_id,
        "floating_ip_address": item.address,
        "floating_network_id": make_uuid("network", "public"),
        "router_id": make_uuid("router", item.project_id) if bound else None,
        "port_id": item.port_id,
        "fixed_ip_address": "10.0.0.5" if bound else None,
        "status": "ACTIVE" if bound else "DOWN",
        "port_details": details if bound else None,
        "description": "",
        "dns_domain": "",
        "dns_name": "",
        "tags": [],
        "revision_number": 1,
        "created_at": _CREATED,
        "updated_at": _CREATED,
    }


def _is_asked_for(item: Server, since: str | None) -> bool:
    """Tell whether a server is in the list; a deleted one only is if changes are asked for."""
    if since is None:
        return item.status != "DELETED"
    return datetime.fromisoformat(item.updated) >= datetime.fromisoformat(since)


def _server(item: Server) -> Item:
    """Return it with the fields of Nova's that say who and how it is."""
    return {
        "id": item.id,
        "name": item.name,
        "tenant_id": item.project_id,
        "status": item.status,
        "OS-EXT-STS:task_state": item.task_state,
        "OS-EXT-STS:vm_state": item.status.lower(),
        "OS-EXT-STS:power_state": 1 if item.status == "ACTIVE" else 4,
        "created": _CREATED,
        "updated": item.updated,
    }
