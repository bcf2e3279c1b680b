"""The cloud's lists, read by blocking calls: the catalog, floating IPs, and what goes with them.

Runs in discovery's thread. A listing never raises for what the cloud does: it says what could be had,
and what was away. Names of projects and servers, and whether servers run, are best effort, where the
user may read them; floating IPs are what Neutron shows this user, all projects' to an admin.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from downtimer import catalog, endpoints, paging
from downtimer.account import Account
from downtimer.catalog import Catalog
from downtimer.clock import RunClock
from downtimer.listing import Names, Owner
from downtimer.model import SECOND_NS, Power, Target, TargetId
from downtimer.paging import Item, Kind, Malformed
from downtimer.workers.identity import Identity, SignedIn, SignInError
from downtimer.workers.rest import AwayError, RefusedError, Rest
from downtimer.workers.servers import Servers

log = logging.getLogger(__name__)

_T = TypeVar("_T", bound=Item)

KEYSTONE: Final = "Keystone"
"""What is away if the catalog could not be read."""

LISTING_S: Final = 50.0
"""For all requests of one listing; less than the deadline after which the process counts as hung."""

PAGE_S: Final = 30.0
"""So long it may go on after each page of addresses: a large cloud may take seconds for every thousand."""

LISTING_MOST_S: Final = 600.0
"""But no longer than this."""

NAMES_S: Final = 20.0
"""For the names among them: a list of addresses does not wait for long for what only adorns it."""

REGIONS_MAX: Final = 200
"""Most regions whose lists are asked for."""

_NAMES_MAX: Final = 1_000_000
"""Most names of projects that are remembered; with more, what was known is forgotten."""

_NAMES_AGAIN_NS: Final = 300 * SECOND_NS
"""Between two looks for names where some stay unknown."""

_HANGS: Final = "hangs, and is not asked"
_FORBIDDEN: Final = 403
_TOKEN_REFUSED: Final = 401
_TOKEN_UNKNOWN: Final = 404  # what Keystone says of a token that it does not know


@dataclass(slots=True, kw_only=True)
class CloudList:
    """What one listing found.

    Attributes:
        catalog: The last one that is known, if Keystone was away, as are
        services: Of the catalog.
        addresses: Owners of associated floating IPs, by packed address; what could be had.
        away: Why, by what was away; empty if the listing is complete.
        oddities: Entries that were passed over.
        powers: What is known of servers, by id.
        knows_powers: Nova could be asked now, wherever there is one.
        signed_in: A token that is new with this listing; None if it is the old one.
        sign_in_error: Why signing in failed; None if it did not.
        remedy: How that is mended, if it is the configuration's fault; may be empty.
    """

    catalog: Catalog = field(default_factory=lambda: Catalog(()))
    services: tuple[Target, ...] = ()
    addresses: dict[bytes, Owner] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)
    oddities: list[str] = field(default_factory=list)
    powers: Mapping[str, Power] = field(default_factory=dict)
    knows_powers: bool = False
    signed_in: SignedIn | None = None
    sign_in_error: str | None = None
    remedy: str = ""


class Cloud:
    """One cloud, as one user sees it. Not for several threads at a time."""

    def __init__(
        self,
        account: Account,
        clock: RunClock,
        *,
        may_ask: Callable[[TargetId], bool],
        tell: Callable[[SignedIn], object],
        got_on: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare it; nothing is sent yet.

        Args:
            account: Where it is, and who we are.
            clock: The run's.
            may_ask: Waits for the moment to ask a service; False if a call to it hangs.
            tell: Is told a new token at once; the lists may take a while.
            got_on: Is told when a long list gets on.

        Raises:
            CertificateError: A file of certificates can't be used.
        """
        self._account = account
        self._clock = clock
        self._rest = Rest(account.trust)
        self._identity = Identity(account, self._rest, clock)
        self._catalog = Catalog(())
        self._services: tuple[Target, ...] = ()
        self._first: dict[tuple[str | None, str | None], TargetId] = {}  # of them by type and region, or any
        self._networks: set[str] = set()  # regions that had a Neutron
        self._projects = NamesById()
        self._may_ask = may_ask
        self._tell = tell
        self._got_on = got_on
        self._servers = Servers()
        self._begun_ns = clock.now_ns()  # the listing

    @property
    def renew_ns(self) -> int | None:
        """When the token is to be renewed; None if there is none."""
        return self._identity.due_ns

    @property
    def signed_in(self) -> SignedIn | None:
        """The token in force, None if there is none."""
        return self._identity.signed_in

    def doubt(self, issued_ns: int) -> bool:
        """Somebody saw the token of that instant refused; return whether to read again for a new one."""
        return self._identity.doubt(issued_ns)

    def cut(self) -> None:
        """End what is under way. Called by the loop."""
        self._rest.cut()

    def remember(self, known: Iterable[Target]) -> None:
        """Take names from the targets of an earlier life of this process."""
        for target in known:
            self._projects.learn(target.project_id, target.project)
            self._servers.remember(target.server_id, target.server)

    def names(self, owner: Owner) -> Names:
        """Return the names that go with the owner of an address."""
        return Names(self._projects.get(owner.project_id), self._servers.name(owner.server_id))

    def read(self) -> CloudList:
        """Read all lists."""
        found = CloudList()
        self._rest.begin(LISTING_S)
        self._begun_ns = self._clock.now_ns()
        try:
            self._read_catalog(found)
        except SignInError as exc:
            found.sign_in_error = found.away[KEYSTONE] = str(exc)
            found.remedy = exc.remedy
        except (AwayError, ValueError) as exc:
            found.away[KEYSTONE] = found.sign_in_error or f"Keystone at {self._identity.url} {exc}"
        found.catalog, found.services = self._catalog, self._services
        found.oddities += self._catalog.oddities
        self._read_addresses(found)
        return found

    # --- the token and the catalog --------------------------------------------------------------

    def _read_catalog(self, found: CloudList) -> None:
        """Get the catalog as it is now; the one that came with the token may be an hour old.

        Raises:
            SignInError: There is no token to be had.
            AwayError: Keystone gave no usable answer.
            ValueError: What it gave is no token.
        """
        if self._identity.is_due():
            self._renew(found)
        fresh = found.signed_in and found.signed_in.content
        if not fresh and not self._wait_to_ask("identity"):
            raise AwayError(_HANGS)
        body = fresh or self._get_catalog(found)
        self._take(catalog.read_catalog(body, interface=self._account.interface, region=self._account.region))

    def _take(self, new: Catalog) -> None:
        self._catalog, self._services = new, new.services()
        self._first = {}
        for target in self._services:
            for region in (None, target.region):
                self._first.setdefault((target.service_type, region), target.id)

    def _get_catalog(self, found: CloudList) -> bytes:
        url = f"{self._identity.base}/auth/tokens"

        def ask(held: SignedIn) -> bytes:
            return self._rest.get(url, held.token, headers={"X-Subject-Token": held.token})

        return self._signed(found, url, ask)

    def _renew(self, found: CloudList) -> None:
        """Get a token, and let the old one do if that fails ahead of its end.

        Raises:
            SignInError: There is none to be had, and no old one.
        """
        try:
            self._sign_in(found)
        except SignInError as exc:
            if self._identity.signed_in is None:
                raise
            found.sign_in_error = str(exc)
            log.info("the token could not be renewed: %s", exc)

    def _sign_in(self, found: CloudList) -> SignedIn:
        """Get a new token, unless Keystone hangs and there is an old one.

        Raises:
            SignInError: It could not be had.
        """
        if self._identity.signed_in is not None and not self._wait_to_ask("identity"):
            raise SignInError(f"Keystone at {self._identity.url} {_HANGS}")
        found.signed_in = new = self._identity.sign_in()
        self._tell(new)
        return new

    def _signed(self, found: CloudList, url: str, call: Callable[[SignedIn], bytes]) -> bytes:
        """Call what is at `url` with the token; if that is refused, once more with a new one.

        Raises:
            SignInError: There is no token.
            AwayError: As `call` does.
        """
        held = self._identity.signed_in
        if held is None:
            raise SignInError(found.sign_in_error or "not signed in")
        try:
            return call(held)
        except RefusedError as exc:
            is_doubtful = self._is_of_token(exc.status, url) and self._identity.doubt(held.issued_ns)
            if not is_doubtful or found.sign_in_error is not None:
                raise
        return call(self._sign_in(found))

    def _is_of_token(self, status: int, url: str) -> bool:
        """Tell whether an answer may mean that the token is no good; 404 is of all else, but for Keystone."""
        is_keystones = url.startswith(f"{self._identity.base}/")
        return status == _TOKEN_REFUSED or (status == _TOKEN_UNKNOWN and is_keystones)

    # --- addresses ------------------------------------------------------------------------------

    def _read_addresses(self, found: CloudList) -> None:
        """List every region's floating IPs; an address in several regions is the first one's."""
        made = found.addresses
        networks = self._urls(found, "network")
        for region in self._networks - networks.keys():
            found.away[_neutron(region)] = f"the catalog has no {_neutron(region)} any more"
        if len(self._networks) < REGIONS_MAX:
            self._networks |= networks.keys()
        for region, url in networks.items():
            name = _neutron(region)
            if not self._wait_to_ask("network", region):
                found.away[name] = f"{name} at {url} {_HANGS}"
                continue
            try:
                listed = self._read_floating(found, f"{endpoints.probe_root(url)}v2.0/floatingips")
            except (AwayError, SignInError, paging.PagingError) as exc:
                found.away[name] = f"{name} at {url} cannot list floating IPs: {_clause(exc)}"
                continue
            for packed, owner in listed.items():
                made.setdefault(packed, owner)
        self._rest.limit(NAMES_S)
        self._find_projects(found)
        self._find_servers(found)

    def _urls(self, found: CloudList, service_type: str) -> dict[str, str]:
        """Return where to list what services of a type have, by region."""
        urls = self._catalog.of_type(service_type)
        if len(urls) > REGIONS_MAX:
            found.oddities.append(
                f"the catalog has services of type {service_type} in more than {REGIONS_MAX} regions; "
                "the others are not asked for their lists"
            )
        return dict(itertools.islice(urls.items(), REGIONS_MAX))

    def _read_floating(self, found: CloudList, url: str) -> dict[bytes, Owner]:
        """Return a region's list.

        Raises:
            AwayError: Neutron gave no usable answer.
            SignInError: There is no token.
            PagingError: It is no list, or one without an end.
        """
        listed, odd = catalog.read_floating(self._pages(found, url, {}, catalog.FLOATING, is_long=True))
        found.oddities += odd
        return listed

    def _pages(
        self,
        found: CloudList,
        url: str,
        query: Mapping[str, str],
        kind: Kind[_T],
        *,
        is_long: bool = False,
    ) -> Iterable[_T | Malformed]:
        """Read a list; `is_long`: it may take its time, as long as it gets on."""

        def fetch(page: Mapping[str, str]) -> bytes:
            body = self._signed(found, url, lambda held: self._rest.get(url, held.token, page))
            if is_long and self._clock.now_ns() - self._begun_ns < LISTING_MOST_S * SECOND_NS:
                self._rest.extend(PAGE_S)
                self._got_on()
            return body

        return paging.read_pages(fetch, query, kind)

    # --- what adorns addresses: had if it can be had, else passed over in silence ----------------

    def _find_projects(self, found: CloudList) -> None:
        """Look for the names of projects that are not known yet."""
        held = self._identity.signed_in
        if held is not None:
            self._projects.learn(held.project_id, held.project)
        wanted, now_ns = {owner.project_id for owner in found.addresses.values()}, self._clock.now_ns()
        if not self._projects.needs_look(wanted, now_ns) or not self._wait_to_ask("identity"):
            return
        self._projects.note_look(wanted, now_ns)
        for path in ("projects", "auth/projects"):
            try:
                url = f"{self._identity.base}/{path}"
                for item in self._pages(found, url, {}, catalog.PROJECTS):
                    self._projects.learn_all(catalog.read_names([item]))
            except (AwayError, SignInError, paging.PagingError) as exc:
                log.info("projects: %s", _clause(exc))
                if isinstance(exc, RefusedError):
                    continue  # the other list may be permitted
            break

    def _find_servers(self, found: CloudList) -> None:
        """Ask every region's Nova what it has, or what has changed."""
        answered = [
            self._wait_to_ask("compute", region)
            and self._read_servers(found, f"{url.rstrip('/')}/servers/detail")
            for region, url in self._urls(found, "compute").items()
        ]
        found.powers, found.knows_powers = self._servers.powers(), bool(answered) and all(answered)

    def _read_servers(self, found: CloudList, url: str) -> bool:
        """Ask one Nova; return whether it has answered."""
        query = self._servers.query(url, self._clock.now_ns())
        if query is None:
            return False
        try:
            items = self._pages(found, url, query, catalog.SERVERS)
            servers = (server for item in items if (server := catalog.read_server(item)) is not None)
            self._servers.learn(url, servers)
        except (AwayError, SignInError, paging.PagingError) as exc:
            log.info("servers: %s: %s", url, _clause(exc))
            if isinstance(exc, AwayError) and not isinstance(exc, RefusedError):
                self._servers.ran_out(url)
            is_forbidden = isinstance(exc, RefusedError) and exc.status == _FORBIDDEN
            return is_forbidden and self._servers.refused(url) and self._read_servers(found, url)
        return True

    def _wait_to_ask(self, service_type: str, region: str | None = None) -> bool:
        """Wait for the moment to ask a service of that type; return False if it hangs.

        Args:
            service_type: Which.
            region: Its own; None for that of the first, which all may share as they do Keystone.
        """
        first = self._first.get((service_type, region))
        return first is None or self._may_ask(first)


class NamesById:
    """Names by id, as far as they are known."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._looked_for: set[str] = set()
        self._looked_ns: int | None = None

    def get(self, key: str | None) -> str | None:
        """Return the name, None if it is unknown."""
        return None if key is None else self._names.get(key)

    def learn(self, key: str | None, name: str | None) -> None:
        """Note a name, if it is one."""
        if key and name:
            if len(self._names) >= _NAMES_MAX:
                self._names.clear()
            self._names[key] = name

    def learn_all(self, names: Mapping[str, str]) -> None:
        """Note many."""
        for key, name in names.items():
            self.learn(key, name)

    def needs_look(self, keys: Iterable[str | None], now_ns: int) -> bool:
        """Tell whether there is an unknown one that was not looked for yet, or was a while ago."""
        unknown = self._unknown(keys)
        is_stale = self._looked_ns is None or now_ns - self._looked_ns > _NAMES_AGAIN_NS
        return bool(unknown) and (is_stale or not unknown <= self._looked_for)

    def note_look(self, keys: Iterable[str | None], now_ns: int) -> None:
        """Note that the unknown ones of these are looked for."""
        self._looked_for, self._looked_ns = self._unknown(keys), now_ns

    def _unknown(self, keys: Iterable[str | None]) -> set[str]:
        return {key for key in keys if key and key not in self._names}


def _neutron(region: str) -> str:
    return f"Neutron {region}".rstrip()


def _clause(error: Exception) -> str:
    """Return an error's text such that it ends a sentence about somebody else."""
    text = str(error)
    return f"it {text}" if isinstance(error, AwayError) else text
