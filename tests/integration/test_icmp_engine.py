"""The icmp engine against real addresses, in network namespaces: ping sockets and raw ones."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from downtimer.demo.impairment import Impairer
from downtimer.demo.netns import GATEWAY_IP, Namespaces
from downtimer.demo.processes import Spawner
from downtimer.demo.responder import Behaviour
from tests.integration.icmp_process import Found, IcmpProcess
from tests.waiting import wait_until

NET = itertools.count(1)
NEIGHBOURS = ("172.21.0.9", "fd00:d0d0::99")  # not there, although the routes say that they should be
NO_PING = ["/bin/sh", "-c", 'echo "1 0" > /proc/sys/net/ipv4/ping_group_range; exec "$@"', "sh"]
PING = ["/bin/sh", "-c", 'echo "0 0" > /proc/sys/net/ipv4/ping_group_range; exec "$@"', "sh"]
NO_RAW = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"]
ENOUGH = 5

Enter = Callable[[Sequence[str]], list[str]]


@pytest.fixture(scope="module")
def spawner() -> Iterator[Spawner]:
    """Starts what the tests need."""
    made = Spawner()
    yield made
    made.close()


@pytest.fixture(scope="module")
def network(spawner: Spawner) -> Iterator[Namespaces]:
    """A vantage and a cloud."""
    with Namespaces(spawner) as made:
        route = made.in_vantage(["ip", "route", "add", "172.21.0.0/24", "dev", "vantage0"])
        assert spawner.start(route).wait(timeout=10) == 0
        yield made


@pytest.fixture(scope="module")
def impairer(
    spawner: Spawner, network: Namespaces, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Impairer]:
    """Answers badly."""
    made = Impairer(spawner, network, tmp_path_factory.mktemp("responder") / "log")
    yield made
    made.close()


@pytest.fixture(params=["ping", "raw"])
def engine(spawner: Spawner, network: Namespaces, request: pytest.FixtureRequest) -> Iterator[IcmpProcess]:
    """An engine at the vantage, on either kind of socket."""
    first = [*PING, *NO_RAW] if request.param == "ping" else NO_PING
    with engine_at(spawner, lambda argv: network.in_vantage([*first, *argv])) as made:
        yield made


@contextlib.contextmanager
def engine_at(spawner: Spawner, enter: Enter, text: str = "[db]\n") -> Iterator[IcmpProcess]:
    """An engine somewhere, as long as the context lasts."""
    made = IcmpProcess(spawner, enter, text)
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture(params=[4, 6])
def address(network: Namespaces, request: pytest.FixtureRequest) -> str:
    """An address of the cloud that no other test uses."""
    number = next(NET)
    made = f"172.20.0.{number}" if request.param == 4 else f"fd00:20::{number:x}"
    network.add([made])
    return made


def add(engine: IcmpProcess, address: str) -> None:
    """Have an address probed that answers, and wait until it has."""
    assert engine.order(f"add {address}") is True
    engine.until(address, lambda found: found.probes >= ENOUGH, "answers")


def test_up_five_times_a_second_then_dropped_then_back(
    engine: IcmpProcess, network: Namespaces, address: str
) -> None:
    """Silence has the cause no-reply; while it lasts, there are four probes a second."""
    add(engine, address)
    network.drop([address])
    found = engine.until(address, lambda found: found.causes.get("no-reply", 0) >= ENOUGH, "failures")
    assert found.verdicts == ["up", "down"]
    down = found.spans[1]
    assert (down["last_sent_ns"] - down["first_sent_ns"]) / (down["probes"] - 1) >= 0.19e9
    network.restore([address])
    engine.until(address, lambda found: found.verdicts == ["up", "down", "up"], "the end")
    final = engine.close()
    assert [span["verdict"] for span in final["spans"][address]] == ["up", "down", "up"]
    (window,) = final["windows"]
    assert window["lost"] == final["spans"][address][1]["probes"]
    assert window["sent"] == sum(span["probes"] for span in final["spans"][address])
    assert 0 < window["min_ns"] < 50_000_000


def test_router_says_unreachable(engine: IcmpProcess, network: Namespaces, address: str) -> None:
    """Its word fails the probe at once. It speaks seldom; between, there is silence."""
    add(engine, address)
    network.reject([address])
    found = engine.until(address, lambda found: found.causes.get("unreachable", 0) >= 1, "the router's word")
    assert found.verdicts == ["up", "down"]
    network.restore([address])
    engine.until(address, lambda found: found.verdicts[-1] == "up", "the end")


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_absent_neighbour_is_unreachable_and_disturbs_nobody(
    engine: IcmpProcess, network: Namespaces, neighbour: str
) -> None:
    """Our own host says so, and on a ping socket a later send to somebody else is what brings the error."""
    address = f"172.20.1.{next(NET)}"
    network.add([address])
    add(engine, address)
    assert engine.order(f"add {neighbour}") is True
    engine.until(neighbour, lambda found: found.causes.get("unreachable", 0) >= ENOUGH, "our host's word")
    assert engine.found(address).verdicts == ["up"]
    assert set(engine.found(neighbour).causes) <= {"unreachable", "no-reply"}


def test_reply_from_a_wrong_source_is_none(
    engine: IcmpProcess, network: Namespaces, impairer: Impairer
) -> None:
    """Even with the right cookie, and even from an address that is probed, too."""
    address, other = f"172.20.2.{next(NET)}", f"172.20.2.{next(NET)}"
    network.add([address, other])
    add(engine, other)
    add(engine, address)
    impairer.impair([address], Behaviour(source=other))
    found = engine.until(address, lambda found: found.causes.get("no-reply", 0) >= ENOUGH, "failures")
    assert found.verdicts == ["up", "down"]
    assert engine.found(other).verdicts == ["up"]
    assert any(echo.copies for echo in impairer.echoes(address))


def test_duplicated_and_reordered_replies_count_once(
    engine: IcmpProcess, network: Namespaces, impairer: Impairer
) -> None:
    """Each probe is answered by the first reply that brings its cookie."""
    address = f"172.20.3.{next(NET)}"
    network.add([address])
    impairer.impair([address], Behaviour(copies=3, delay_s=0.1, jitter_s=0.5))
    assert engine.order(f"add {address}") is True
    found = engine.until(address, lambda found: found.probes >= 3 * ENOUGH, "answers")
    assert set(found.verdicts) <= {"up", "slow"}
    final = engine.close()
    asked = len(impairer.echoes(address))
    assert sum(span["probes"] for span in final["spans"][address]) == asked


def test_reply_after_the_timeout_is_too_late(
    engine: IcmpProcess, network: Namespaces, impairer: Impairer
) -> None:
    """It fails the probe, and makes the next one come soon."""
    address = f"172.20.4.{next(NET)}"
    network.add([address])
    add(engine, address)
    impairer.impair([address], Behaviour(delay_s=1.2))
    found = engine.until(address, lambda found: found.causes.get("no-reply", 0) >= ENOUGH, "failures")
    assert found.verdicts == ["up", "down"]


def test_retired_address_is_probed_no_more(engine: IcmpProcess, network: Namespaces) -> None:
    """Its span ends; it may come back, and why it was not seen is known; the other one is not disturbed."""
    kept, gone = f"172.20.5.{next(NET)}", f"172.20.5.{next(NET)}"
    network.add([kept, gone])
    add(engine, kept)
    add(engine, gone)
    engine.order(f"retire {gone}")
    probes = engine.found(gone).probes
    more = engine.found(kept).probes + ENOUGH
    engine.until(kept, lambda found: found.probes >= more, "more probes of the other")
    assert engine.found(gone).probes == probes
    assert engine.report()["lag_ns"] < 500_000_000
    engine.order(f"add {gone}")
    found = engine.until(gone, lambda found: found.verdicts == ["up", "unknown", "up"], "it to be back")
    assert found.causes == {"unlisted": 1}
    assert engine.found(kept).verdicts == ["up"]


def test_progress_goes_on_and_nothing_is_lost_at_the_end(engine: IcmpProcess, address: str) -> None:
    """While all is well it is never behind by more than a moment."""
    add(engine, address)
    add(engine, GATEWAY_IP)
    assert engine.report()["lag_ns"] < 500_000_000
    before = engine.found(address).probes
    engine.order(f"retire {GATEWAY_IP}")
    assert engine.report()["lag_ns"] < 500_000_000
    final = engine.close()
    assert sum(span["probes"] for span in final["spans"][address]) >= before


@pytest.mark.parametrize("window", ["auto", "none"])
def test_windows_of_addresses_are_told_if_they_are_wanted(
    spawner: Spawner, network: Namespaces, window: str
) -> None:
    """Also what is left of them at the end."""
    text = f"[db]\naddress_window = {window}\n"
    with engine_at(spawner, lambda argv: network.in_vantage([*PING, *argv]), text) as engine:
        add(engine, GATEWAY_IP)
        assert bool(engine.close()["windows"]) is (window == "auto")


def has_more(probes: int, found: Found) -> bool:
    """Tell whether so many probes are judged."""
    return found.probes >= probes


def test_replies_count_that_we_were_late_to_read(engine: IcmpProcess, address: str) -> None:
    """Their stamp is the kernel's. What was not sent in that time was not observed."""
    for _ in range(3):
        add(engine, address)
        seen = engine.found(address).probes
        with engine.stopped():
            time.sleep(2.5)
        engine.until(address, partial(has_more, seen + ENOUGH), "more probes")
    found = engine.found(address)
    assert set(found.verdicts) == {"up"}
    assert len(found.verdicts) >= 3


def test_no_permission_is_one_line_with_both_remedies(spawner: Spawner, network: Namespaces) -> None:
    """Said when the first address is to be probed, not before."""
    with engine_at(spawner, lambda argv: network.in_vantage([*NO_PING, *NO_RAW, *argv])) as engine:
        assert engine.report()["spans"] == {}
        line = engine.order(f"add {GATEWAY_IP}")
        assert isinstance(line, str)
        assert "\n" not in line
        assert 'sysctl -w net.ipv4.ping_group_range="0 2147483647"' in line
        assert "CAP_NET_RAW" in line


@pytest.mark.parametrize(
    ("source", "cause"),
    [("vantage0", None), ("10.255.255.1", None), ("192.0.2.1", "send"), ("::1", "send"), ("none0", "send")],
)
@pytest.mark.parametrize("kind", ["ping", "raw"])
def test_source(spawner: Spawner, network: Namespaces, kind: str, source: str, cause: str | None) -> None:
    """Where we have no such address or interface, nothing can be sent: that is not the target's fault."""
    first = PING if kind == "ping" else NO_PING
    text = f"[targets]\nsource = {source}\n"
    with engine_at(spawner, lambda argv: network.in_vantage([*first, *argv]), text) as engine:
        assert engine.order(f"add {GATEWAY_IP}") is True
        found = engine.until(GATEWAY_IP, lambda found: found.probes >= ENOUGH, "probes")
        assert set(found.causes) == ({cause} if cause else set())


def test_our_own_missing_route_is_unknown(spawner: Spawner) -> None:
    """In a namespace with nothing but a loopback that is down."""
    with engine_at(spawner, lambda argv: ["unshare", "-n", "--", *argv]) as engine:
        assert engine.order("add 192.0.2.1") is True
        found = engine.until("192.0.2.1", lambda found: found.probes >= ENOUGH, "probes")
        assert found.verdicts == ["unknown"]
        assert set(found.causes) == {"no-route"}


def test_faults_are_told_apart_by_the_log_of_the_injector(
    spawner: Spawner, network: Namespaces, tmp_path: Path
) -> None:
    """With a third of the replies lost at random, the share that failed is that of the injector."""
    address = f"172.20.6.{next(NET)}"
    network.add([address])
    impairer = Impairer(spawner, network, tmp_path / "log", seed=7)
    try:
        with engine_at(spawner, lambda argv: network.in_vantage([*PING, *argv])) as engine:
            impairer.impair([address], Behaviour(loss=0.3))
            assert engine.order(f"add {address}") is True
            engine.until(address, lambda found: found.probes >= 40, "probes")
            final = engine.close()
        echoes = impairer.echoes(address)
        lost = sum(not echo.copies for echo in echoes)
        spans = final["spans"][address]
        assert sum(span["probes"] for span in spans if span["verdict"] == "down") == lost
        assert sum(span["probes"] for span in spans) == len(echoes)
    finally:
        impairer.close()


def test_what_is_well_is_still_probed_while_most_of_a_short_budget_fails(
    spawner: Spawner, network: Namespaces
) -> None:
    """What is urgent gets half of the budget, however much there is of it."""
    addresses = [f"172.20.9.{number}" for number in range(1, 21)]
    failing, well = addresses[:18], addresses[18:]
    network.add(addresses)
    with engine_at(spawner, network.in_vantage, "[db]\n[icmp]\nbudget = 60\n") as engine:
        for one in addresses:
            assert engine.order(f"add {one}") is True
        for one in addresses:
            engine.until(one, lambda found: found.probes >= ENOUGH, "answers")
        network.drop(failing)
        try:
            engine.until(failing[0], lambda found: found.causes.get("no-reply", 0) >= 2 * ENOUGH, "failures")
        finally:
            network.restore(failing)
        spans = engine.close()["spans"]
    for one in well:
        assert [span["verdict"] for span in spans[one]] == ["up"]
        assert spans[one][0]["widest_ns"] < 1.5e9


def test_step_of_the_wall_clock_fails_no_probe(engine: IcmpProcess, address: str) -> None:
    """Answers that wait to be read were stamped by the clock as it was before."""
    add(engine, address)
    for step_s in (3600, -3600, -0.25):
        engine.order(f"step {step_s}")
        more = engine.found(address).probes + ENOUGH
        engine.until(address, partial(has_more, more), "more probes")
    assert engine.found(address).verdicts == ["up"]


def test_identifier_changes_and_what_is_under_way_is_answered_all_the_same(
    engine: IcmpProcess, network: Namespaces, impairer: Impairer
) -> None:
    """A constant one is a flow to NAT, which keeps passing, or stays dead, when new flows do not."""
    address = f"172.20.7.{next(NET)}"
    network.add([address])
    impairer.impair([address], Behaviour(delay_s=0.5))
    assert engine.order(f"add {address}") is True
    for changes in range(3):
        engine.until(address, partial(has_more, (changes + 1) * ENOUGH), "answers")
        assert len({echo.identifier for echo in impairer.echoes(address)}) == changes + 1
        engine.order(f"renew {2 * changes + 1}")
    assert set(engine.found(address).verdicts) == {"up"}
    assert engine.close()["spans"][address][0]["causes"] == {}


def test_failure_during_a_stall_of_ours_is_unknown(
    engine: IcmpProcess, network: Namespaces, address: str
) -> None:
    """What was under way then says nothing, unless it was answered; what came before and after counts."""
    add(engine, address)
    network.drop([address])
    engine.until(address, lambda found: found.causes.get("no-reply", 0) >= ENOUGH, "failures")
    with engine.stopped():
        time.sleep(0.5)
    found = engine.until(address, lambda found: found.verdicts[-2:] == ["unknown", "down"], "failures again")
    assert found.causes["stall"] >= 1
    network.restore([address])


def test_address_that_answers_no_echo_is_told_to_be_silent_and_the_first_answer_too(
    spawner: Spawner, network: Namespaces
) -> None:
    """After ten seconds; one that has answered is never told, however long it is down later."""
    silent, fallen = f"172.20.8.{next(NET)}", f"172.20.8.{next(NET)}"
    network.add([silent, fallen])
    network.drop([silent])
    with engine_at(spawner, lambda argv: network.in_vantage([*PING, *argv])) as engine:
        assert engine.order(f"add {silent}") is True
        add(engine, fallen)
        network.drop([fallen])
        wait_until(lambda: ["silent", ""] in engine.report()["said"], timeout_s=15, what="it to be told")
        network.restore([silent])
        wait_until(lambda: ["reached", "icmp"] in engine.report()["said"], timeout_s=15, what="its answer")
        assert len([one for one in engine.report()["said"] if one[0] == "silent"]) == 1
