"""A simulated cloud on this machine: real processes that answer, real addresses that come and go.

::

    with SimulatedCloud(CloudConfig()) as cloud:
        daemon = cloud.run_in_vantage(["downtimer", "start", "--config", "conf.ini"])
        cloud.service("nova").kill()
        cloud.drop("172.16.166.151")
        ...
        cloud.service("nova").start()
        cloud.restore("172.16.166.151")
        cloud.truth.faults

Where no network namespace is to be had, and with ``network="none"``, the services are on 127.0.0.1
and there are no addresses.
"""

import contextlib
import ipaddress
import random
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Self

from downtimer.demo.agents import changed, make_agents
from downtimer.demo.impairment import Echo, Impairer
from downtimer.demo.netns import AUTO, Namespaces, NoNamespaceError
from downtimer.demo.processes import DemoError, Spawner, kill
from downtimer.demo.responder import Behaviour
from downtimer.demo.serviceprocess import Place, SimulatedService, Surroundings
from downtimer.demo.services import HOWTO, PROFILES, profile_of
from downtimer.demo.tokens import RETRIES
from downtimer.demo.truth import Bracket, Fault, Truth
from downtimer.demo.world import Server, User, World, make_catalog, make_floating, make_id, make_uuid

NONE: Final = "none"
SERVICE_IP: Final = "172.29.236.10"
_FIRST_ADDRESS = "172.16.166.151"
ADDRESSES: Final = tuple(str(ipaddress.ip_address(_FIRST_ADDRESS) + index) for index in range(20))
"""The score of floating IPs of the howto's example report."""

_LOOPBACK = "127.0.0.1"
_PROJECTS = ("admin", "demo", "shop")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudConfig:
    """What to simulate.

    Attributes:
        services: Names of processes (`downtimer.demo.services.PROFILES`).
        addresses: Floating IPs that are associated with a server.
        unassociated: Floating IPs that are not, though they answer.
        network: ``auto``, ``user``, ``root`` (NoNamespaceError where that is not to be had) or ``none``.
        host: Where the services listen; None for 172.29.236.10, or 127.0.0.1 without a network.
        regions: Of the catalog.
        user: Who may sign in, as admin of the project admin.
        password: And how.
        token_ttl_s: How long a token is valid.
        page_cap: The longest page of Neutron and Nova; 0 for no cap.
        keystone: URL of a real Keystone beside this cloud, reachable from where the services are;
            none is simulated then.
        validates: Whether services ask the simulated Keystone whose a token is, once in 300 s, as real
            ones do; otherwise they check its signature by themselves.
        keystone_retries: How often who has reached it before tries again, after 0.5 s, 1 s, 2 s, if it
            does not answer.
        workers: Connections that a service under "uWSGI" takes at a time; 0 for no limit.
    """

    services: tuple[str, ...] = HOWTO
    addresses: tuple[str, ...] = ADDRESSES
    unassociated: tuple[str, ...] = ("172.16.166.200",)
    network: str = AUTO
    host: str | None = None
    regions: tuple[str, ...] = ("RegionOne",)
    user: str = "admin"
    password: str = "secret"  # noqa: S105 - the howto's, of a cloud that is not one
    token_ttl_s: float = 3600.0
    page_cap: int = 0
    keystone: str | None = None
    validates: bool = False
    keystone_retries: int = RETRIES
    workers: int = 0


class SimulatedCloud:
    """Everything, from entering it to leaving it; leaving ends every process that it started.

    Attributes:
        config: What was asked for.
        truth: The record of all faults.
        directory: A temporary one, removed at the end.
        services: The processes by name.
        no_network: Why there are no namespaces; empty if there are.
    """

    def __init__(self, config: CloudConfig | None = None) -> None:
        self.config = config or CloudConfig()
        self.truth = Truth()
        self.directory = Path()
        self.services: dict[str, SimulatedService] = {}
        self.no_network = ""
        self._network: Namespaces | None = None
        self._impairer: Impairer | None = None
        self._spawner = Spawner()
        self._started: list[subprocess.Popen[bytes]] = []
        self._world: World | None = None
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def network(self) -> Namespaces:
        """The namespaces.

        Raises:
            DemoError: This cloud has none.
        """
        if self._network is None:
            raise DemoError("this cloud has no network: only its services, on 127.0.0.1")
        return self._network

    @property
    def has_network(self) -> bool:
        """Whether there are addresses that can be taken down."""
        return self._network is not None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The floating IPs to be measured; none without a network."""
        return self.config.addresses if self.has_network else ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Everything that a report on this cloud has a line for."""
        names = (name for service in self.services.values() for name in service.targets)
        return (*names, *self.addresses)

    @property
    def keystone_url(self) -> str:
        """What belongs into a configuration: without ``/v3``."""
        return self.config.keystone or self.services["keystone"].url

    @property
    def world(self) -> World:
        """What the cloud contains at present."""
        if self._world is None:
            raise DemoError("the simulated cloud is not running")
        return self._world

    def change(self, alter: Callable[[World], World]) -> None:
        """Change what the cloud contains: its lists, its users, how long a token is valid."""
        self._world = alter(self.world)
        self._world.save(self._world_path)

    def service(self, name: str) -> SimulatedService:
        """Return the process behind a service of the catalog: ``cinderv2`` is served by ``cinder``."""
        try:
            return self.services[profile_of(name).name]
        except KeyError:
            raise DemoError(f"the simulated cloud has no service {name}") from None

    def drop(self, *addresses: str) -> None:
        """Make addresses silent."""
        self._record("drop", addresses, self.network.drop(addresses))

    def reject(self, *addresses: str) -> None:
        """Have the router answer for addresses that they are unreachable."""
        self._record("reject", addresses, self.network.reject(addresses))

    def impair(self, *addresses: str, behaviour: Behaviour, is_outage: bool) -> None:
        """Have addresses answer late, seldom, twice, out of order or from elsewhere.

        Args:
            addresses: Which; IPv4 only.
            behaviour: How.
            is_outage: Whether that makes every probe fail, as a delay beyond its timeout does.
        """
        if self._impairer is None:
            self._impairer = Impairer(self._spawner, self.network, self.directory / "echoes")
            self._exit.callback(self._impairer.close)
        gone = self._impairer.impair(addresses, behaviour)
        self._record(f"impair {behaviour}", addresses, gone, partial=not is_outage)

    def echoes(self, address: str) -> list[Echo]:
        """Return what came of every request to an address while it was impaired."""
        return [] if self._impairer is None else self._impairer.echoes(address)

    def restore(self, *addresses: str) -> None:
        """End what `drop`, `reject` and `impair` began."""
        back = self.network.restore(addresses)
        if self._impairer is not None:
            self._impairer.forget(addresses)
        for address in addresses:
            self.truth.end(address, back)

    def set_server(self, address: str, status: str, task_state: str | None = None) -> None:
        """Have Nova report the server behind a floating IP so from now on. Nothing is done to the address."""
        (server_id,) = {item.server_id for item in self.world.floatingips if item.address == address}
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

        def alter(world: World) -> World:
            changed = (
                replace(item, status=status, task_state=task_state, updated=now)
                if item.id == server_id
                else item
                for item in world.servers
            )
            return replace(world, servers=tuple(changed))

        self.change(alter)

    def set_agent(self, binary: str, host: str, *, is_up: bool) -> None:
        """Have its service report an agent so from now on; of Heat's engines all that are on the host.

        Nothing is done to anything else. Engines that come up are new ones; the old stay down beside them.

        Raises:
            DemoError: There is no such agent.
        """
        agents = changed(self.world.agents, binary, host, is_up=is_up, now_s=time.time())
        self.change(lambda world: replace(world, agents=agents))

    def cut_link(self) -> Bracket:
        """Cut the vantage's link to everything. No fault of any target; return when."""
        return self.network.set_link(up=False)

    def mend_link(self) -> Bracket:
        """Mend it; return when."""
        return self.network.set_link(up=True)

    def run_in_vantage(self, argv: Sequence[str], **pipes: int | IO[Any]) -> subprocess.Popen[bytes]:
        """Start a program where the measurement is made; it is ended with the cloud.

        Args:
            argv: The program and its arguments. The process started becomes it.
            pipes: ``stdin``, ``stdout``, ``stderr`` as for Popen.
        """
        command = self._network.in_vantage(argv) if self._network is not None else argv
        return self._run(command, pipes)

    def run_in_cloud(self, argv: Sequence[str], **pipes: int | IO[Any]) -> subprocess.Popen[bytes]:
        """Start a program where the services are, for instance a real Keystone."""
        return self._run(self._inside(argv), pipes)

    def start_service(
        self, name: str, *, alias: str | None = None, port: int | None = None, certificate: Path | None = None
    ) -> SimulatedService:
        """Add a process; it answers, but is in no catalog yet.

        Args:
            name: Of its profile.
            alias: Under which it is known here, where there are several with one profile.
            port: Where it listens; None for the profile's own.
            certificate: File with certificate and key, if it is to speak TLS.
        """
        host = self.config.host or (SERVICE_IP if self.has_network else _LOOPBACK)
        if port is None:
            port = PROFILES[name].port if self.has_network else find_port()
        around = Surroundings(
            spawner=self._spawner,
            truth=self.truth,
            world=self._world_path,
            inside=self._inside,
            keystone=self._keystone_for(name),
            keystone_retries=self.config.keystone_retries,
            workers=self.config.workers,
        )
        place = Place(host, port, certificate)
        service = SimulatedService(PROFILES[name], around, place, alias=alias)
        service.start()
        self._exit.callback(service.close)
        self.services[alias or name] = service
        return service

    @property
    def _world_path(self) -> Path:
        return self.directory / "world.json"

    def _build(self) -> None:
        self._exit.callback(self._spawner.close)
        self.directory = Path(tempfile.mkdtemp(prefix="downtimer-cloud-"))
        self._exit.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self._make_network()
        self._exit.callback(self._end_started)
        self._world = make_world(self.config, self.addresses)
        self.change(lambda world: world)
        for name in sorted(self.config.services, key=lambda name: name != "keystone"):  # the others ask it
            if not (name == "keystone" and self.config.keystone):
                self.start_service(name)
        self.publish_catalog()

    def publish_catalog(self) -> None:
        """Put every service that runs into the catalog."""
        bases = {name: service.url for name, service in self.services.items()}
        project_id = make_id("project", "admin")
        catalog = make_catalog(bases, project_id=project_id, regions=self.config.regions)
        keystone_url = self.config.keystone or bases.get("keystone", "")
        self.change(lambda world: replace(world, endpoints=catalog, keystone_url=keystone_url))

    def _keystone_for(self, name: str) -> str | None:
        """Return which Keystone a service asks; None if it asks none."""
        if self.config.keystone is not None or not self.config.validates or name == "keystone":
            return self.config.keystone
        return self.keystone_url

    def _make_network(self) -> None:
        if self.config.network == NONE:
            self.no_network = "none was asked for"
            return
        try:
            self._network = Namespaces(self._spawner, self.config.network)
        except NoNamespaceError as error:
            if self.config.network != AUTO:
                raise
            self.no_network = str(error)
            return
        self._exit.callback(self._network.close)
        host = self.config.host or SERVICE_IP
        self._network.add([host, *self.config.addresses, *self.config.unassociated])

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return list(argv) if self._network is None else self._network.in_cloud(argv)

    def _run(self, argv: Sequence[str], pipes: Mapping[str, int | IO[Any]]) -> subprocess.Popen[bytes]:
        process = self._spawner.start(
            argv,
            stdin=pipes.get("stdin", subprocess.DEVNULL),
            stdout=pipes.get("stdout"),
            stderr=pipes.get("stderr"),
        )
        self._started.append(process)
        return process

    def _end_started(self) -> None:
        for process in self._started:
            kill(process)

    def _record(self, what: str, addresses: Sequence[str], when: Bracket, *, partial: bool = False) -> None:
        for address in addresses:
            self.truth.begin(Fault(target=address, what=what, start=when, partial=partial))


def make_world(config: CloudConfig, addresses: Sequence[str]) -> World:
    """Return the contents of a new cloud: every address with a server of its own, in three projects."""
    projects = {make_id("project", name): name for name in _PROJECTS}
    ids = list(projects)
    servers = tuple(
        Server(id=make_uuid("server", address), name=f"vm-{index + 1}", project_id=ids[index % len(ids)])
        for index, address in enumerate(addresses)
    )
    bound = [
        make_floating(address, project_id=server.project_id, server=server)
        for address, server in zip(addresses, servers, strict=True)
    ]
    free = [make_floating(address, project_id=ids[0], server=None) for address in config.unassociated]
    users = (
        User(name=config.user, password=config.password, project_id=ids[0], admin=True),
        User(name="demo", password=config.password, project_id=ids[1]),
    )
    return World(
        secret=secrets.token_hex(32),
        token_ttl_s=config.token_ttl_s,
        page_cap=config.page_cap,
        users=users,
        projects=projects,
        floatingips=(*bound, *free),
        servers=servers,
        agents=make_agents(),
    )


def find_port() -> int:
    """Return a free port of 127.0.0.1 that no outgoing connection will take while its server is down.

    Such a connection could even meet itself, and a dead service seem alive. So it is one below the
    kernel's range for them.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(10240, min(first, 32768)), 200):
        with contextlib.suppress(OSError), socket.create_server((_LOOPBACK, port)):
            return port
    raise DemoError("no free port on 127.0.0.1")
