"""Discovery as a real process, against a real Keystone and against the simulated cloud, with its faults."""

import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from downtimer.config import Config
from downtimer.demo.cloud import ADDRESSES, CloudConfig, SimulatedCloud, make_world
from downtimer.demo.services import PROFILES
from downtimer.demo.world import Endpoint, World
from downtimer.listing import CHUNK
from downtimer.messages import (
    Beat,
    CannotStart,
    Complaints,
    Listing,
    Look,
    Powers,
    Targets,
    Token,
    TokenRejected,
)
from downtimer.model import SECOND_NS, Kind, Power, PowerChange, Target, TargetId
from tests.configured import configured
from tests.fake_supervisor import FakeSupervisor, KeepingSupervisor, as_known
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation
from tests.ports import free_port

pytestmark = pytest.mark.untimed

MODULE = "downtimer.workers.discovery"
CANNOT_START = 78
SERVICES = ("keystone", "glance", "nova", "neutron", "cinder", "heat", "heat-cfn")
NAMES = {"keystone", "glance", "nova", "neutron", "cinder", "cinderv2", "heat", "heat-cfn"}
FIRST = TargetId(f"address/{ADDRESSES[0]}")
PASSWORD = "pass%word%(here)s %%"


@pytest.fixture(scope="module")
def shared(
    keystone_venv: KeystoneInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keystone]:
    """One real Keystone for all tests that only sign in."""
    with Keystone(keystone_venv, tmp_path_factory.mktemp("discovery") / "keystone") as server:
        yield server


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    """A cloud on 127.0.0.1 with floating IPs in its lists, which nobody probes here, in pages of 7."""
    given = CloudConfig(network="none", services=SERVICES, page_cap=7, password=PASSWORD)
    with SimulatedCloud(given) as running:
        fill(running)
        yield running


def fill(cloud: SimulatedCloud) -> None:
    """Put the score of floating IPs and their servers into the lists."""
    full = make_world(cloud.config, ADDRESSES)
    cloud.change(lambda world: replace(world, floatingips=full.floatingips, servers=full.servers))


def configure(
    url: str | None, extra: str = "", *, user: str = "admin", sections: str = "", password: str = PASSWORD
) -> Config:
    """Return a configuration that sends nothing beyond this host, and reads no agents: there is no writer."""
    cloud = "" if url is None else f"keystone_endpoint={url}\nuser={user}\npassword={password}\n"
    text = f"[global]\n{cloud}{extra}\n[vantage]\nreference=none\n{sections}\n"
    parsed = configured(text)
    return replace(parsed, targets=replace(parsed.targets, agents=False))


def discovery(given: Config, *, known: list[Target] | None = None) -> FakeSupervisor:
    """Return a discovery that is to be started, in a run that may have targets already."""
    return FakeSupervisor(MODULE, given, known=as_known(known or []))


def listed_once(supervisor: FakeSupervisor) -> dict[TargetId, Target]:
    """Wait for a complete list and return the targets."""
    supervisor.wait(lambda: bool(supervisor.complete()), "complete list")
    return supervisor.targets()


def drop_address(address: str) -> Callable[[World], World]:
    """Return what takes an address out of Neutron's list."""

    def alter(world: World) -> World:
        return replace(world, floatingips=tuple(ip for ip in world.floatingips if ip.address != address))

    return alter


def reason_of(given: Config) -> str:
    """Start discovery, which cannot; return why, having seen the exit code and that no secret is logged."""
    with discovery(given) as supervisor:
        (said,) = supervisor.wait_for(CannotStart)
        assert supervisor.process.wait(10) == CANNOT_START
        assert not supervisor.of_kind(Listing)
    assert "\n" not in said.reason
    assert "Traceback" not in supervisor.log
    assert given.account is None or given.account.secret not in said.reason + supervisor.log
    return said.reason


# --- what is found ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/v3", "/v3/"])
def test_services_and_floating_ips_are_found(cloud: SimulatedCloud, path: str) -> None:
    with discovery(configure(cloud.keystone_url + path)) as supervisor:
        found = listed_once(supervisor)
        assert supervisor.events() == []
        assert supervisor.finish() == 0
    services = {target.name: target for target in found.values() if target.kind is Kind.SERVICE}
    assert services.keys() == NAMES
    nova = services["nova"]
    assert nova.url == cloud.service("nova").url + "/"
    assert nova.endpoint == cloud.service("nova").url + "/v2.1"
    assert (nova.region, nova.interface, nova.service_type) == ("RegionOne", "public", "compute")
    addresses = {target.name: target for target in found.values() if target.kind is Kind.ADDRESS}
    assert addresses.keys() == set(ADDRESSES)  # and not the one that is not associated
    assert {target.project for target in addresses.values()} == {"admin", "demo", "shop"}
    assert addresses[ADDRESSES[3]].server == "vm-4"


def test_real_keystone_with_simulated_services(keystone: Keystone) -> None:
    given = CloudConfig(
        network="none", services=("neutron", "nova", "cinder"), keystone=keystone.url, page_cap=3
    )
    with SimulatedCloud(replace(given, user=keystone.user, password=keystone.password)) as cloud:
        fill(cloud)
        for name in given.services:
            for entry in PROFILES[name].entries:
                path = entry.path.replace("PROJECT", "$(project_id)s")
                keystone.api.register(entry.name, entry.type, cloud.service(name).url + path)
        with discovery(configure(keystone.url, password=keystone.password)) as supervisor:
            found = listed_once(supervisor)
            assert supervisor.events() == []
            (token,) = supervisor.of_kind(Token)
            assert supervisor.finish() == 0
    names = {target.name for target in found.values() if target.kind is Kind.SERVICE}
    assert names == {"keystone", "neutron", "nova", "cinder", "cinderv2"}
    assert {target.name for target in found.values() if target.kind is Kind.ADDRESS} == set(ADDRESSES)
    assert token.expires_ns is not None
    assert abs(token.expires_ns - token.issued_ns - 3600 * SECOND_NS) < 5 * SECOND_NS
    assert token.token not in supervisor.log


def test_real_keystone_refuses(shared: Keystone) -> None:
    wrong = reason_of(configure(shared.url, password="wrong%s%"))
    assert "wrong user or password" in wrong
    lost = reason_of(configure(shared.url, "project_name=lost", password=shared.password))
    assert "project 'lost'" in lost
    assert "does not exist" in lost


def test_real_keystone_takes_a_password_with_percent_signs(shared: Keystone) -> None:
    shared.api.create_user("percy", PASSWORD, project="admin", role="reader")
    given = configure(f"{shared.url}/v3", user="percy")
    with discovery(given) as supervisor:
        assert {target.name for target in listed_once(supervisor).values()} == {"keystone"}


@pytest.mark.parametrize("domain", ["default", "Default"])
def test_real_keystones_default_domain_is_known_by_name_and_id(shared: Keystone, domain: str) -> None:
    extra = f"user_domain_name={domain}\nproject_domain_name={domain}"
    with discovery(configure(shared.url, extra, password=shared.password)) as supervisor:
        listed_once(supervisor)


def test_a_user_who_is_no_admin_sees_the_own_project(cloud: SimulatedCloud) -> None:
    given = configure(cloud.keystone_url, "project_name=demo", user="demo")
    with discovery(given) as supervisor:
        found = listed_once(supervisor)
    addresses = [target for target in found.values() if target.kind is Kind.ADDRESS]
    assert {target.project for target in addresses} == {"demo"}
    assert len(addresses) == 7
    assert all(target.server is not None for target in addresses)


def test_region_and_interface_choose_from_the_catalog(cloud: SimulatedCloud) -> None:
    two = tuple(
        replace(item, region=region, url=item.url.replace("127.0.0.1", host))
        for region, host in (("RegionOne", "127.0.0.1"), ("RegionTwo", "localhost"))
        for item in cloud.world.endpoints
    )
    cloud.change(lambda world: replace(world, endpoints=two))
    with discovery(configure(cloud.keystone_url)) as supervisor:
        both = [target for target in listed_once(supervisor).values() if target.kind is Kind.SERVICE]
    assert len(both) == 2 * len(NAMES)
    with discovery(configure(cloud.keystone_url, "region=RegionTwo\ninterface=internal")) as supervisor:
        found = listed_once(supervisor).values()
    assert {(target.region, target.interface) for target in found if target.kind is Kind.SERVICE} == {
        ("RegionTwo", "internal")
    }
    assert len([target for target in found if target.kind is Kind.ADDRESS]) == len(ADDRESSES)


def test_selection_applies_to_the_cloud_and_not_to_static_targets(cloud: SimulatedCloud) -> None:
    sections = (
        "[targets]\ninclude=n*, region:Nowhere, project:shop\nexclude=neutron, 172.16.166.153\n"
        "[static]\nips=127.0.0.0/30\nurls=neutral=http://127.0.0.1:1/x\n"
    )
    with discovery(configure(cloud.keystone_url, sections=sections)) as supervisor:
        names = {target.name for target in listed_once(supervisor).values()}
    shop = set(ADDRESSES[2::3]) - {"172.16.166.153"}
    assert names == {"nova", "neutral", *shop, "127.0.0.0", "127.0.0.1", "127.0.0.2", "127.0.0.3"}


def test_static_targets_need_no_keystone() -> None:
    sections = (
        "[static]\nips=127.0.1.0/24, ::1\nurls=web=http://127.0.0.1:8080/health api=https://127.0.0.1/\n"
    )
    with discovery(configure(None, sections=sections)) as supervisor:
        found = listed_once(supervisor)
        assert supervisor.finish() == 0
    assert len(found) == 256 + 1 + 2
    assert found[TargetId("static/web/http://127.0.0.1:8080/health")].url == "http://127.0.0.1:8080/health"


def test_as_many_static_addresses_as_are_allowed() -> None:
    with KeepingSupervisor(MODULE, configure(None, sections="[static]\nips=127.2.0.0/15\n")) as supervisor:
        assert len(listed_once(supervisor)) == 131_072
        assert max(len(part.found) for part in supervisor.of_kind(Listing)) <= CHUNK
        assert supervisor.finish() == 0


def test_a_great_list_is_news_once() -> None:
    """What the supervisor has taken in is not told again, in however many parts it has come."""
    with KeepingSupervisor(MODULE, configure(None, sections="[static]\nips=127.2.0.0/19\n")) as supervisor:
        assert len(listed_once(supervisor)) == len(supervisor.kept) == 8_192
        supervisor.send(Look())
        supervisor.wait(lambda: len(supervisor.complete()) == 2, "second list")
        second = supervisor.complete()[1]
        assert (second.found, second.missing) == ((), ())
        assert sum(len(part.found) for part in supervisor.of_kind(Listing)) == 8_192
        assert supervisor.finish() == 0


# --- what cannot start --------------------------------------------------------------------------


def test_a_wrong_password_is_one_line(cloud: SimulatedCloud) -> None:
    assert "wrong user or password" in reason_of(configure(cloud.keystone_url, password="no%t it"))


@pytest.mark.parametrize("path", ["", "/v3"])
def test_an_unreachable_keystone_is_one_line(path: str) -> None:
    url = f"http://127.0.0.1:{free_port()}{path}"
    assert reason_of(configure(url)) == (
        f"Keystone at {url} does not answer (connection refused); start it, or correct host and port in "
        "[global] keystone_endpoint in /etc/downtimer/conf.ini"
    )


def test_a_name_that_does_not_resolve_is_one_line() -> None:
    assert "does not resolve" in reason_of(configure("http://keystone.invalid:5000"))


def test_tls_that_is_none_is_one_line() -> None:
    """A server of plain HTTP waits for the end of a line in the greeting, or says at once that it is none."""
    with socketserver.TCPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            assert "TLS" in reason_of(configure(f"https://127.0.0.1:{server.server_address[1]}"))
        finally:
            server.shutdown()


class Plain(socketserver.BaseRequestHandler):
    """Says at once that this is plain HTTP."""

    def handle(self) -> None:
        """Answer."""
        self.request.recv(1)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        self.request.recv(4096)


def test_a_missing_file_of_certificates_is_one_line(cloud: SimulatedCloud) -> None:
    assert "[global] cacert" in reason_of(configure(cloud.keystone_url, "cacert=/nonexistent/ca.pem"))


@pytest.mark.parametrize("path", ["", "/v3"])
def test_another_service_is_no_keystone(cloud: SimulatedCloud, path: str) -> None:
    assert "no Keystone" in reason_of(configure(cloud.service("nova").url + path))


class Answers(BaseHTTPRequestHandler):
    """Says the same to everybody."""

    status = 200
    body = b"<html>Welcome to nginx</html>"
    location = ""

    def do_GET(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("X-Subject-Token", "abc")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    """Return what starts a server that gives one answer, and returns its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(tls: ssl.SSLContext | None = None, **said: object) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Answers,), said))
        servers.append(server)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


NEXT_TO_NOTHING = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"token"',
    b"{}",
    b'{"token": null}',
    b'{"token": []}',
    b'{"token": {"catalog": 5}}',
    b'{"token": {"expires_at": 5, "issued_at": []}}',
    b'{"versions": {"values": 5}}',
    b'{"versions": [{"id": "v3", "links": 5}]}',
    b'{"version": {"id": "v3", "status": "stable", "links": [{"rel": "self", "href": "http://["}]}}',
    b"[" * 200_000,
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("path", ["", "/v3"])
@pytest.mark.parametrize("said", NEXT_TO_NOTHING, ids=lambda said: ascii(said[:30]))
def test_nonsense_is_no_keystone(answering: Callable[..., str], said: bytes, path: str) -> None:
    assert "eystone at http" in reason_of(configure(answering(body=said) + path))


def test_errors_and_redirects_are_named(answering: Callable[..., str]) -> None:
    assert "answered 503" in reason_of(configure(answering(status=503)))
    assert "answered 500" in reason_of(configure(answering(status=500) + "/v3"))
    elsewhere = answering(status=301, location="https://elsewhere.invalid/\r\n")
    assert "redirects to 'https://elsewhere.invalid/" in reason_of(configure(elsewhere))


def test_certificates_are_verified(answering: Callable[..., str], tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*argv, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    url = answering(tls=context)
    refused = reason_of(configure(url))
    assert "has a certificate that fails" in refused
    assert "self" in refused
    assert "no Keystone" in reason_of(configure(url, f"cacert={certificate}"))
    assert "no Keystone" in reason_of(configure(url, "insecure=yes"))
    elsewhere = url.replace("127.0.0.1", "localhost")
    assert "localhost" in reason_of(configure(elsewhere, f"cacert={certificate}")).partition("fails")[2]


def test_a_static_name_that_the_catalog_has_cannot_start(cloud: SimulatedCloud) -> None:
    given = configure(cloud.keystone_url, sections="[static]\nurls=nova=http://127.0.0.1:1/\n")
    assert "[static] urls" in reason_of(given)


def test_section_that_fits_no_service_is_told_once_though_neutron_is_away(cloud: SimulatedCloud) -> None:
    cloud.service("neutron").set_mode("500")
    given = configure(cloud.keystone_url, sections="[check galnce]\nworks=no\n[check nova]\nworks=no\n")
    line = "[check galnce]: the catalog has no service of that name or type; did you mean glance?"
    with discovery(given) as supervisor:
        supervisor.wait_for(Listing)
        relist(supervisor)
        assert [told.lines for told in supervisor.of_kind(Complaints)] == [(line,)]
        assert supervisor.events().count(line) == 1


def test_filters_that_match_nothing_are_told_those_of_addresses_once_neutron_lists(
    cloud: SimulatedCloud,
) -> None:
    cloud.service("neutron").set_mode("500")
    given = configure(
        cloud.keystone_url, sections="[targets]\ninclude=nvoa, n*\nexclude=10.0.0.0/8, project:shop"
    )
    of_services = "[targets] include: 'nvoa' matches no service of the catalog; did you mean nova?"
    of_addresses = "[targets] exclude: '10.0.0.0/8' matches no floating IP"
    with discovery(given) as supervisor:
        supervisor.wait_for(Listing)
        assert [told.lines for told in supervisor.of_kind(Complaints)] == [(of_services,)]
        cloud.service("neutron").set_mode("normal")
        relist(supervisor)
        assert [told.lines for told in supervisor.of_kind(Complaints)][-1] == (of_services, of_addresses)


@pytest.mark.parametrize(
    ("extra", "sections", "why"),
    [
        (
            "region=RegionTow",
            "",
            "[global] region: the catalog has no public endpoint in 'RegionTow'",
        ),
        (
            "",
            "[targets]\nexclude=*, 0.0.0.0/0",
            "include and exclude leave nothing of 8 services and 20",
        ),
        ("", "[targets]\ninclude=swift", "[targets] include: 'swift' matches no service of the catalog"),
    ],
    ids=["region", "all excluded", "none included"],
)
def test_with_nothing_to_measure_it_cannot_start(
    cloud: SimulatedCloud, extra: str, sections: str, why: str
) -> None:
    reason = reason_of(configure(cloud.keystone_url, extra, sections=sections))
    assert reason.startswith("/etc/downtimer/conf.ini: nothing to measure: ")
    assert why in reason


# --- later --------------------------------------------------------------------------------------


def relist(supervisor: FakeSupervisor) -> list[Listing]:
    """Tell it to look, and return the listings of that look."""
    before = len(supervisor.of_kind(Listing))
    supervisor.send(Look())
    supervisor.wait_for(Listing, before + 1)
    return supervisor.of_kind(Listing)[before:]


def tell_known(supervisor: FakeSupervisor, targets: dict[TargetId, Target]) -> None:
    """Answer as the supervisor does: these are my targets now."""
    supervisor.send(Targets(serial=2, whole=False, changed=tuple(as_known(list(targets.values())))))


def test_looks_are_rate_limited_and_tell_differences(cloud: SimulatedCloud) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        cloud.change(drop_address(ADDRESSES[0]))
        for _ in range(20):
            supervisor.send(Look())
        (second,) = relist(supervisor)
        (first,) = supervisor.complete()[:1]
        assert second == Listing(at_ns=second.at_ns, missing=(FIRST,))
        assert 5 * SECOND_NS <= second.at_ns - first.at_ns < 8 * SECOND_NS
        fill(cloud)
        (third,) = relist(supervisor)
        assert third.missing == ()
        assert 5 * SECOND_NS <= third.at_ns - second.at_ns < 8 * SECOND_NS
        assert len(supervisor.of_kind(Token)) == 1


def test_service_of_which_a_call_hangs_is_not_asked(cloud: SimulatedCloud) -> None:
    """What is in its list stands, and what others list is told."""
    with discovery(configure(cloud.keystone_url)) as supervisor:
        targets = listed_once(supervisor)
        tell_known(supervisor, targets)
        supervisor.hanging = frozenset(id_ for id_, target in targets.items() if target.name == "neutron")
        cloud.change(drop_address(ADDRESSES[0]))
        (second,) = relist(supervisor)
        assert (second.missing, second.complete) == ((), False)
        (event,) = supervisor.events()
        assert "hangs, and is not asked; the last list stands" in event
        supervisor.hanging = frozenset()
        (third,) = relist(supervisor)
        assert (third.missing, third.complete) == ((FIRST,), True)


def test_keystone_away_later_leaves_the_list_standing(cloud: SimulatedCloud) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        cloud.service("keystone").kill()
        for _ in range(2):
            for part in relist(supervisor):
                assert part == Listing(at_ns=part.at_ns, complete=False)
        (event,) = supervisor.events()
        assert "does not answer (connection refused); the last list stands" in event
        cloud.service("keystone").start()
        relist(supervisor)
        assert supervisor.events()[1:] == ["Keystone lists again"]
        assert supervisor.complete()[-1] == Listing(at_ns=supervisor.complete()[-1].at_ns)


@pytest.mark.parametrize("mode", ["500", "401", "404", "reset", "200"])
def test_neutron_away_later_leaves_the_list_standing(cloud: SimulatedCloud, mode: str) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        cloud.service("neutron").set_mode(mode)
        (second,) = relist(supervisor)
        assert second == Listing(at_ns=second.at_ns, complete=False)
        (event,) = supervisor.events()
        assert "Neutron RegionOne" in event
        assert supervisor.process.poll() is None


def test_a_resumed_run_goes_on_trying(cloud: SimulatedCloud) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        known = listed_once(supervisor)
    cloud.service("keystone").kill()
    with discovery(configure(cloud.keystone_url), known=list(known.values())) as supervisor:
        (first,) = supervisor.wait_for(Listing)
        assert first == Listing(at_ns=first.at_ns, complete=False)
        cloud.service("keystone").start()
        (second,) = relist(supervisor)
        assert second == Listing(at_ns=second.at_ns)
        assert supervisor.finish() == 0


def test_a_revoked_token_is_replaced_once(cloud: SimulatedCloud) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        (old,) = supervisor.of_kind(Token)
        (kept,) = relist(supervisor)  # makes the token old enough to be doubted
        cloud.change(lambda world: replace(world, revoked=(old.token,)))
        supervisor.wait(lambda: supervisor.now_ns() - old.issued_ns > 11 * SECOND_NS, "age")
        parts = relist(supervisor)
        assert parts[-1] == Listing(at_ns=parts[-1].at_ns)
        assert supervisor.events() == []
        _, new = supervisor.of_kind(Token)
        assert new.token != old.token
        assert kept.complete


def test_odd_entries_are_passed_over_and_reported_once(cloud: SimulatedCloud) -> None:
    def spoil(world: World) -> World:
        odd = [
            Endpoint(service="x\n\x1b[2J", type="x", region="RegionOne", interface="public", url=url)
            for url in ("/v1", "ws://127.0.0.1:9000", "http://127.0.0.1:0/", "http://127.0.0.1/\n")
        ]
        named = Endpoint(
            service="", type="sharev2", region="RegionOne", interface="public", url="http://127.0.0.1:1/v2"
        )
        bad = replace(world.floatingips[0], id="bad", address="not an address\x1b")
        again = replace(world.floatingips[0], id="again")
        return replace(
            world,
            endpoints=(*world.endpoints, *odd, named, named),
            floatingips=(*world.floatingips, bad, again),
        )

    cloud.change(spoil)
    with discovery(configure(cloud.keystone_url)) as supervisor:
        found = listed_once(supervisor)
        relist(supervisor)
        assert len(supervisor.events()) == 5
        assert all(text.isprintable() for text in supervisor.events())
    assert {target.name for target in found.values()} == {*NAMES, "sharev2", *ADDRESSES}


def test_beats_go_on_while_keystone_hangs_and_finish_is_obeyed(cloud: SimulatedCloud) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        cloud.service("keystone").stop_signal()
        supervisor.send(Look())
        supervisor.wait_for(Beat, len(supervisor.of_kind(Beat)) + 7)
        started_ns = supervisor.now_ns()
        assert supervisor.finish() == 0
        assert supervisor.now_ns() - started_ns < 3 * SECOND_NS


def test_a_token_that_a_worker_saw_refused_is_replaced(cloud: SimulatedCloud) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        (old,) = supervisor.of_kind(Token)
        supervisor.send(TokenRejected(issued_ns=old.issued_ns))  # too young: the fault is not the token's
        supervisor.send(TokenRejected(issued_ns=old.issued_ns - 1))
        supervisor.wait(lambda: supervisor.now_ns() - old.issued_ns > 10.5 * SECOND_NS, "age")
        assert len(supervisor.of_kind(Token)) == len(supervisor.of_kind(Listing)) == 1
        supervisor.send(TokenRejected(issued_ns=old.issued_ns))
        _, new = supervisor.wait_for(Token, 2)
        assert new.token != old.token


def test_a_catalog_that_loses_neutron_loses_no_address(cloud: SimulatedCloud) -> None:
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        kept = tuple(item for item in cloud.world.endpoints if item.type != "network")
        cloud.change(lambda world: replace(world, endpoints=kept))
        (second,) = relist(supervisor)
        assert second == Listing(at_ns=second.at_ns, complete=False)
        assert supervisor.events() == ["the catalog has no Neutron RegionOne any more; the last list stands"]


def test_no_process_outlives_its_parent(cloud: SimulatedCloud, tmp_path: Path) -> None:
    """The kernel kills discovery with its parent; a wrong parent is noticed."""
    argv = [sys.executable, "-m", MODULE, "--bus", f"ipc://{tmp_path}/bus", "--run", "r"]
    argv += ["--incarnation", "discovery.1", "--parent", "1"]
    assert cloud.service("keystone").pid is not None
    assert subprocess.run(argv, timeout=20, check=False).returncode == 1


def test_a_real_token_with_a_short_life_is_renewed_ahead_of_its_end(
    keystone_venv: KeystoneInstallation, tmp_path: Path
) -> None:
    with (
        Keystone(keystone_venv, tmp_path / "keystone", token_lifetime_s=9) as keystone,
        discovery(configure(keystone.url, password=keystone.password)) as supervisor,
    ):
        first, second, third = supervisor.wait_for(Token, 3)
        assert supervisor.events() == []
    for old, new in ((first, second), (second, third)):
        assert old.expires_ns is not None
        assert old.issued_ns < new.issued_ns < old.expires_ns
        assert old.token != new.token


# --- lists that wobble, and servers ---------------------------------------------------------------


def test_an_empty_list_and_a_partial_one_are_told_as_they_are(cloud: SimulatedCloud) -> None:
    """What to make of them is for the supervisor; a new address is there with the next list."""
    with KeepingSupervisor(MODULE, configure(cloud.keystone_url)) as supervisor:
        listed_once(supervisor)
        cloud.change(lambda world: replace(world, floatingips=()))
        (empty,) = relist(supervisor)
        assert (len(empty.missing), empty.lacks_most, empty.complete) == (len(ADDRESSES), True, True)
        fill(cloud)
        cloud.change(drop_address(ADDRESSES[3]))
        (partial,) = relist(supervisor)
        assert (partial.missing, partial.lacks_most) == ((f"address/{ADDRESSES[3]}",), False)
        assert len(partial.found) == len(ADDRESSES) - 1  # they are back
        new = make_world(cloud.config, ("172.16.166.250",))
        cloud.change(lambda world: replace(world, floatingips=(*world.floatingips, *new.floatingips)))
        (grown,) = relist(supervisor)
        assert [target.name for target in grown.found] == ["172.16.166.250"]


def powers(supervisor: FakeSupervisor) -> Powers:
    """Have it look; return what it then tells of servers."""
    before = len(supervisor.of_kind(Powers))
    supervisor.send(Look())
    return supervisor.wait_for(Powers, before + 1)[-1]


def test_what_owners_do_to_their_servers_is_told_once(cloud: SimulatedCloud) -> None:
    cloud.set_server(ADDRESSES[0], "SHUTOFF")
    with discovery(configure(cloud.keystone_url)) as supervisor:
        known = listed_once(supervisor)
        (first,) = supervisor.wait_for(Powers)
        server, other = (known[TargetId(f"address/{ADDRESSES[i]}")].server_id for i in (0, 1))
        assert (first.changed, first.complete) == ({server: Power.STOPPED}, True)
        stopped = (PowerChange(0, 0, Power.STOPPED),)
        states = [
            replace(state, powers=stopped if state.target.server_id == server else ())
            for state in as_known(list(known.values()))
        ]
        supervisor.send(Targets(serial=2, whole=False, changed=tuple(states)))
        assert powers(supervisor).changed == {}
        cloud.set_server(ADDRESSES[0], "ACTIVE")
        cloud.set_server(ADDRESSES[1], "ACTIVE", "deleting")
        assert powers(supervisor).changed == {server: Power.RUNNING, other: Power.DELETED}


def test_a_user_who_is_no_admin_learns_of_the_own_servers(cloud: SimulatedCloud) -> None:
    for address in ADDRESSES[:3]:
        cloud.set_server(address, "PAUSED")
    given = configure(cloud.keystone_url, "project_name=demo", user="demo")
    with discovery(given) as supervisor:
        listed_once(supervisor)
        (told,) = supervisor.wait_for(Powers)
        assert list(told.changed.values()) == [Power.STOPPED]


def test_a_nova_that_is_away_is_no_news_of_servers(cloud: SimulatedCloud) -> None:
    """The addresses are listed all the same; once it is back, what changed meanwhile is told."""
    with discovery(configure(cloud.keystone_url)) as supervisor:
        tell_known(supervisor, listed_once(supervisor))
        supervisor.wait_for(Powers)
        cloud.service("nova").set_mode("500")
        assert relist(supervisor)[-1].complete
        relist(supervisor)
        assert len(supervisor.of_kind(Powers)) == 1
        cloud.set_server(ADDRESSES[0], "SHUTOFF")
        cloud.service("nova").set_mode("normal")
        assert list(powers(supervisor).changed.values()) == [Power.STOPPED]
