"""What each service of the simulated cloud answers: the table measured on a real OpenStack, as data.

Pure. Used by the service processes (how to answer) and by the cloud (ports and the catalog). What was
not measured is from the services' sources: where request ids are, who may make which call.
"""

import enum
from dataclasses import dataclass
from typing import Final

PROJECT: Final = "PROJECT"
"""Stands for the project's id in a path of this table."""


class Part(enum.StrEnum):
    """What of a service a request is for: a real one sends it through a pipeline of its own."""

    ROOT = "root"  # the list of its versions
    HEALTH = "health"  # /healthcheck
    ENTRY = "entry"  # the catalog URL where that is not the root
    CALL = "call"  # what it does for those who have a token
    UNKNOWN = "unknown"  # what it does not have


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One service of the catalog.

    Attributes:
        name: The catalog's name, which is what the report shows.
        type: The catalog's type.
        path: Of its catalog URL.
        anonymous: Status of the catalog URL without a token.
        scoped: Status of the catalog URL with one; another only where that is 401.
    """

    name: str
    type: str
    path: str
    anonymous: int = 200
    scoped: int = 200


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that can be had for a token, from the database.

    Attributes:
        path: Of the ``GET``.
        policy: Name of the rule that says who may have it.
        admin_only: Whether that is an admin; to others it is forbidden.
    """

    path: str
    policy: str
    admin_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One process: a port, and how it answers.

    Attributes:
        name: Of the process.
        port: Where a real one listens.
        entries: The services of the catalog that live behind this port.
        root: Status of ``GET /``.
        head: Status of ``HEAD /``.
        health: Status of ``GET /healthcheck``; where that is 401 it is 404 with a token.
        healthy: What that says if it is 200: nothing where no check of health is configured.
        unknown: Status of a path that it does not have; 401 as above.
        keep_alive: True if it keeps connections (and sends Content-Length and Date, as eventlet does);
            the others close them.
        delays: True if the service itself turns away who has no valid token, not keystonemiddleware. So
            it says 401 also of tokens that could not be checked.
        headers: What every answer of its own carries, all but ``/healthcheck``.
        numbered: The parts whose answers carry a request id.
        id_headers: The headers that it is in.
        listings: Calls that need a token and touch the database.
        database_dead: Status of those calls while the database is dead.
    """

    name: str
    port: int
    entries: tuple[Entry, ...]
    root: int
    head: int
    health: int = 200
    healthy: str = "OK"
    unknown: int = 404
    keep_alive: bool = False
    delays: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    numbered: frozenset[Part] = frozenset(Part)
    id_headers: tuple[str, ...] = ("x-openstack-request-id",)
    listings: tuple[Listing, ...] = ()
    database_dead: int = 500

    def listing(self, path: str) -> Listing | None:
        """Return the list at that path; None if there is none."""
        return next((item for item in self.listings if matches(item.path, path)), None)


def _volume_listings(version: str) -> tuple[Listing, ...]:
    base = f"/{version}/{PROJECT}"
    return (
        Listing(f"{base}/volumes", "volume:get_all"),
        Listing(f"{base}/types", "volume_extension:type_get_all"),
        Listing(f"{base}/os-services", "volume_extension:services:index", admin_only=True),
    )


_PROFILES: Final = (
    Profile(
        name="keystone",
        port=5000,
        entries=(Entry(name="keystone", type="identity", path="/v3/"),),
        root=300,
        head=300,
        healthy="",
        headers=(("Vary", "X-Auth-Token"),),
        listings=(
            Listing("/v3/services", "identity:list_services", admin_only=True),
            Listing("/v3/projects", "identity:list_projects", admin_only=True),
        ),
    ),
    Profile(
        name="glance",
        port=9292,
        entries=(Entry(name="glance", type="image", path="", anonymous=300, scoped=300),),
        root=300,
        head=300,
        unknown=300,
        delays=True,
        numbered=frozenset({Part.CALL}),
        listings=(Listing("/v2/images", "get_images"),),
    ),
    Profile(
        name="placement",
        port=8778,
        entries=(Entry(name="placement", type="placement", path=""),),
        root=200,
        head=405,
        health=401,
        unknown=401,
        listings=(Listing("/resource_providers", "placement:resource_providers:list", admin_only=True),),
    ),
    Profile(
        name="nova",
        port=8774,
        entries=(Entry(name="nova", type="compute", path="/v2.1"),),
        root=200,
        head=200,
        health=300,
        unknown=300,
        numbered=frozenset({Part.ENTRY, Part.CALL}),
        id_headers=("x-openstack-request-id", "x-compute-request-id"),
        listings=(
            Listing("/v2.1/flavors", "os_compute_api:flavors"),
            Listing("/v2.1/servers", "os_compute_api:servers:index"),
            Listing("/v2.1/servers/detail", "os_compute_api:servers:detail"),
            Listing("/v2.1/os-services", "os_compute_api:os-services:list", admin_only=True),
        ),
    ),
    Profile(
        name="neutron",
        port=9696,
        entries=(Entry(name="neutron", type="network", path=""),),
        root=200,
        head=405,
        keep_alive=True,
        numbered=frozenset({Part.CALL}),
        listings=(
            Listing("/v2.0/networks", "get_network"),
            Listing("/v2.0/floatingips", "get_floatingip"),
            Listing("/v2.0/agents", "get_agent"),  # others than admins get an empty list
        ),
        database_dead=503,
    ),
    Profile(
        name="cinder",
        port=8776,
        entries=(
            Entry(name="cinder", type="volumev3", path=f"/v3/{PROJECT}", anonymous=401, scoped=404),
            Entry(name="cinderv2", type="volumev2", path=f"/v2/{PROJECT}", anonymous=401, scoped=404),
        ),
        root=300,
        head=300,
        listings=(*_volume_listings("v3"), *_volume_listings("v2")),
    ),
    Profile(
        name="heat",
        port=8004,
        entries=(Entry(name="heat", type="orchestration", path=f"/v1/{PROJECT}", anonymous=401, scoped=404),),
        root=300,
        head=300,
        healthy="",
        numbered=frozenset(Part) - {Part.HEALTH},
        listings=(
            Listing(f"/v1/{PROJECT}/stacks", "stacks:index"),
            Listing(f"/v1/{PROJECT}/services", "service:index", admin_only=True),
        ),
    ),
    Profile(
        name="heat-cfn",
        port=8000,
        entries=(Entry(name="heat-cfn", type="cloudformation", path="/v1", anonymous=400, scoped=400),),
        root=300,
        head=300,
        healthy="",
        numbered=frozenset(Part) - {Part.HEALTH},
    ),
)

PROFILES: Final = {profile.name: profile for profile in _PROFILES}
"""Every process that the simulated cloud can run, by name."""

HOWTO: Final = ("keystone", "glance", "nova", "neutron", "cinder", "heat", "heat-cfn")
"""The processes behind the eight services of the howto's example report."""


def profile_of(service: str) -> Profile:
    """Return the process behind a service of the catalog: ``cinderv2`` is served by ``cinder``.

    Raises:
        KeyError: There is no such service.
    """
    for profile in _PROFILES:
        if service in {entry.name for entry in profile.entries}:
            return profile
    raise KeyError(service)


def endpoint_url(base: str, path: str, project_id: str) -> str:
    """Return a catalog URL: `base` is ``http://host:port``, `path` an entry's."""
    return base + path.replace(PROJECT, project_id)


def matches(pattern: str, path: str) -> bool:
    """Whether a path is the one that a row of the table means; a project's id is not compared."""
    wanted, given = pattern.strip("/").split("/"), path.strip("/").split("/")
    return len(wanted) == len(given) and all(
        want in (PROJECT, have) for want, have in zip(wanted, given, strict=True)
    )
