"""What Nova is asked: everything once, then what has changed by its own clock."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from downtimer.catalog import Server
from downtimer.model import SECOND_NS, Power
from downtimer.workers import servers as servers_module
from downtimer.workers.servers import AGAIN_NS, Servers

URL = "http://nova/servers/detail"
EVERYTHING = {"all_tenants": "1"}


def server(name: str, power: Power = Power.RUNNING, minute: int = 0) -> Server:
    """Return a server that changed at some minute past noon."""
    return Server(name, f"name of {name}", power, datetime(2026, 11, 24, 12, minute, tzinfo=UTC))


def test_after_a_whole_list_only_changes_are_asked_for() -> None:
    servers = Servers()
    assert servers.query(URL, 0) == EVERYTHING
    servers.learn(URL, [server("a", minute=5), server("b", Power.STOPPED, minute=3)])
    assert servers.powers() == {"a": Power.RUNNING, "b": Power.STOPPED}
    assert (servers.name("a"), servers.name("x"), servers.name(None)) == ("name of a", None, None)
    assert servers.query(URL, 1) == EVERYTHING | {"changes-since": "2026-11-24T12:04:00Z"}
    servers.learn(URL, [server("b", minute=9)])
    assert servers.powers()["b"] is Power.RUNNING
    assert servers.query(URL, 2) == EVERYTHING | {"changes-since": "2026-11-24T12:08:00Z"}
    servers.learn(URL, [])
    assert servers.query(URL, 3) == EVERYTHING | {"changes-since": "2026-11-24T12:08:00Z"}


def test_a_list_that_broke_off_is_asked_for_again_later_and_what_it_had_is_known() -> None:
    servers = Servers()
    assert servers.query(URL, 0) == EVERYTHING
    with pytest.raises(RuntimeError):
        servers.learn(URL, _broken())
    assert servers.powers() == {"a": Power.STOPPED}
    assert servers.query(URL, SECOND_NS) is None
    assert servers.query(URL, AGAIN_NS) == EVERYTHING


def test_a_list_for_which_there_was_no_time_goes_on_where_it_ended() -> None:
    """From then on changes are asked for that came after it was begun: they may have been passed by."""
    servers = Servers()
    servers.query(URL, 0)
    with pytest.raises(RuntimeError):
        servers.learn(URL, _broken())
    servers.ran_out(URL)
    assert servers.query(URL, 1) == EVERYTHING | {"marker": "a"}
    with pytest.raises(RuntimeError):
        servers.learn(URL, _broken("b", minute=30))
    servers.ran_out(URL)
    assert servers.query(URL, 2) == EVERYTHING | {"marker": "b"}
    servers.learn(URL, [server("c", minute=40)])
    assert servers.powers().keys() == {"a", "b", "c"}
    assert servers.query(URL, 3) == EVERYTHING | {"changes-since": "2026-11-24T11:59:00Z"}


def test_changes_that_were_not_told_to_their_end_are_asked_for_again() -> None:
    servers = Servers()
    servers.query(URL, 0)
    servers.learn(URL, [server("a", minute=5)])
    with pytest.raises(RuntimeError):
        servers.learn(URL, _broken("b", minute=30))
    servers.ran_out(URL)
    since = EVERYTHING | {"changes-since": "2026-11-24T12:04:00Z"}
    assert servers.query(URL, 1) == since
    servers.learn(URL, [])
    assert servers.query(URL, 2) == since


def test_a_list_that_does_not_get_on_is_asked_for_from_its_beginning_later() -> None:
    """A server that it ended at may be gone, and then Nova knows no such marker."""
    servers = Servers()
    servers.query(URL, 0)
    with pytest.raises(RuntimeError):
        servers.learn(URL, _broken())
    servers.ran_out(URL)
    assert servers.query(URL, 1) == EVERYTHING | {"marker": "a"}
    assert servers.query(URL, 2) is None
    assert servers.query(URL, AGAIN_NS) == EVERYTHING


def _broken(name: str = "a", minute: int = 0) -> Iterator[Server]:
    yield server(name, Power.STOPPED, minute)
    raise RuntimeError


def test_a_user_who_may_not_see_all_projects_asks_for_the_own() -> None:
    servers = Servers()
    servers.query(URL, 0)
    assert servers.refused(URL)
    assert servers.query(URL, 0) == {}
    assert not servers.refused(URL)


def test_each_region_is_asked_by_its_own_clock() -> None:
    servers, other = Servers(), "http://elsewhere/servers/detail"
    servers.query(URL, 0)
    servers.learn(URL, [server("a")])
    assert servers.query(other, 0) == EVERYTHING
    servers.learn(other, [])
    assert servers.query(other, 1) == EVERYTHING  # which is little, unlike all that was ever deleted


def test_of_servers_without_end_the_latest_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers_module, "KNOWN_MAX", 3)
    servers = Servers()
    servers.query(URL, 0)
    servers.learn(URL, [server(name) for name in "abcde"])
    assert servers.powers().keys() == {"d", "e"}
    assert (servers.name("a"), servers.name("e")) == (None, "name of e")
