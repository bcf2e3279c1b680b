"""The cloud's lists, read by blocking calls: the catalog, floating IPs, the names that go with them.

Runs in discovery's thread. A listing never raises for what the cloud does: it says what could be had,
and what was away. Names of projects and servers are best effort, where the user may read them; floating
IPs are what Neutron shows this user, all projects' to an admin.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from downtimer import catalog, endpoints, paging, targets
from downtimer.catalog import Catalog, FloatingIp
from downtimer.clock import RunClock
from downtimer.config import GlobalSection
from downtimer.model import Target
from downtimer.workers.identity import Identity, SignedIn, SignInError
from downtimer.workers.rest import AwayError, RefusedError, Rest

log = logging.getLogger(__name__)

LISTING_S: Final = 50.0
"""For all requests of one listing; less than the deadline after which the process counts as hung."""

_NAMES_AGAIN_S: Final = 300.0
"""Between two looks for names that were not found."""

_TOKEN_REFUSED: Final = (401, 404)  # Keystone says 404 of a token that it does not know
_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class CloudList:
    """What one listing found.

    Attributes:
        services: Of the catalog; the last known ones if Keystone was away.
        addresses: Associated floating IPs; what could be had.
        away: Why, by what was away; empty if the listing is complete.
        oddities: Entries that were passed over.
        signed_in: A token that is new with this listing; None if it is the old one.
        sign_in_error: Why signing in failed; None if it did not.
    """

    services: tuple[Target, ...] = ()
    addresses: list[Target] = field(default_factory=list)
    away: dict[str, str] = field(default_factory=dict)
    oddities: list[str] = field(default_factory=list)
    signed_in: SignedIn | None = None
    sign_in_error: str | None = None


class Cloud:
    """One cloud, as one user sees it. Not for several threads at a time."""

    def __init__(self, section: GlobalSection, clock: RunClock) -> None:
        """Prepare it; nothing is sent yet.

        Raises:
            CannotStartError: The file of CA certificates can't be used.
        """
        self._section = section
        self._rest = Rest(section)
        self._identity = Identity(section, self._rest, clock)
        self._catalog = Catalog(())
        self._names = Names()
        self._was_signed_in = False

    @property
    def renew_ns(self) -> int | None:
        """When the token is to be renewed; None if there is none, or it never expires."""
        held = self._identity.signed_in
        return None if held is None else held.renew_ns

    def remember(self, known: Mapping[str, Target]) -> None:
        """Take the names from targets of an earlier life."""
        self._names.remember(known.values())

    def list(self) -> CloudList:
        """Read everything."""
        found = CloudList()
        self._rest.begin(LISTING_S)
        try:
            self._read_catalog(found)
        except (AwayError, SignInError, ValueError) as exc:
            self._note_keystone(found, exc)
        found.services = self._catalog.services()
        found.oddities += self._catalog.oddities
        if self._identity.signed_in is not None:
            for region, url in self._catalog.of_type("network").items():
                self._read_addresses(found, region, url)
        return found

    def _note_keystone(self, found: CloudList, error: Exception) -> None:
        if isinstance(error, SignInError):
            found.sign_in_error = found.away["Keystone"] = str(error)
        else:
            found.away["Keystone"] = f"Keystone at {self._identity.url} {error}"

    def _read_catalog(self, found: CloudList) -> None:
        """Get the catalog as it is now; the one that came with the token may be an hour old."""
        if self._identity.is_due():
            self._sign_in(found)
        read = self._signed(found, lambda held: self._rest.get(f"{self._identity.base}/auth/tokens", held.token, headers={"X-Subject-Token": held.token}))
        self._catalog = catalog.read_catalog(
            read, interface=self._section.interface, region=self._section.region
        )

    def _sign_in(self, found: CloudList) -> None:
        """Get a new token.

        Raises:
            SignInError: It failed, and there is no old one to go on with.
        """
        try:
            found.signed_in = self._identity.sign_in(diagnose=not self._was_signed_in)
            self._was_signed_in = True
        except SignInError as exc:
            if self._identity.signed_in is None:
                raise
            log.info("the token could not be renewed: %s", exc)

    def _signed(self, found: CloudList, call: Callable[[SignedIn], _T]) -> _T:
        """Call with a token; if that is refused, once more with a new one.

        Raises:
            SignInError: There is no new one.
            AwayError: As `call` does.
        """
        held = self._identity.signed_in
        assert held is not None  # noqa: S101 - for the type checker
        try:
            return call(held)
        except RefusedError as exc:
            if exc.status not in _TOKEN_REFUSED or found.signed_in is not None:
                raise
        self._identity.forget()
        self._sign_in(found)
        held = self._identity.signed_in
        assert held is not None  # noqa: S101 - for the type checker
        return call(held)
