"""The simulated cloud's services: real processes, asked by real clients."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import generic

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.demo.services import PROFILES
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
