"""Can we sign in, and what would be measured? Uses what discovery uses, once."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from downtimer import complaints
from downtimer.account import Account, Method
from downtimer.clock import RunClock, tie
from downtimer.config import Config
from downtimer.control.wording import count
from downtimer.doctor.bounded import Silence
from downtimer.doctor.finding import Finding, fail, ok, warn
from downtimer.model import SECOND_NS, Kind, Target, TargetId
from downtimer.workers.cloud import KEYSTONE, CloudList
from downtimer.workers.finder import Finder, Found

LISTS_S: Final = 60.0
"""For the lists of a large cloud, as long as they get on."""

SIGN_IN: Final = "sign-in"
LISTS: Final = "lists"
TARGETS: Final = "targets"

_ADMIN: Final = "admin"
_NAMES_MAX: Final = 40
_ODDITIES_MAX: Final = 3


class _Open:
    """Lets every list be asked for at once: nobody makes calls that might hang."""

    def begin_listing(self) -> None:
        """Nothing is to be prepared."""

    def wait(self, service: TargetId) -> bool:  # noqa: ARG002 - as `Waits` has it
        """Do not wait."""
        return True


def look(config: Config) -> Found:
    """List once what there is to measure.

    Args:
        config: With its secrets.

    Raises:
        DowntimerError: The configuration does not allow to talk to the cloud.
    """
    silence = Silence()
    finder = Finder(config, RunClock(tie()), _Open(), tell=silence.heard, got_on=silence.heard)
    silence.begin(finder.cut)
    try:
        return finder.find()
    finally:
        silence.close()


def examine(config: Config, found: Found) -> Iterator[Finding]:
    """Say what came of it."""
    if config.account is not None:
        yield from _sign_in(config.account, found.cloud)
    if KEYSTONE not in found.cloud.away:
        yield from _lists(found.cloud)
    yield from _targets(config, found)


def _sign_in(account: Account, cloud: CloudList) -> Iterator[Finding]:
    problem = cloud.sign_in_error or cloud.away.get(KEYSTONE)
    held = cloud.signed_in
    if problem is not None or held is None:
        remedy = cloud.remedy or f"look at {account.origin.place_of('auth_url')}"
        yield fail(SIGN_IN, problem or "Keystone gave no token", remedy)
        return
    minutes = (held.expires_ns - held.issued_ns) / SECOND_NS / 60
    yield ok(
        SIGN_IN,
        f"{account.url} takes {account.who} for project {held.project!r}, roles "
        f"{', '.join(held.roles) or '(none)'}; {_life(account, minutes)}",
    )
    if _ADMIN not in held.roles:
        yield warn(
            SIGN_IN,
            f"without the role {_ADMIN} Neutron and Nova tell as a rule of project {held.project!r} alone",
            "sign in as an administrator to have the floating IPs of all projects measured",
        )


def _life(account: Account, minutes: float) -> str:
    """Return how long a token is good for; nobody can renew one that was given."""
    if account.method is Method.TOKEN:
        return f"it ends in {minutes:.0f} min, and cannot be renewed"
    return f"a token lives for {minutes:.0f} min"


def _lists(cloud: CloudList) -> Iterator[Finding]:
    for who, why in cloud.away.items():
        if who != KEYSTONE:
            yield fail(LISTS, why, "nothing is known of its floating IPs until it lists")
    if cloud.signed_in is not None and not cloud.away:
        yield ok(
            LISTS, f"the catalog, and {len(cloud.addresses)} floating IPs with a port, could be had whole"
        )
    has_nova = any(target.service_type == "compute" for target in cloud.services)
    if has_nova and not cloud.knows_powers:
        yield warn(
            LISTS,
            "Nova does not list servers, so that an outage whose owner stopped the server is not told apart",
            "see that the user may list servers",
        )
    for oddity in cloud.oddities[:_ODDITIES_MAX]:
        yield warn(LISTS, oddity)
    if len(cloud.oddities) > _ODDITIES_MAX:
        yield warn(LISTS, f"{len(cloud.oddities) - _ODDITIES_MAX} more entries are odd")


def _targets(config: Config, found: Found) -> Iterator[Finding]:
    if found.clash is not None:
        yield fail(TARGETS, f"{config.path}: {found.clash}")
    for line in found.complaints or ():
        yield warn(TARGETS, f"{config.path}: {line}")
    services = [target for target in found.listed.others.values() if target.kind is Kind.SERVICE]
    addresses = found.count(Kind.ADDRESS)
    if services:
        yield ok(TARGETS, f"{count(Kind.SERVICE, len(services))} would be measured: {_names(services)}")
    if addresses:
        yield ok(TARGETS, f"{count(Kind.ADDRESS, addresses)} would be measured{_owners(found)}")
    if services or addresses:
        return
    if not found.cloud.away:
        counts = len(found.cloud.services), len(found.cloud.addresses)
        yield fail(TARGETS, f"{config.path}: {complaints.why_nothing(found.complaints or (), *counts)}")


def _names(services: Iterable[Target]) -> str:
    """Return names, with the regions of those that are in several."""
    regions: dict[str, list[str]] = {}
    for target in sorted(services, key=lambda target: (target.name, target.region or "")):
        regions.setdefault(target.name, []).append(target.region or "-")
    names = [name if len(of) == 1 else f"{name} ({', '.join(of)})" for name, of in regions.items()]
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"{', '.join(names[:_NAMES_MAX])}{more}"


def _owners(found: Found) -> str:
    """Return of how many projects the addresses are, to end a sentence with."""
    projects = Counter(owner.project_id for owner in found.listed.addresses.values() if owner.project_id)
    return f", of {len(projects)} project{'s' if len(projects) != 1 else ''}" if projects else ""
