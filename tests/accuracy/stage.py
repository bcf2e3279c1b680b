"""The stage: a simulated cloud with targets for each kind of fault, and the real daemon that measures it."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, Self

import trustme

from downtimer.demo.cloud import SERVICE_IP, CloudConfig, SimulatedCloud
from downtimer.demo.responder import Behaviour
from downtimer.demo.serviceprocess import SimulatedService
from tests.accuracy import kinds, plan
from tests.accuracy.kinds import Kind
from tests.accuracy.peers import Peers
from tests.accuracy.plan import Stretch
from tests.accuracy.proxy import Proxy
from tests.integration.command import Command
from tests.waiting import wait_until

KEEPS, CLOSES = "neutron", "nova"
"""Profiles: one that keeps connections, one that closes them."""

QUIET_SERVICES: Final = ("untouched-kept", "untouched-closed", "untouched-proxied")
PER_KIND: Final = 2
"""Addresses with each kind of fault."""

_UNTOUCHED: Final = 6
_PORTS_FROM: Final = 9001
_READY_S: Final = 30.0
_MODES: Final[Mapping[Kind, str]] = {
    kinds.DRIPPING: "drip",
    kinds.RESETTING: "reset",
    kinds.BROKEN: "503",
    kinds.GONE: "404",
}


def _number_addresses() -> Iterator[str]:
    return (f"172.16.166.{last}" for last in range(21, 250))


_NUMBERED = _number_addresses()
ADDRESSES: Final[Mapping[Kind, Sequence[str]]] = {
    kind: [next(_NUMBERED) for _ in range(PER_KIND)] for kind in kinds.ADDRESSES
}
UNTOUCHED: Final = tuple(next(_NUMBERED) for _ in range(_UNTOUCHED))
EVERY_ADDRESS: Final = (*(address for some in ADDRESSES.values() for address in some), *UNTOUCHED)


@dataclass(frozen=True, slots=True)
class Player:
    """Makes and ends the faults of one target.

    Attributes:
        kind: Of the faults.
        target: Its name in the report.
        begin: Begins one.
        end: Ends it.
        prepare: What is to be done before each.
    """

    kind: Kind
    target: str
    begin: Callable[[], object]
    end: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


class Certificates:
    """Of a server, made by an authority of our own.

    Attributes:
        authority: File of the authority's.
        good: File with a good one and its key.
        expired: The same, but that it has expired.
    """

    def __init__(self, directory: Path) -> None:
        made, now = trustme.CA(), dt.datetime.now(dt.UTC)
        self.authority = directory / "authority.pem"
        made.cert_pem.write_to_path(self.authority)
        self.good, self.expired = directory / "good.pem", directory / "expired.pem"
        for file, end in (
            (self.good, now + dt.timedelta(days=1)),
            (self.expired, now - dt.timedelta(hours=1)),
        ):
            issued = made.issue_cert(SERVICE_IP, not_before=now - dt.timedelta(days=2), not_after=end)
            issued.private_key_and_cert_chain_pem.write_to_path(file)


class Stage:
    """Everything, from entering to leaving.

    Attributes:
        cloud: The simulated one.
        proxy: In front of some of its services.
        proxied: Names of these.
        players: One for each target that is to have faults.
        command: downtimer, configured to measure all of it.
    """

    def __init__(self, directory: Path) -> None:
        self.players: list[Player] = []
        self._directory = directory
        self._exit = ExitStack()
        self._ports = iter(range(_PORTS_FROM, _PORTS_FROM + 100))
        self._acting = threading.Lock()  # the responder takes one order at a time

    def __enter__(self) -> Self:
        """Build it."""
        try:
            config = CloudConfig(services=(), addresses=EVERY_ADDRESS, unassociated=())
            self.cloud = self._exit.enter_context(SimulatedCloud(config))
            self._certificates = Certificates(self._directory)
            self._urls = {**self._direct_services(), **self._proxied_services()}
            self._build_addresses()
            prefix = self.cloud.network.in_vantage([])
            self.command = Command(self._directory, prefix=prefix, sections=self._sections())
            self._exit.callback(self.command.end)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._exit.close()

    # --- what is on it ---

    def _direct_services(self) -> dict[str, str]:
        """Start the services that are asked directly; return their URLs by name."""
        kept = self._service(KEEPS, kinds.KILLED_KEPT.name)
        closed = self._service(CLOSES, kinds.KILLED_CLOSED.name)
        hung = self._service(CLOSES, kinds.HUNG.name)
        expired = self._service(CLOSES, kinds.EXPIRED.name, certificate=self._certificates.good)
        self.players += (
            _killer(kinds.KILLED_KEPT, kept),
            _killer(kinds.KILLED_CLOSED, closed),
            Player(kinds.HUNG, kinds.HUNG.name, hung.stop_signal, hung.continue_signal),
            Player(
                kinds.EXPIRED,
                kinds.EXPIRED.name,
                partial(expired.set_certificate, self._certificates.expired),
                partial(expired.set_certificate, None),
            ),
        )
        for kind, mode in _MODES.items():
            service = self._service(CLOSES, kind.name)
            begin, end = partial(service.set_mode, mode), partial(service.set_mode, "normal")
            self.players.append(Player(kind, kind.name, begin, end))
        for name, profile in zip(QUIET_SERVICES, (KEEPS, CLOSES), strict=False):
            self._service(profile, name)
        return {name: f"{service.url}/" for name, service in self.cloud.services.items()}

    def _proxied_services(self) -> dict[str, str]:
        """Start the services behind HAProxy, and it; return their URLs there by name."""
        *_, untouched = QUIET_SERVICES
        single, balanced = kinds.PROXIED.name, kinds.BALANCED.name
        one = self._service(CLOSES, single)
        three = [self._service(CLOSES, name) for name in (balanced, f"{balanced}-2", f"{balanced}-3")]
        quiet = self._service(CLOSES, untouched)
        self.players += (_killer(kinds.PROXIED, one), _killer(kinds.BALANCED, three[0]))
        backends = {single: [one], balanced: three, untouched: [quiet]}
        proxy = Proxy(
            self.cloud,
            SERVICE_IP,
            {
                name: [service.url.removeprefix("http://") for service in some]
                for name, some in backends.items()
            },
        )
        self.proxy = self._exit.enter_context(proxy)
        self.proxied = tuple(backends)
        return {name: proxy.url(name) for name in backends}

    def _build_addresses(self) -> None:
        cloud = self.cloud
        impaired = {
            kinds.DELAYED: Behaviour(delay_s=1.3),
            kinds.MISSENT: Behaviour(source=UNTOUCHED[0]),
            kinds.LOSSY: Behaviour(loss=0.3),
            kinds.DOUBLED: Behaviour(copies=2, delay_s=0.05, jitter_s=0.4),
        }
        for kind, addresses in ADDRESSES.items():
            for address in addresses:
                if kind in impaired:
                    is_outage = kind.measure is kinds.Measure.DOWN
                    begin = partial(cloud.impair, address, behaviour=impaired[kind], is_outage=is_outage)
                else:
                    begin = partial(cloud.drop if kind is kinds.DROPPED else cloud.reject, address)
                end = partial(cloud.restore, address)
                self.players.append(Player(kind, address, partial(self._act, begin), partial(self._act, end)))

    def _act(self, act: Callable[[], None]) -> None:
        with self._acting:
            act()

    def _service(self, profile: str, name: str, *, certificate: Path | None = None) -> SimulatedService:
        return self.cloud.start_service(profile, alias=name, port=next(self._ports), certificate=certificate)

    def _sections(self) -> dict[str, dict[str, str]]:
        return {
            "global": {"cacert": str(self._certificates.authority)},
            "static": {
                "urls": " ".join(f"{name}={url}" for name, url in self._urls.items()),
                "ips": " ".join(EVERY_ADDRESS),
            },
            "vantage": {"name": "accuracy"},
        }

    # --- what is played ---

    def peers(self) -> Peers:
        """Start the peers."""
        return Peers(self.cloud, self._urls, EVERY_ADDRESS, self._certificates.authority)

    def measure(self) -> None:
        """Start the daemon, and wait until everything is seen up."""
        self.command.ok("start")

        def are_up() -> bool:
            targets = self.command.status()["targets"]
            return all(
                targets[kind]["up"] == len(wanted)
                for kind, wanted in (("service", self._urls), ("address", EVERY_ADDRESS))
            )

        wait_until(are_up, timeout_s=_READY_S, what="everything to be up")

    def play(self, seed: int, count: int) -> None:
        """Play so many faults of each service, and as many on the addresses of each kind together."""
        random = Random(seed)  # noqa: S311 - a plan that can be played again
        plans = [
            plan.draw(random, count if player.target in self._urls else -(-count // PER_KIND))
            for player in self.players
        ]
        begun_s = time.monotonic()
        with ThreadPoolExecutor(max_workers=len(self.players)) as threads:
            playing = [
                threads.submit(_play, *each, begun_s) for each in zip(self.players, plans, strict=True)
            ]
            for one in playing:
                one.result()
        _wait_until(begun_s + plan.length_s(plans))


def _killer(kind: Kind, service: SimulatedService) -> Player:
    return Player(kind, kind.name, service.kill, service.start, service.prepare)


def _play(player: Player, stretches: Sequence[Stretch], begun_s: float) -> None:
    for stretch in stretches:
        player.prepare()
        _wait_until(begun_s + stretch.begin_s)
        player.begin()
        _wait_until(begun_s + stretch.end_s)
        player.end()


def _wait_until(at_s: float) -> None:
    time.sleep(max(at_s - time.monotonic(), 0.0))
