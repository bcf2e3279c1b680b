"""A cloud to be upgraded: simulated services and addresses, and a real Keystone that signs users in.

The catalog is Keystone's own. It has the simulated services under the URLs that real ones have, some of them
with the project's id. The simulated Neutron and Nova ask this Keystone whose a token is.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from downtimer.demo.cloud import SERVICE_IP, CloudConfig, SimulatedCloud
from downtimer.demo.services import PROFILES, PROJECT
from downtimer.demo.world import World
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation

PORT = PROFILES["keystone"].port
PROCESSES = 4  # several daemons sign in, and ask again and again
PAGE_CAP = 7  # so that the score of addresses comes in three pages
USER = "upgrader"
SECRET = "9sesameQz"  # what of the password no quoting or escaping changes
PASSWORD = f"%(user)s 100%% \"{SECRET}' %d;#"


class RealCloud:
    """The cloud, from entering to leaving `running`.

    Attributes:
        simulated: Services, addresses and the record of faults.
        keystone: The real one.
    """

    def __init__(self, simulated: SimulatedCloud, keystone: Keystone) -> None:
        self.simulated = simulated
        self.keystone = keystone

    @classmethod
    @contextlib.contextmanager
    def running(cls, installation: KeystoneInstallation, directory: Path) -> Iterator["RealCloud"]:
        """Build it; everything ends with the context."""
        config = CloudConfig(keystone=f"http://{SERVICE_IP}:{PORT}", page_cap=PAGE_CAP)
        with (
            SimulatedCloud(config) as simulated,
            Keystone(
                installation,
                directory,
                host=SERVICE_IP,
                port=PORT,
                prefix=simulated.network.in_cloud([]),
                processes=PROCESSES,
            ) as keystone,
        ):
            _fill(keystone, simulated)
            yield cls(simulated, keystone)

    @property
    def services(self) -> tuple[str, ...]:
        """Names in the catalog, as a report sorts them."""
        names = (name for service in self.simulated.services.values() for name in service.targets)
        return tuple(sorted([*names, "keystone"]))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The floating IPs that are to be measured."""
        return self.simulated.addresses

    def kill_keystone(self) -> None:
        """SIGKILL to all processes of Keystone, on record."""
        self.keystone.kill_on_record(self.simulated.truth, "keystone")

    def start_keystone(self, timeout_s: float) -> None:
        """Start it again, on record; it is up when it answers a client of that patience."""
        self.keystone.start_on_record(self.simulated.truth, "keystone", timeout_s=timeout_s)


def _fill(keystone: Keystone, simulated: SimulatedCloud) -> None:
    """Put services, projects and our user into Keystone, and Keystone's projects into the simulated lists."""
    api = keystone.api
    for service in simulated.services.values():
        for entry in service.profile.entries:
            path = entry.path.replace(PROJECT, "%(project_id)s")
            api.register(entry.name, entry.type, f"{service.url}{path}")
    ids = {
        theirs: keystone.api.project_id(name) if name == keystone.project else api.create_project(name)
        for theirs, name in simulated.world.projects.items()
    }
    simulated.change(lambda world: _with_projects(world, ids))
    api.create_user(USER, PASSWORD, project=keystone.project, role="admin")


def _with_projects(world: World, ids: dict[str, str]) -> World:
    return replace(
        world,
        projects={ids[theirs]: name for theirs, name in world.projects.items()},
        floatingips=tuple(replace(item, project_id=ids[item.project_id]) for item in world.floatingips),
        servers=tuple(replace(item, project_id=ids[item.project_id]) for item in world.servers),
    )
