"""A simulated cloud with so many floating IPs that its lists have many pages; all answer on this host."""

import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from downtimer.demo.cloud import CloudConfig, SimulatedCloud, make_world
from downtimer.demo.world import Server

PAGE_CAP: Final = 1_000
FIRST: Final = ipaddress.ip_address("127.16.0.0")
SERVICES: Final = ("keystone", "nova", "neutron")


@contextlib.contextmanager
def large_cloud(count: int) -> Iterator[SimulatedCloud]:
    """Run one, each of whose addresses has a server of its own, in three projects."""
    given = CloudConfig(network="none", services=SERVICES, page_cap=PAGE_CAP, unassociated=())
    with SimulatedCloud(given) as cloud:
        full = make_world(given, [str(FIRST + number) for number in range(count)])
        servers = tuple(_changed(number, server) for number, server in enumerate(full.servers))
        cloud.change(lambda world: replace(world, floatingips=full.floatingips, servers=servers))
        yield cloud


def _changed(number: int, server: Server) -> Server:
    """Have a server changed last at some time of a year, so that Nova is not asked for all of them again."""
    month, day, hour, minute = 1 + number % 12, 1 + number % 28, number % 24, number % 60
    return replace(server, updated=f"2024-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z")
