"""All checks, one after the other; what one of them finds others use."""

from collections.abc import Callable, Iterator
from typing import Final

from downtimer.config import Config
from downtimer.doctor import cloud, disk, influxdb, machine, network, settings, timekeeping
from downtimer.doctor.bounded import findings_of
from downtimer.doctor.finding import Finding, fail, unknown
from downtimer.errors import ConfigError
from downtimer.model import Kind
from downtimer.workers.finder import Found

_NOTHING_KNOWN: Final = "sign-in, lists, targets, routes, names: not known before the configuration is right"


def examine(load: Callable[[], Config], complete: Callable[[Config], Config]) -> Iterator[Finding]:
    """Yield what every check finds.

    Args:
        load: Reads the configuration.
        complete: Puts its secrets in place.
    """
    yield from findings_of(timekeeping.NAME, timekeeping.examine)
    try:
        given = load()
    except ConfigError as exc:
        yield fail(settings.NAME, str(exc))
        return
    try:
        config = complete(given)
    except ConfigError as exc:
        yield fail(settings.NAME, str(exc))
        yield from findings_of(settings.NAME, lambda: settings.examine_secrecy(given))
        yield from _examine_daemon(given)
        yield unknown(cloud.TARGETS, _NOTHING_KNOWN)
        yield from _examine_here(given, None)
        return
    yield from findings_of(settings.NAME, lambda: settings.examine(given, config))
    yield from _examine_daemon(config)
    found: list[Found] = []

    def look() -> Iterator[Finding]:
        found.append(cloud.look(config))
        yield from cloud.examine(config, found[0])

    yield from findings_of(cloud.SIGN_IN, look, cloud.LISTS_S)
    yield from _examine_here(config, found[0] if found else None)
    if config.db is not None:
        db = config.db
        yield from findings_of(influxdb.NAME, lambda: influxdb.examine(db))


def _examine_daemon(config: Config) -> Iterator[Finding]:
    """Look at what would run here."""
    yield from findings_of(machine.DAEMON, lambda: machine.examine_daemon(config))
    yield from findings_of(machine.UNIT, lambda: machine.examine_unit(config))


def _examine_here(config: Config, found: Found | None) -> Iterator[Finding]:
    """Look at this host and its network."""
    services, addresses = (found.count(kind) if found else 0 for kind in (Kind.SERVICE, Kind.ADDRESS))
    yield from findings_of(network.ICMP, lambda: network.examine_icmp(config, found))
    yield from findings_of(network.REFERENCE, lambda: network.examine_references(config))
    if found is not None:
        yield from findings_of(network.ROUTE, lambda: network.examine_routes(config, found))
        yield from findings_of(network.NAMES, lambda: network.examine_names(found))
    yield from findings_of(disk.DISK, lambda: disk.examine(config, services, addresses))
    yield from findings_of(machine.DESCRIPTORS, lambda: machine.examine_descriptors(services))
