"""What each service of the simulated cloud answers: the table measured on a real OpenStack, as data.

Pure. Used by the service processes (how to answer) and by the cloud (ports and the catalog).
"""

from dataclasses import dataclass, field
from typing import Final

PROJECT: Final = "PROJECT"
"""Stands for the project's id in a path of this table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One service of the catalog.

    Attributes:
        name: The catalog's name, which is what the report shows.
        type: The catalog's type.
        path: Of its catalog URL.
        anonymous: Status of the catalog URL without a token.
        scoped: Status of the catalog URL with one.
    """

    name: str
    type: str
    path: str
    anonymous: int = 200
    scoped: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One process: a port, and how it answers.

    Attributes:
        name: Of the process.
        port: Where a real one listens.
        entries: The services of the catalog that live behind this port.
        root: Status of ``GET /``.
        head: Status of ``HEAD /``.
        health: Status of ``GET /healthcheck``.
        unknown: Status of a path that it does not have.
        keep_alive: True if it keeps connections (and sends Content-Length); the others close them.
        works: Cheap calls that need a token and touch the database.
        database_dead: Status of those calls while the database is dead.
    """

    name: str
    port: int
    entries: tuple[Entry, ...]
    root: int
    head: int
    health: int = 200
    unknown: int = 404
    keep_alive: bool = False
    works: tuple[str, ...] = field(default=())
    database_dead: int = 503


_PROFILES: Final = (
    Profile(
        name="keystone",
        port=5000,
        entries=(Entry(name="keystone", type="identity", path="/v3/"),),
        root=300,
        head=300,
        works=("/v3/services", "/v3/projects"),
        database_dead=500,
    ),
    Profile(
        name="glance",
        port=9292,
        entries=(Entry(name="glance", type="image", path="", anonymous=300, scoped=300),),
        root=300,
        head=300,
        unknown=300,
        works=("/v2/images",),
    ),
    Profile(
        name="placement",
        port=8778,
        entries=(Entry(name="placement", type="placement", path=""),),
        root=200,
        head=405,
        health=401,
        unknown=401,
        works=("/resource_providers",),
    ),
    Profile(
        name="nova",
        port=8774,
        entries=(Entry(name="nova", type="compute", path="/v2.1"),),
        root=200,
        head=200,
        health=300,
        unknown=300,
        works=("/v2.1/flavors", "/v2.1/servers", "/v2.1/servers/detail"),
    ),
    Profile(
        name="neutron",
        port=9696,
        entries=(Entry(name="neutron", type="network", path=""),),
        root=200,
        head=405,
        keep_alive=True,
        works=("/v2.0/networks", "/v2.0/floatingips"),
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
        works=(
            f"/v3/{PROJECT}/volumes",
            f"/v3/{PROJECT}/types",
            f"/v2/{PROJECT}/volumes",
            f"/v2/{PROJECT}/types",
        ),
    ),
    Profile(
        name="heat",
        port=8004,
        entries=(Entry(name="heat", type="orchestration", path=f"/v1/{PROJECT}", anonymous=401, scoped=404),),
        root=300,
        head=300,
        works=(f"/v1/{PROJECT}/stacks",),
    ),
    Profile(
        name="heat-cfn",
        port=8000,
        entries=(Entry(name="heat-cfn", type="cloudformation", path="/v1", anonymous=400, scoped=400),),
        root=300,
        head=300,
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
