"""Can probes leave: is ICMP permitted, is there a route, do names resolve, do the references answer?"""

import socket
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import urlsplit

from downtimer import targets
from downtimer.config import Config
from downtimer.doctor.echo import round_trip_s
from downtimer.doctor.finding import Finding, fail, ok, warn
from downtimer.model import Kind
from downtimer.source import Source
from downtimer.workers import gateway
from downtimer.workers.echo import EchoSocket
from downtimer.workers.finder import Found
from downtimer.workers.packets import V4, V6, parse
from downtimer.workers.worker import CannotStartError

ICMP: Final = "icmp"
ROUTE: Final = "route"
NAMES: Final = "names"
REFERENCE: Final = "reference"

_SAMPLE: Final = 50
_PORT: Final = 9  # of a UDP socket that sends nothing


def examine_icmp(config: Config, found: Found | None) -> Iterator[Finding]:
    """Open the sockets that echoes would leave from."""
    packed = found.listed.addresses if found is not None else {}
    wanted = (
        [V4]
        if not packed
        else [family for family in (V4, V6) if family.packed_length in set(map(len, packed))]
    )
    for family in wanted:
        version = "IPv4" if family is V4 else "IPv6"
        try:
            opened = EchoSocket(family, Source(config.targets.source))
        except CannotStartError as exc:
            if packed:
                yield fail(ICMP, str(exc))
            elif found is None or found.cloud.away:
                yield warn(ICMP, f"whether addresses are measured is not known yet, but {exc}")
            else:
                yield warn(ICMP, f"no addresses are measured, but {exc}")
            return
        except OSError as exc:
            yield fail(ICMP, f"no socket for echoes of {version}: {exc.strerror}", "look at [targets] source")
            continue
        kind = "raw sockets" if opened.is_raw else "ping sockets"
        opened.close()
        yield ok(ICMP, f"echoes of {version} are permitted to this user ({kind})")


def examine_routes(config: Config, found: Found) -> Iterator[Finding]:
    """See whether the kernel knows how to reach some of the addresses. Nothing is sent."""
    source = Source(config.targets.source)
    addresses = [str(targets.unpack(packed)) for packed in sorted(found.listed.addresses)][:_SAMPLE]
    lost = {address: why for address in addresses if (why := _why_unreachable(address, source)) is not None}
    if lost:
        address, why = next(iter(lost.items()))
        yield fail(
            ROUTE,
            f"{len(lost)} of {len(addresses)} addresses tried can't be reached, as {address}: {why}",
            "look at the routes of this host, and at [targets] source",
        )
    elif addresses:
        yield ok(
            ROUTE,
            f"there is one to {len(addresses)} addresses tried, from {_leaves_from(addresses[0], source)}",
        )


def _leaves_from(address: str, source: Source) -> str:
    with _connected(address, source) as sock:
        return str(sock.getsockname()[0])


def _why_unreachable(address: str, source: Source) -> str | None:
    try:
        _connected(address, source).close()
    except OSError as exc:
        return exc.strerror or str(exc)
    return None


def _connected(address: str, source: Source) -> socket.socket:
    """Return a UDP socket that would send there.

    Raises:
        OSError: There is no way.
    """
    family, _ = parse(address)
    sock = socket.socket(family.number, socket.SOCK_DGRAM)
    try:
        source.bind(sock)
        sock.connect((address, _PORT))
    except BaseException:
        sock.close()
        raise
    return sock


def examine_names(found: Found) -> Iterator[Finding]:
    """Look up the hosts of the services."""
    urls = {target.url: target.name for target in found.listed.others.values() if target.kind is Kind.SERVICE}
    hosts = {host: name for url, name in urls.items() if (host := urlsplit(url or "").hostname)}
    lost = {host: why for host in sorted(hosts) if (why := _why_unknown(host)) is not None}
    for host, why in lost.items():
        yield fail(
            NAMES,
            f"{hosts[host]}: {host} does not resolve ({why})",
            "look at this host's resolver, or at /etc/hosts",
        )
    if hosts and not lost:
        yield ok(NAMES, f"every host of the services resolves, or is an address ({len(hosts)})")


def _why_unknown(host: str) -> str | None:
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        return getattr(exc, "strerror", None) or str(exc)
    return None


def examine_references(config: Config) -> Iterator[Finding]:
    """Send a few echoes to the references."""
    configured = config.vantage.reference
    if not configured:
        yield ok(
            REFERENCE,
            "none, by [vantage] reference: a fault of this host's own link may look like the cloud's",
        )
        return
    names = [target.name for target in gateway.references(configured)]
    if not names:
        yield warn(
            REFERENCE,
            "there is no default gateway",
            "name addresses that always answer in [vantage] reference",
        )
    yield from _answers(names, Source(config.targets.source))


def _answers(names: Iterable[str], source: Source) -> Iterator[Finding]:
    for name in names:
        try:
            took_s = round_trip_s(name, source)
        except (CannotStartError, OSError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "ICMP is not permitted"
            yield warn(REFERENCE, f"{name} can't be asked: {reason}")
            continue
        if took_s is None:
            yield warn(
                REFERENCE,
                f"{name} does not answer echoes, and so proves nothing of this host's own link",
                "name addresses that always answer in [vantage] reference",
            )
        else:
            yield ok(REFERENCE, f"{name} answers in {took_s * 1000:.1f} ms")
