"""What a listing makes of the answers of services, and when it takes our token for refused."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from downtimer import clock
from downtimer.account import Trust
from downtimer.clock import RunClock
from downtimer.model import SECOND_NS
from downtimer.targets import pack
from downtimer.workers import cloud
from downtimer.workers.cloud import LISTING_MOST_S, REGIONS_MAX, Cloud
from downtimer.workers.identity import SignedIn
from downtimer.workers.rest import RefusedError
from downtimer.workers.servers import AGAIN_NS
from tests.configured import account
from tests.unit.machine import Machine

KEYSTONE, NEUTRON, NOVA = "http://h:5000/v3", "http://h:9696", "http://h:8774/v2.1"
ADDRESS = {"floating_ip_address": "10.0.0.1", "port_id": "p", "project_id": "shop"}


class FakeIdentity:
    """A Keystone that gives a token whenever it is asked, and has every one of them doubted."""

    url = base = KEYSTONE

    def __init__(self, *_: object) -> None:
        self.signed_in: SignedIn | None = None
        self.tokens = 0
        self._is_doubted = False

    def is_due(self) -> bool:
        """Tell whether to sign in."""
        return self.signed_in is None or self._is_doubted

    def doubt(self, _: int) -> bool:
        """Have it replaced."""
        self._is_doubted = True
        return True

    def sign_in(self) -> SignedIn:
        """Give a token, without a catalog."""
        self.tokens += 1
        self._is_doubted = False
        self.signed_in = SignedIn(
            token=f"t{self.tokens}",
            issued_ns=self.tokens,
            expires_ns=10,
            renew_ns=10,
            project_id="p",
            project="admin",
            content=None,
        )
        return self.signed_in


class FakeRest:
    """The services of a cloud.

    Attributes:
        status: Of what is at a URL, by its beginning; all else is 200.
        asked: URLs and queries, in order.
        extended: How often the listing was given more time.
        heard: Is told each URL before it is answered.
        catalog: Keystone's.
    """

    def __init__(self, _: Trust) -> None:
        self.status: dict[str, int] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.extended = 0
        self.heard: Callable[[str], object] = lambda _: None
        self.catalog = [entry("network", NEUTRON), entry("compute", NOVA)]

    def extend(self, _: float) -> None:
        """Count it."""
        self.extended += 1

    def begin(self, _: float) -> None:
        """Do nothing."""

    limit = begin

    def get(
        self,
        url: str,
        token: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Answer."""
        assert token
        assert headers is None or url.endswith("/auth/tokens")
        self.asked.append((url, query or {}))
        self.heard(url)
        for start, status in self.status.items():
            if url.startswith(start):
                raise RefusedError(status)
        return msgspec.json.encode(self._body(url))

    def _body(self, url: str) -> dict[str, Any]:
        match url.rpartition("/")[2]:
            case "tokens":
                return {"token": {"catalog": self.catalog}}
            case "floatingips":
                return {"floatingips": [ADDRESS]}
            case "projects":
                return {"projects": []}
            case _:
                return {"servers": []}


def entry(kind: str, url: str, region: str = "RegionOne") -> dict[str, Any]:
    """Return a service as the catalog has it."""
    endpoint = {"interface": "public", "url": url, "region": region}
    return {"type": kind, "name": kind, "endpoints": [endpoint]}


class Setting:
    """A cloud whose Keystone and services are fake."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cloud, "Rest", FakeRest)
        monkeypatch.setattr(cloud, "Identity", FakeIdentity)
        who = account("[global]\nkeystone_endpoint=http://h:5000\npassword=x\n")
        self.machine = Machine()
        run_clock = RunClock(clock.tie(self.machine), self.machine)
        self.got_on = 0
        self.cloud = Cloud(who, run_clock, may_ask=lambda _: True, tell=lambda _: None, got_on=self._count)
        identity, rest = self.cloud._identity, self.cloud._rest  # noqa: SLF001 - the fakes
        assert isinstance(identity, FakeIdentity)
        assert isinstance(rest, FakeRest)
        self.identity, self.rest = identity, rest

    def _count(self) -> None:
        self.got_on += 1

    def queries(self, path: str) -> list[Mapping[str, str]]:
        """Return what the list at the end of that path was asked for."""
        return [query for url, query in self.rest.asked if url.endswith(path)]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Setting]:
    """Return what makes a cloud."""
    return lambda: Setting(monkeypatch)


@pytest.mark.parametrize(
    ("url", "status", "tokens"),
    [(NEUTRON, 401, 2), (NEUTRON, 404, 1), (NOVA, 404, 1), (KEYSTONE, 401, 2), (KEYSTONE, 404, 2)],
)
def test_only_keystone_says_404_of_a_token(
    make: Callable[[], Setting], url: str, status: int, tokens: int
) -> None:
    """Neutron says it of what it does not have, as a Neutron without routers says of floating IPs."""
    setting = make()
    setting.cloud.read()
    setting.rest.status[url] = status
    setting.cloud.read()
    assert setting.identity.tokens == tokens


def test_list_that_is_not_there_is_told_as_any_that_fails(make: Callable[[], Setting]) -> None:
    setting = make()
    setting.rest.status[NEUTRON] = 404
    for _ in range(2):
        found = setting.cloud.read()
        assert found.away == {
            "Neutron RegionOne": f"Neutron RegionOne at {NEUTRON} cannot list floating IPs: it answered 404"
        }
        assert {target.name for target in found.services} == {"network", "compute"}


@pytest.mark.parametrize(
    ("status", "then"),
    [(403, ["1", None, None]), (500, ["1", "1"]), (404, ["1", "1"])],
)
def test_only_who_is_forbidden_to_see_all_servers_asks_for_the_own(
    make: Callable[[], Setting], status: int, then: list[str | None]
) -> None:
    """A Nova that fails in its upgrade is asked for all of them again."""
    setting = make()
    setting.rest.status[f"{NOVA}/servers/detail"] = status
    setting.cloud.read()
    setting.rest.status.clear()
    setting.machine.pass_s(AGAIN_NS / SECOND_NS)
    assert setting.cloud.read().knows_powers
    asked = [query.get("all_tenants") for query in setting.queries("servers/detail")]
    assert asked == then


def test_a_list_of_addresses_may_take_its_time_as_long_as_it_gets_on(make: Callable[[], Setting]) -> None:
    """Only it: what adorns addresses gets no more time. And none may take for ever."""
    setting = make()
    setting.cloud.read()
    assert setting.rest.extended == setting.got_on == 1

    def take_long(url: str) -> None:
        if url.endswith("floatingips"):
            setting.machine.pass_s(LISTING_MOST_S)

    setting.rest.heard = take_long
    assert setting.cloud.read().addresses.keys() == {pack("10.0.0.1")}
    assert setting.rest.extended == setting.got_on == 1


def test_of_regions_without_end_some_are_asked_for_their_lists(make: Callable[[], Setting]) -> None:
    setting = make()
    setting.rest.catalog = [
        entry(kind, f"http://h{number}:1/", f"R{number}")
        for number in range(REGIONS_MAX + 5)
        for kind in ("network", "compute")
    ]
    found = setting.cloud.read()
    assert len(found.services) == 2 * (REGIONS_MAX + 5)
    assert len(setting.queries("floatingips")) == len(setting.queries("servers/detail")) == REGIONS_MAX
    assert [text.partition(" in more than ")[0] for text in found.oddities] == [
        "the catalog has services of type network",
        "the catalog has services of type compute",
    ]
    setting.rest.catalog = [entry("network", "http://h:1/", f"S{number}") for number in range(REGIONS_MAX)]
    assert len(setting.cloud.read().away) == REGIONS_MAX
    setting.rest.catalog = []
    assert len(setting.cloud.read().away) == REGIONS_MAX
