"""Reference addresses: what ``[vantage] reference`` names, and the default route's gateway.

Only the gateway needs the kernel's tables; they are read anew for every listing, for the link may come
up later than we.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from downtimer import targets
from downtimer.model import Target

GATEWAY: Final = "gateway"

_ROUTES = Path("/proc/net/route")
_ROUTES_6 = Path("/proc/net/ipv6_route")
_UP_GATEWAY: Final = 0x0003  # RTF_UP | RTF_GATEWAY of route(8)


def references(configured: Iterable[str]) -> Iterator[Target]:
    """Return the targets for what is configured: addresses, and ``gateway``, which there may be none of."""
    for word in configured:
        found = _gateways() if word == GATEWAY else [ipaddress.ip_address(word)]
        yield from map(targets.reference, found)


def _gateways() -> list[targets.Address]:
    found = (parse_routes(_read(_ROUTES)), parse_routes_6(_read(_ROUTES_6)))
    return [gateway for gateway in found if gateway is not None]


def _read(path: Path) -> str:
    """Return a table of the kernel's; without IPv6 (or IPv4) there is none."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def parse_routes(table: str) -> targets.Address | None:
    """Return the gateway of the default route with the least metric in ``/proc/net/route``, or None."""
    found: list[tuple[int, targets.Address]] = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[1] != "00000000" or fields[7] != "00000000":
            continue
        if int(fields[3], 16) & _UP_GATEWAY != _UP_GATEWAY:
            continue
        raw = struct.pack("=I", int(fields[2], 16))  # the kernel prints it in the host's byte order
        found.append((int(fields[6]), ipaddress.IPv4Address(socket.inet_ntoa(raw))))
    return _least(found)


def parse_routes_6(table: str) -> targets.Address | None:
    """Return the same from ``/proc/net/ipv6_route``; link-local gateways cannot be targets."""
    found: list[tuple[int, targets.Address]] = []
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[0].strip("0") or fields[1] != "00":
            continue
        gateway = ipaddress.IPv6Address(bytes.fromhex(fields[4]))
        if int(fields[8], 16) & _UP_GATEWAY != _UP_GATEWAY or gateway.is_link_local:
            continue
        found.append((int(fields[5], 16), gateway))
    return _least(found)


def _least(found: list[tuple[int, targets.Address]]) -> targets.Address | None:
    return min(found, key=lambda item: item[0])[1] if found else None
