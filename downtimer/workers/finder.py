"""What there is to measure, put together from the cloud's lists and the configuration.

Runs in discovery's thread, and in `downtimer doctor`, which looks once before there is a run.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from downtimer import certificates, complaints, targets
from downtimer.account import Method
from downtimer.checks import Plan
from downtimer.clock import RunClock, to_utc
from downtimer.config import Config
from downtimer.listing import NOBODY, Listed, Owner
from downtimer.model import Kind, Target, TargetId
from downtimer.selection import Selection
from downtimer.workers import gateway
from downtimer.workers.cloud import KEYSTONE, Cloud, CloudList
from downtimer.workers.identity import SignedIn
from downtimer.workers.rest import CertificateError
from downtimer.workers.worker import CannotStartError


class Waits(Protocol):
    """Tells when to ask a service for a list, see `downtimer.workers.gate`."""

    def begin_listing(self) -> None:
        """A listing begins."""

    def wait(self, service: TargetId) -> bool:
        """Wait for the moment to ask that service; return False if it hangs."""


class Found:
    """What one round found: from the cloud, and all in all.

    Attributes:
        cloud: As the cloud told it.
        listed: What is to be measured, with references.
        clash: The line about a name that is both static and the catalog's; None if there is none.
        complaints: Lines about what else of the configuration does not fit; None if there was no catalog.
    """

    def __init__(self, cloud: CloudList) -> None:
        self.cloud = cloud
        self.listed = Listed()
        self.clash: str | None = None
        self.complaints: tuple[str, ...] | None = None

    def count(self, kind: Kind) -> int:
        """Return how many services, or addresses, are to be measured; references are not."""
        if kind is Kind.ADDRESS:
            return len(self.listed.addresses)
        return sum(target.kind is kind for target in self.listed.others.values())

    def services(self) -> list[Target]:
        """Return the services of the catalog that are to be measured."""
        return [target for target in self.cloud.services if target.id in self.listed.others]


class Finder:
    """Puts together what there is to measure. Its `find` blocks."""

    def __init__(
        self,
        config: Config,
        clock: RunClock,
        gate: Waits,
        *,
        tell: Callable[[SignedIn], object] = lambda _: None,
        got_on: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare it; nothing is sent yet.

        Args:
            config: With its secrets and the account.
            clock: The run's.
            gate: Tells when to ask a service for a list.
            tell: Is told a new token.
            got_on: Is told that a long list gets on.

        Raises:
            CannotStartError: The configuration does not allow to talk to the cloud.
        """
        self._gate = gate
        self._clock = clock
        self._account = config.account
        self._cloud: Cloud | None = None
        if config.account is not None:
            try:
                self._cloud = Cloud(config.account, clock, may_ask=gate.wait, tell=tell, got_on=got_on)
            except CertificateError as exc:
                why = f"{certificates.where(config)}: {exc}"
                raise CannotStartError(why, by_configuration=True) from exc
        self._selection = Selection(config.targets.include, config.targets.exclude)
        self._plan = Plan(config)
        self._static_names = {name for name, _ in config.static.urls}
        self._static = {target.id: target for target in targets.static_services(config.static)}
        self._static_addresses = dict.fromkeys(targets.static_addresses(config.static), NOBODY)
        self._references = config.vantage.reference

    @property
    def has_cloud(self) -> bool:
        """Whether there is a cloud to be listed."""
        return self._cloud is not None

    @property
    def renew_ns(self) -> int | None:
        """When the token is to be renewed; None if never."""
        return None if self._cloud is None else self._cloud.renew_ns

    def signed_in(self) -> SignedIn | None:
        """Return the token in force, None if there is none."""
        return None if self._cloud is None else self._cloud.signed_in

    def cut(self) -> None:
        """End what is under way; `find` then returns what it has."""
        if self._cloud is not None:
            self._cloud.cut()

    def doubt(self, issued_ns: int) -> bool:
        """The token of that instant was refused; return whether to list again for a new one."""
        return self._cloud is not None and self._cloud.doubt(issued_ns)

    def remember(self, known: Iterable[Target]) -> None:
        """Take names from the targets of an earlier life."""
        if self._cloud is not None:
            self._cloud.remember(known)

    def find(self) -> Found:
        """List everything once."""
        self._gate.begin_listing()
        found = Found(CloudList() if self._cloud is None else self._cloud.read())
        listed = found.listed
        listed.others |= self._static
        kept: list[Target] = []
        for target in filter(self._selection.wants, found.cloud.services):
            if target.name in self._static_names:
                found.clash = (
                    f"[static] urls: the catalog has a service {target.name!r}, too; choose another name"
                )
                continue
            kept.append(target)
        listed.others |= {target.id: target for target in self._plan.of(kept)}
        listed.others |= {target.id: target for target in gateway.references(self._references)}
        self._add_addresses(listed, found.cloud.addresses)
        if KEYSTONE not in found.cloud.away:
            found.complaints = tuple(self._complaints(found.cloud))
        return found

    def _complaints(self, cloud: CloudList) -> Iterator[str]:
        """Yield lines about what of the configuration fits nothing, as far as the lists could be had."""
        if self._account is not None:
            yield from complaints.of_choice(self._account, cloud.catalog)
        yield from self._plan.strangers(cloud.services)
        yield from complaints.of_patterns(self._selection, Kind.SERVICE, cloud.catalog)
        if not cloud.away:
            yield from complaints.of_patterns(self._selection, Kind.ADDRESS, cloud.catalog)
        yield from self._end_of_token()

    def _end_of_token(self) -> Iterator[str]:
        """Yield a line about when a token ends that nobody can renew."""
        account, held = self._account, self.signed_in()
        if account is not None and account.method is Method.TOKEN and held is not None:
            at = to_utc(self._clock.anchor.start_utc_ns, held.expires_ns)
            yield (
                f"signed in by a token that ends at {at:%Y-%m-%d %H:%M} UTC; whether services work, and new "
                "addresses, will be unknown from then on"
            )

    def _add_addresses(self, listed: Listed, floating: dict[bytes, Owner]) -> None:
        """Add those of the configuration, and those of the cloud that are wanted.

        One that is both is one target, with the cloud's description.
        """
        if self._cloud is not None:
            listed.names = self._cloud.names
        if self._selection.is_particular:
            wants = self._selection.wants
            floating = {at: owner for at, owner in floating.items() if wants(listed.describe(at, owner))}
        listed.addresses = {**self._static_addresses, **floating} if self._static_addresses else floating
