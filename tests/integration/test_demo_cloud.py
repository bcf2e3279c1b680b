"""The simulated cloud's services: real processes, asked by real clients."""

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import generic, v3

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.identity import credential_id
from downtimer.demo.processes import DemoError
from downtimer.demo.services import PROFILES, PROJECT, Profile
from downtimer.demo.tokens import KeystoneAwayError, RemoteGate
from downtimer.demo.truth import now_ns
from downtimer.model import SECOND_NS
from tests.integration.demo_clients import (
    LOOPBACK,
    TIMEOUT_S,
    sign_in,
    status_of,
    token_of,
)
from tests.integration.keystone_env import Keystone
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    """Services alone, on the loopback."""
    with SimulatedCloud(LOOPBACK) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def whole() -> Iterator[SimulatedCloud]:
    """Every service there is, and each asks Keystone whose a token is."""
    config = CloudConfig(network="none", services=tuple(PROFILES), validates=True, keystone_retries=0)
    with SimulatedCloud(config) as simulated:
        yield simulated


def ask(cloud: SimulatedCloud, name: str, path: str, token: str = "") -> requests.Response:
    """Ask a service something, with a token if one is given."""
    headers = {"X-Auth-Token": token} if token else {}
    url = f"{cloud.service(name).url}{path}"
    return requests.get(url, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, token: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """Send a request, and read its answer to the end."""
    connection.request(method, path, headers={"X-Auth-Token": token} if token else {})
    response = connection.getresponse()
    return response, response.read()


def statuses(profile: Profile, token: str) -> Iterator[tuple[str, str, int]]:
    """Yield method, path and status of every cell of the table, of the calls too."""
    yield "GET", "/", profile.root
    yield "HEAD", "/", profile.head
    for path, status in (("/healthcheck", profile.health), ("/nonsense", profile.unknown)):
        yield "GET", path, 404 if token and status == 401 else status
    for entry in profile.entries:
        yield "GET", entry.path or "/", entry.scoped if token else entry.anonymous
    for listing in profile.listings:
        yield "GET", listing.path, 200 if token else 401


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("has_token", [False, True], ids=["no token", "token"])
def test_processes_answer_by_the_table(whole: SimulatedCloud, profile: Profile, *, has_token: bool) -> None:
    token = token_of(sign_in(whole)) if has_token else ""
    parts = urlsplit(whole.services[profile.name].url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        for method, path, status in statuses(profile, token):
            response, body = exchange(connection, method, path.replace(PROJECT, "abc"), token)
            assert (method, path, response.status) == (method, path, status)
            assert response.will_close is not profile.keep_alive
            assert response.getheader("Connection") == (None if profile.keep_alive else "close")
            length = response.getheader("Content-Length")
            if method == "GET":
                assert length == (str(len(body)) if profile.keep_alive else None)
            assert response.getheader("Transfer-Encoding") is None
            asks_for_token = response.getheader("WWW-Authenticate", "").startswith("Keystone uri=")
            assert asks_for_token is (status == 401)
            assert (response.getheader("Date") is not None) is profile.keep_alive


@pytest.mark.parametrize("path", ["", "/", "/v3", "/v3/"])
def test_keystoneauth_signs_in_with_and_without_version(cloud: SimulatedCloud, path: str) -> None:
    client = sign_in(cloud, path)
    assert client.get_token()
    assert client.get_endpoint(service_type="network") == cloud.service("neutron").url
    volume = client.get_endpoint(service_type="volumev3", interface="internal")
    assert volume == f"{cloud.service('cinder').url}/v3/{client.get_project_id()}"


def test_wrong_password_is_unauthorized(cloud: SimulatedCloud) -> None:
    with pytest.raises(exceptions.Unauthorized):
        sign_in(cloud, password="se%cret").get_token()


def test_token_is_rescoped_by_token(cloud: SimulatedCloud) -> None:
    token = token_of(sign_in(cloud))
    plugin = generic.Token(
        auth_url=cloud.keystone_url, token=token, project_name="demo", project_domain_id="default"
    )
    client = session.Session(auth=plugin, timeout=TIMEOUT_S)
    assert client.get_token() != token
    assert client.get_project_id() != sign_in(cloud).get_project_id()


def test_application_credential_signs_in_and_its_token_is_not_rescoped(cloud: SimulatedCloud) -> None:
    secret = cloud.config.password

    def signed_in(key: str, secret: str) -> session.Session:
        plugin = v3.ApplicationCredential(
            f"{cloud.keystone_url}/v3", application_credential_id=key, application_credential_secret=secret
        )
        return session.Session(auth=plugin, timeout=TIMEOUT_S)

    key = credential_id(cloud.config.user)
    client = signed_in(key, secret)
    assert client.get_endpoint(service_type="network") == cloud.service("neutron").url
    with pytest.raises(exceptions.Unauthorized):
        signed_in(key, f"{secret}x").get_token()
    with pytest.raises(exceptions.NotFound, match="Could not find Application Credential"):
        signed_in("0" * 32, secret).get_token()
    token, project_id = token_of(client), client.get_project_id()
    plugin = v3.Token(f"{cloud.keystone_url}/v3", token=token, project_id=project_id)
    with pytest.raises(exceptions.Forbidden, match="delegated token"):
        session.Session(auth=plugin, timeout=TIMEOUT_S).get_token()


def test_regions_each_have_their_endpoints() -> None:
    config = CloudConfig(network="none", services=("keystone",), regions=("RegionOne", "RegionTwo"))
    with SimulatedCloud(config) as cloud:
        urls = {
            sign_in(cloud).get_endpoint(service_type="identity", region_name=region)
            for region in config.regions
        }
        assert urls == {f"{cloud.keystone_url}/v3/"}
        with pytest.raises(exceptions.EndpointNotFound):
            sign_in(cloud).get_endpoint(service_type="identity", region_name="RegionThree")


def test_token_expires(cloud: SimulatedCloud) -> None:
    cloud.change(lambda world: replace(world, token_ttl_s=0.2))
    try:
        headers = {"X-Auth-Token": token_of(sign_in(cloud))}
        url = f"{cloud.keystone_url}/v3/projects"
        wait_until(
            lambda: requests.get(url, headers=headers, timeout=TIMEOUT_S).status_code == 401,
            timeout_s=5,
            what="the token to expire",
        )
    finally:
        cloud.change(lambda world: replace(world, token_ttl_s=3600.0))


def test_token_survives_a_restart_of_keystone(cloud: SimulatedCloud) -> None:
    headers = {"X-Auth-Token": token_of(sign_in(cloud))}
    cloud.service("keystone").kill()
    cloud.service("keystone").start()
    url = f"{cloud.keystone_url}/v3/projects"
    assert requests.get(url, headers=headers, timeout=TIMEOUT_S).status_code == 200


def test_what_keystone_said_is_remembered_while_it_is_away(whole: SimulatedCloud) -> None:
    known, new = token_of(sign_in(whole)), token_of(sign_in(whole))
    assert ask(whole, "nova", "/v2.1/servers?limit=1", known).status_code == 200
    whole.service("keystone").kill()
    try:
        assert ask(whole, "nova", "/v2.1/servers?limit=1", known).status_code == 200
        refused = ask(whole, "nova", "/v2.1/servers?limit=1", new)
        assert refused.status_code == 503
        assert "The Keystone service is temporarily unavailable." in refused.text
        assert ask(whole, "glance", "/v2/images?limit=1", new).status_code == 401
        assert ask(whole, "nova", "/v2.1/servers?limit=1").status_code == 401
    finally:
        whole.service("keystone").start()
    assert ask(whole, "nova", "/v2.1/servers?limit=1", new).status_code == 200


def test_keystone_that_answers_with_an_error_is_away_too(whole: SimulatedCloud) -> None:
    new = token_of(sign_in(whole))
    whole.service("keystone").set_database("dead")
    try:
        assert ask(whole, "neutron", "/v2.0/networks?limit=1", new).status_code == 503
    finally:
        whole.service("keystone").set_database("alive")
    assert ask(whole, "neutron", "/v2.0/networks?limit=1", new).status_code == 200
    assert ask(whole, "neutron", "/v2.0/networks?limit=1", f"{new}0").status_code == 401


def test_service_waits_for_a_keystone_that_hangs(whole: SimulatedCloud) -> None:
    headers = {"X-Auth-Token": token_of(sign_in(whole))}
    url = f"{whole.service('nova').url}/v2.1/servers?limit=1"
    whole.service("keystone").stop_signal()
    try:
        with pytest.raises(requests.ReadTimeout):
            requests.get(url, headers=headers, timeout=0.5)
    finally:
        whole.service("keystone").continue_signal()
    assert requests.get(url, headers=headers, timeout=TIMEOUT_S).status_code == 200


def test_revoked_token_is_accepted_where_it_is_remembered(whole: SimulatedCloud) -> None:
    token = token_of(sign_in(whole))
    assert ask(whole, "nova", "/v2.1/servers", token).status_code == 200
    whole.change(lambda world: replace(world, revoked=(token,)))
    try:
        assert ask(whole, "nova", "/v2.1/servers", token).status_code == 200
        assert ask(whole, "cinder", "/v3/abc/volumes", token).status_code == 401
        assert ask(whole, "keystone", "/v3/projects", token).status_code == 401
    finally:
        whole.change(lambda world: replace(world, revoked=()))


def test_remembered_token_expires(whole: SimulatedCloud) -> None:
    whole.change(lambda world: replace(world, token_ttl_s=1.0))
    try:
        token = token_of(sign_in(whole))
    finally:
        whole.change(lambda world: replace(world, token_ttl_s=3600.0))
    assert ask(whole, "nova", "/v2.1/servers", token).status_code == 200
    wait_until(
        lambda: ask(whole, "nova", "/v2.1/servers", token).status_code == 401,
        timeout_s=5,
        what="the token to expire",
    )


def seconds_until_away(gate: RemoteGate, token: str) -> float:
    """Ask for a token that can't be checked; return how long that took."""
    before = time.monotonic()
    with pytest.raises(KeystoneAwayError):
        gate.check(token)
    return time.monotonic() - before


def test_keystone_is_tried_again_by_who_has_reached_it_before(whole: SimulatedCloud) -> None:
    known, new = token_of(sign_in(whole)), token_of(sign_in(whole))
    old_hand, novice = RemoteGate(whole.keystone_url, retries=2), RemoteGate(whole.keystone_url)
    assert old_hand.check(known) is not None
    whole.service("keystone").kill()
    try:
        assert 1.5 <= seconds_until_away(old_hand, new) < 2.5
        assert seconds_until_away(novice, new) < 0.5
    finally:
        whole.service("keystone").start()


def test_keystone_that_fails_is_not_tried_again(whole: SimulatedCloud) -> None:
    known, new = token_of(sign_in(whole)), token_of(sign_in(whole))
    gate = RemoteGate(whole.keystone_url)
    assert gate.check(known) is not None
    whole.service("keystone").set_mode("503")
    try:
        assert seconds_until_away(gate, new) < 0.5
    finally:
        whole.service("keystone").set_mode("normal")


def test_keystone_that_is_silent_for_too_long_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = RemoteGate(f"http://127.0.0.1:{listener.getsockname()[1]}/v3", retries=0, timeout_s=0.2)
        with pytest.raises(KeystoneAwayError):
            gate.check("token")


def test_exchange_of_a_token_hangs_with_the_database(cloud: SimulatedCloud) -> None:
    token = token_of(sign_in(cloud))
    identity = {"methods": ["token"], "token": {"id": token}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": sign_in(cloud).get_project_id()}}}}
    url = f"{cloud.keystone_url}/v3/auth/tokens?nocatalog"
    service = cloud.service("keystone")
    assert requests.post(url, json=body, timeout=TIMEOUT_S).status_code == 201
    try:
        service.set_database("frozen")
        with pytest.raises(requests.ReadTimeout):
            requests.post(url, json=body, timeout=0.5)
        assert status_of(cloud, "keystone") == 300
        service.set_database("dead")
        assert requests.post(url, json=body, timeout=TIMEOUT_S).status_code == 500
    finally:
        service.set_database("alive")


def test_agents_are_as_the_cloud_is_told(cloud: SimulatedCloud) -> None:
    token = token_of(sign_in(cloud))

    def down() -> list[tuple[str, str]]:
        listed = ask(cloud, "nova", "/v2.1/os-services", token).json()["services"]
        return [(agent["binary"], agent["host"]) for agent in listed if agent["state"] == "down"]

    assert down() == []
    cloud.set_agent("nova-compute", "cmp2", is_up=False)
    assert down() == [("nova-compute", "cmp2")]
    cloud.set_agent("nova-compute", "cmp2", is_up=True)
    assert down() == []
    with pytest.raises(DemoError, match="no agent nova-compute on ctl9"):
        cloud.set_agent("nova-compute", "ctl9", is_up=False)


def test_lists_can_be_forbidden(cloud: SimulatedCloud) -> None:
    token = token_of(sign_in(cloud))
    cloud.change(lambda world: replace(world, forbidden=("nova",)))
    try:
        assert ask(cloud, "nova", "/v2.1/servers?limit=1", token).status_code == 403
        assert ask(cloud, "neutron", "/v2.0/networks?limit=1", token).status_code == 200
    finally:
        cloud.change(lambda world: replace(world, forbidden=()))


def test_neutron_asks_a_real_keystone_beside_it(keystone: Keystone) -> None:
    config = CloudConfig(network="none", services=("neutron", "nova"), keystone=keystone.url)
    with SimulatedCloud(replace(config, user=keystone.user, password=keystone.password)) as cloud:
        assert cloud.keystone_url == keystone.url
        url = f"{cloud.service('neutron').url}/v2.0/floatingips"
        headers = {"X-Auth-Token": token_of(sign_in(cloud))}
        listed = requests.get(url, headers=headers, timeout=TIMEOUT_S).json()["floatingips"]
        assert [item["port_id"] for item in listed] == [None]
        servers = f"{cloud.service('nova').url}/v2.1/servers/detail?all_tenants=1"
        assert requests.get(servers, headers=headers, timeout=TIMEOUT_S).status_code == 200
        headers = {"X-Auth-Token": headers["X-Auth-Token"][:-4] + "AAAA"}
        assert requests.get(url, headers=headers, timeout=TIMEOUT_S).status_code == 401


def test_floating_ips_come_in_pages_no_longer_than_the_cap() -> None:
    config = replace(LOOPBACK, unassociated=tuple(f"10.9.0.{index}" for index in range(1, 8)))
    with SimulatedCloud(config) as cloud:
        client, sizes = sign_in(cloud), []
        url: str | None = f"{cloud.service('neutron').url}/v2.0/floatingips?limit=5"
        while url:
            page = client.get(url).json()
            sizes.append(len(page["floatingips"]))
            links = page.get("floatingips_links", [])
            url = links[0]["href"] if links else None
        assert sizes == [3, 3, 1]


def test_list_of_floating_ips_changes_at_run_time(cloud: SimulatedCloud) -> None:
    client, url = sign_in(cloud), f"{cloud.service('neutron').url}/v2.0/floatingips"
    before = cloud.world
    assert len(client.get(url).json()["floatingips"]) == 1
    cloud.change(lambda world: replace(world, floatingips=()))
    assert client.get(url).json()["floatingips"] == []
    cloud.change(lambda _: before)


def test_only_neutron_keeps_connections(cloud: SimulatedCloud) -> None:
    assert "Connection" not in requests.get(cloud.service("neutron").url, timeout=TIMEOUT_S).headers
    answer = requests.get(cloud.service("nova").url, timeout=TIMEOUT_S)
    assert answer.headers["Connection"] == "close"
    assert "Content-Length" not in answer.headers


def test_kept_connection_is_closed_within_milliseconds_of_a_kill(cloud: SimulatedCloud) -> None:
    service = cloud.service("neutron")
    with socket.create_connection((service.place.host, service.place.port), TIMEOUT_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        service.kill()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        closed_ns = now_ns()
    service.start()
    assert closed_ns - cloud.truth.of("neutron")[-1].start.latest_ns < 50_000_000


def test_killed_service_refuses_and_comes_back_on_the_same_port(cloud: SimulatedCloud) -> None:
    service = cloud.service("nova")
    port = service.place.port
    service.kill()
    assert status_of(cloud, "nova") == "ConnectionError"
    killed_ns = now_ns()
    service.start()
    assert (status_of(cloud, "nova"), service.place.port) == (200, port)
    fault = cloud.truth.of("nova")[-1]
    assert fault.what == "kill"
    assert fault.end is not None
    assert fault.start.earliest_ns < fault.start.latest_ns < killed_ns < fault.end.earliest_ns
    assert fault.end.latest_ns - fault.end.earliest_ns < SECOND_NS


def test_service_starts_quickly(cloud: SimulatedCloud) -> None:
    durations = []
    for _ in range(3):
        cloud.service("nova").kill()
        before = time.monotonic()
        cloud.service("nova").start()
        durations.append(time.monotonic() - before)
    assert min(durations) < 0.3


def test_stopped_service_hangs_and_answers_when_continued(cloud: SimulatedCloud) -> None:
    service = cloud.service("nova")
    service.stop_signal()
    assert status_of(cloud, "nova", timeout_s=0.5) == "ReadTimeout"
    service.continue_signal()
    assert status_of(cloud, "nova") == 200
    fault = cloud.truth.of("nova")[-1]
    assert fault.seconds(60.0)[1] == pytest.approx(0.0, abs=0.1)
    assert fault.seconds(0.1)[0] > 0.3


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("503", 503),
        ("404", 404),
        ("reset", "ConnectionError"),
        ("hang", "ReadTimeout"),
        ("drip", "ConnectionError"),  # requests names a timeout in the body so
    ],
)
def test_modes_change_at_run_time(cloud: SimulatedCloud, mode: str, outcome: int | str) -> None:
    service = cloud.service("cinderv2")
    service.set_mode(mode)
    assert status_of(cloud, "cinderv2", timeout_s=0.5) == outcome
    service.set_mode("normal")
    assert status_of(cloud, "cinderv2") == 300
    for target in ("cinder", "cinderv2"):
        assert cloud.truth.of(target)[-1].what == f"mode {mode}"
        assert cloud.truth.of(target)[-1].end is not None


def test_restarted_service_may_listen_before_it_answers(cloud: SimulatedCloud) -> None:
    service = cloud.service("nova")
    service.kill()
    service.start(warmup_s=0.5)
    fault = cloud.truth.of("nova")[-1]
    assert fault.seconds(0.0)[1] - fault.seconds(60.0)[1] == pytest.approx(0.5, abs=0.2)


def test_frozen_database_hangs_calls_but_not_the_root(cloud: SimulatedCloud) -> None:
    service, client = cloud.service("neutron"), sign_in(cloud)
    url = f"{service.url}/v2.0/networks?limit=1"
    assert client.get(url).json() == {"networks": []}
    service.set_database("frozen")
    with pytest.raises(exceptions.ConnectTimeout):
        client.get(url, timeout=0.5)
    assert status_of(cloud, "neutron") == 200
    service.set_database("dead")
    assert client.get(url, raise_exc=False).status_code == 503
    service.set_database("alive")
    assert client.get(url).status_code == 200


def test_workers_limit_how_many_requests_are_answered_at_a_time() -> None:
    config = CloudConfig(network="none", services=("keystone", "nova"), workers=2)
    with SimulatedCloud(config) as cloud, contextlib.ExitStack() as held:
        service = cloud.service("nova")
        for _ in range(2):
            held.enter_context(socket.create_connection((service.place.host, service.place.port), TIMEOUT_S))
        assert status_of(cloud, "nova", timeout_s=0.3) == "ReadTimeout"
        held.close()
        assert status_of(cloud, "nova") == 200


def test_every_profile_runs() -> None:
    with SimulatedCloud(CloudConfig(network="none", services=tuple(PROFILES))) as cloud:
        assert {name: status_of(cloud, name) for name in PROFILES} == {
            name: profile.root for name, profile in PROFILES.items()
        }


def test_standby_takes_the_place_of_a_killed_service_within_milliseconds(cloud: SimulatedCloud) -> None:
    service = cloud.service("nova")
    service.prepare()
    service.prepare()  # one is enough
    time.sleep(2.0)  # it has to be there
    service.kill()
    service.start()
    fault = cloud.truth.of("nova")[-1]
    assert fault.end is not None
    assert fault.end.latest_ns - fault.start.latest_ns < 100_000_000
    assert status_of(cloud, "nova") == 200
