"""The simulated cloud: real processes, real addresses, real clients; and nothing left of it afterwards."""

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import generic

from downtimer.demo import netns
from downtimer.demo.cloud import SERVICE_IP, CloudConfig, SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.netns import Namespaces, NoNamespaceError
from downtimer.demo.processes import DemoError, Spawner
from downtimer.demo.responder import Behaviour
from downtimer.demo.services import PROFILES
from downtimer.demo.truth import now_ns
from downtimer.model import SECOND_NS
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation
from tests.waiting import wait_until

TIMEOUT_S = 5.0
LOOPBACK = CloudConfig(network="none", services=("keystone", "neutron", "nova", "cinder"), page_cap=3)
SMALL = CloudConfig(services=("keystone", "nova"), addresses=("172.16.166.151", "172.16.166.152"))


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    """Services alone, on the loopback."""
    with SimulatedCloud(LOOPBACK) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def networked() -> Iterator[SimulatedCloud]:
    """Two services and two addresses in namespaces, whichever kind can be had."""
    with SimulatedCloud(SMALL) as simulated:
        assert simulated.has_network, simulated.no_network
        yield simulated


def sign_in(cloud: SimulatedCloud, path: str = "", *, password: str | None = None) -> session.Session:
    plugin = generic.Password(
        auth_url=cloud.keystone_url + path,
        username=cloud.config.user,
        password=cloud.config.password if password is None else password,
        project_name="admin",
        user_domain_id="default",
        project_domain_id="default",
    )
    return session.Session(auth=plugin, timeout=TIMEOUT_S)


def token_of(client: session.Session) -> str:
    token = client.get_token()
    assert token is not None
    return token


def status_of(cloud: SimulatedCloud, name: str, *, timeout_s: float = 1.0) -> int | str:
    """Ask a service's root with a connection of its own; the status, or the name of the exception."""
    try:
        return requests.get(cloud.service(name).url, timeout=timeout_s, allow_redirects=False).status_code
    except requests.RequestException as error:
        return type(error).__name__


def ping(cloud: SimulatedCloud, address: str, *options: str) -> str:
    process = cloud.run_in_vantage(["ping", "-n", *options, address], stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=30)
    return output.decode()


def exists(pid: int) -> bool:
    """Whether a process is there; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


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


def test_real_keystone_runs_inside_the_simulated_cloud(
    keystone_venv: KeystoneInstallation, tmp_path: Path
) -> None:
    url = f"http://{SERVICE_IP}:5000"
    with SimulatedCloud(CloudConfig(services=("neutron",), keystone=url)) as cloud:
        inside = cloud.network.in_cloud([])
        with Keystone(
            keystone_venv, tmp_path / "keystone", host=SERVICE_IP, port=5000, prefix=inside
        ) as server:
            assert server.url == cloud.keystone_url
            script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=20).status)"
            asked = cloud.run_in_vantage([sys.executable, "-c", script, f"{url}/v3/"], stdout=subprocess.PIPE)
            assert asked.communicate(timeout=30)[0].split() == [b"200"]


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
    with socket.create_connection((service.host, service.port), TIMEOUT_S) as connection:
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
    port = service.port
    service.kill()
    assert status_of(cloud, "nova") == "ConnectionError"
    killed_ns = now_ns()
    service.start()
    assert (status_of(cloud, "nova"), service.port) == (200, port)
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
            held.enter_context(socket.create_connection((service.host, service.port), TIMEOUT_S))
        assert status_of(cloud, "nova", timeout_s=0.3) == "ReadTimeout"
        held.close()
        assert status_of(cloud, "nova") == 200


def test_service_answers_in_the_namespace_at_the_address_of_the_howto(networked: SimulatedCloud) -> None:
    assert networked.keystone_url == f"http://{SERVICE_IP}:5000"
    script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).status)"
    process = networked.run_in_vantage(
        [sys.executable, "-c", script, networked.service("nova").url], stdout=subprocess.PIPE
    )
    assert process.communicate(timeout=30)[0].split() == [b"200"]


def test_dropped_address_is_silent_and_comes_back(networked: SimulatedCloud) -> None:
    first, other = networked.addresses
    assert " 0% packet loss" in ping(networked, first, "-c1", "-w2")
    networked.drop(first)
    silent = ping(networked, first, "-c3", "-i0.2", "-W1")
    assert "100% packet loss" in silent
    assert "Unreachable" not in silent
    assert " 0% packet loss" in ping(networked, other, "-c1", "-w2")
    networked.restore(first)
    assert " 0% packet loss" in ping(networked, first, "-c1", "-w2")


def test_ping_measures_what_the_record_says(networked: SimulatedCloud) -> None:
    """Ping stamps each reply with the wall clock; the gap between two must hold the recorded outage."""
    address = networked.addresses[0]
    process = networked.run_in_vantage(["ping", "-n", "-D", "-i0.05", address], stdout=subprocess.PIPE)
    assert process.stdout is not None
    heard = b"".join(process.stdout.readline() for _ in range(5))
    networked.drop(address)
    _wait(0.7)
    networked.restore(address)
    _wait(0.5)
    process.send_signal(signal.SIGINT)
    heard += process.stdout.read()
    process.wait(10)
    stamps = [float(stamp) for stamp in re.findall(rb"\[([\d.]+)\] \d+ bytes", heard)]
    gap_s = max(later - sooner for sooner, later in itertools.pairwise(stamps))
    least, most = networked.truth.of(address)[-1].seconds(1.0)
    assert least <= gap_s <= most + 0.15


def test_rejected_address_is_unreachable_from_the_router(networked: SimulatedCloud) -> None:
    address = networked.addresses[1]
    networked.reject(address)
    assert f"From {netns.GATEWAY_IP}" in ping(networked, address, "-c1", "-W1")
    networked.restore(address)
    assert " 0% packet loss" in ping(networked, address, "-c1", "-w2")


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(delay_s=0.3), r" 0% packet loss.*rtt min/avg/max/mdev = 3\d\d\."),
        (Behaviour(loss=1.0), r" 100% packet loss"),
        (Behaviour(copies=2), r"10 received, \+9 duplicates, 0% packet loss"),  # it ends with the tenth
        (Behaviour(source="172.16.166.152"), r"64 bytes from 172\.16\.166\.152.*DIFFERENT ADDRESS"),
    ],
    ids=["late", "never", "twice", "from elsewhere"],
)
def test_impaired_address_answers_as_told(networked: SimulatedCloud, behaviour: Behaviour, said: str) -> None:
    address = networked.addresses[0]
    before = len(networked.echoes(address))
    networked.impair(address, behaviour=behaviour, is_outage=False)
    assert re.search(said, ping(networked, address, "-c10", "-i0.02", "-W1"), re.DOTALL)
    networked.restore(address)
    echoes = networked.echoes(address)[before:]
    copies = 0 if behaviour.loss else behaviour.copies
    assert [echo.copies for echo in echoes] == [copies] * 10
    assert networked.truth.of(address)[-1].down(1.0) is None
    assert " 0% packet loss" in ping(networked, address, "-c1", "-w2")


def test_lost_share_is_in_the_injectors_log(networked: SimulatedCloud) -> None:
    address = networked.addresses[0]
    before = len(networked.echoes(address))
    networked.impair(address, behaviour=Behaviour(loss=0.3), is_outage=False)
    heard = re.search(
        r"100 packets transmitted, (\d+) received", ping(networked, address, "-c100", "-i0.01", "-W1")
    )
    networked.restore(address)
    assert heard is not None
    assert sum(echo.copies for echo in networked.echoes(address)[before:]) == int(heard[1])
    assert 50 <= int(heard[1]) <= 90


def test_cut_link_silences_everything_and_is_no_fault_of_a_target(networked: SimulatedCloud) -> None:
    faults = len(networked.truth.faults)
    networked.cut_link()
    assert "100% packet loss" in ping(networked, networked.addresses[0], "-c1", "-W1")
    networked.mend_link()
    wait_until(
        lambda: " 0% packet loss" in ping(networked, networked.addresses[0], "-c1", "-W1"),
        timeout_s=10,
        what="the link",
    )
    assert len(networked.truth.faults) == faults


def test_unprivileged_ping_sockets_are_permitted_in_the_vantage(networked: SimulatedCloud) -> None:
    script = "import socket as s; s.socket(s.AF_INET, s.SOCK_DGRAM, s.IPPROTO_ICMP); print('permitted')"
    process = networked.run_in_vantage([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.communicate(timeout=30)[0].split() == [b"permitted"]


def test_ipv6_addresses_are_dropped_and_restored() -> None:
    address = "fd00:1::151"
    with SimulatedCloud(CloudConfig(services=(), addresses=(address,), unassociated=())) as cloud:
        assert " 0% packet loss" in ping(cloud, address, "-c1", "-w3")
        cloud.drop(address)
        assert "100% packet loss" in ping(cloud, address, "-c1", "-W1")
        cloud.restore(address)
        assert " 0% packet loss" in ping(cloud, address, "-c1", "-w3")


@pytest.mark.parametrize("mode", ["user", "root"])
def test_either_kind_of_namespace_works(mode: str) -> None:
    """As root both can be had; for others `user` is the one that counts."""
    if mode == "root" and os.geteuid() != 0:
        with pytest.raises(NoNamespaceError), SimulatedCloud(replace(SMALL, network=mode)):
            pass
        return
    with SimulatedCloud(replace(SMALL, network=mode)) as cloud:
        assert cloud.network.mode == mode
        assert " 0% packet loss" in ping(cloud, cloud.addresses[0], "-c1", "-w2")


def test_without_the_tools_the_cloud_has_services_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downtimer.demo.netns.shutil.which", lambda *_, **__: None)
    with SimulatedCloud(SMALL) as cloud:
        assert not cloud.has_network
        assert "ip is not installed" in cloud.no_network
        assert cloud.addresses == ()
        assert status_of(cloud, "nova") == 200


def test_network_that_was_asked_for_is_not_given_up_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downtimer.demo.netns.shutil.which", lambda *_, **__: None)
    with pytest.raises(NoNamespaceError), SimulatedCloud(replace(SMALL, network="root")):
        pass


def test_nothing_is_left_when_the_cloud_is_gone() -> None:
    with SimulatedCloud(SMALL) as cloud:
        pids = [service.pid for service in cloud.services.values()]
        pids += [cloud.network.vantage_pid, cloud.network.cloud_pid]
        stopped = cloud.service("nova")
        stopped.stop_signal()
        stray = cloud.run_in_vantage(["setsid", "--fork", "sleep", "300"])
        stray.wait(10)
        spaces = {Path(f"/proc/{pid}/ns/net").readlink() for pid in pids if pid is not None}
        directory = cloud.directory
    assert not directory.exists()
    assert not any(exists(pid) for pid in pids if pid is not None)
    wait_until(lambda: not (_namespaces() & spaces), timeout_s=10, what="the namespaces to vanish")


def test_nothing_is_left_when_its_owner_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(
        "import threading\n"
        "from downtimer.demo.cloud import CloudConfig, SimulatedCloud\n"
        "with SimulatedCloud(CloudConfig(services=('nova',))) as cloud:\n"
        "    cloud.service('nova').stop_signal()\n"
        "    cloud.run_in_vantage(['setsid', '--fork', 'sleep', '300']).wait(10)\n"
        "    print(cloud.service('nova').pid, cloud.network.vantage_pid, cloud.directory, flush=True)\n"
        "    threading.Event().wait()\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}
    ) as owner:
        assert owner.stdout is not None
        service, vantage, directory = owner.stdout.readline().decode().split()
        space = Path(f"/proc/{vantage}/ns/net").readlink()
        owner.kill()
    try:
        wait_until(
            lambda: not exists(int(service)) and space not in _namespaces(),
            timeout_s=10,
            what="everything to end",
        )
    finally:
        (Path(directory) / "world.json").unlink()
        Path(directory).rmdir()


def test_failure_on_the_way_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = _children()
    with pytest.raises(KeyError), SimulatedCloud(replace(SMALL, services=("keystone", "swift"))):
        pass
    assert _children() == before
    assert list(tmp_path.iterdir()) == []


def make_program(tmp_path: Path, stop: str) -> list[str]:
    """Write a command whose ``start`` leaves a daemon behind, a session leader with a child of its own."""
    script = tmp_path / "program"
    script.write_text(
        "case $1 in\n"
        f"start) setsid --fork sh -c 'sleep 300 & echo $$ $! > {tmp_path}/pids; wait' > /dev/null 2>&1;\n"
        f"  while test ! -s {tmp_path}/pids; do :; done;;\n"
        f"stop) {stop};;\n"
        "esac\n"
    )
    return ["/bin/sh", str(script)]


@pytest.mark.parametrize(
    "stop", ["kill $(cut -d ' ' -f 1 {place}/pids)", "echo I will not; exit 1"], ids=["obedient", "stubborn"]
)
@pytest.mark.parametrize("config", [SMALL, LOOPBACK], ids=["network", "loopback"])
def test_daemon_is_gone_when_its_demo_is(tmp_path: Path, config: CloudConfig, stop: str) -> None:
    program = make_program(tmp_path, stop.format(place=tmp_path))
    with SimulatedCloud(config) as cloud:
        with Daemon(cloud, program=program) as daemon:
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            text = (daemon.directory / "conf.ini").read_text()
            assert all(map(exists, pids))
        assert not any(map(exists, pids))
    assert f"keystone_endpoint={cloud.keystone_url}\n" in text
    assert ("reference=none" in text) == (config is LOOPBACK)
    assert not daemon.directory.exists()


def test_daemon_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("echo port taken; exit 1\n")
    program = ["/bin/sh", str(tmp_path / "program")]
    with (
        SimulatedCloud(LOOPBACK) as cloud,
        pytest.raises(DemoError, match=r"start failed \(1\): port taken"),
        Daemon(cloud, program=program),
    ):
        pass


def start_demo(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Start the real command, with a place of its own for temporary files."""
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "downtimer.cli", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=root,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )


def test_demo_finds_every_injected_outage_within_its_bounds(tmp_path: Path) -> None:
    with start_demo(tmp_path) as demo:
        output = demo.communicate(timeout=90)[0].decode()
    assert demo.returncode == 0, output
    table = output.partition("Held against what was really injected:")[2]
    assert table.count("  yes\n") == 9
    assert re.search(r"172\.16\.166\.151 +\d+\.\d\d s", table)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_demo_and_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    before = _namespaces()
    with start_demo(tmp_path) as demo:
        assert demo.stdout is not None
        while b"goes down" not in (line := demo.stdout.readline()):
            assert line, "the demo ended before its first step"
        demo.send_signal(number)
        demo.communicate(timeout=30)
    assert demo.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: _namespaces() <= before, timeout_s=10, what="the namespaces to vanish")


def test_holder_says_why_there_is_no_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DemoError("veth is not known here")

    monkeypatch.setattr(Namespaces, "_ip", refuse)
    spawner = Spawner()
    before = _children()
    with pytest.raises(NoNamespaceError, match="veth is not known here"):
        Namespaces(spawner)
    spawner.close()
    assert _children() == before


def test_every_profile_runs() -> None:
    with SimulatedCloud(CloudConfig(network="none", services=tuple(PROFILES))) as cloud:
        assert {name: status_of(cloud, name) for name in PROFILES} == {
            name: profile.root for name, profile in PROFILES.items()
        }


def _wait(seconds: float) -> None:
    """Let an outage last; the record, not this, says how long it was."""
    before = time.monotonic()
    wait_until(lambda: time.monotonic() - before > seconds, timeout_s=seconds + 5, what="time to pass")


def _namespaces() -> set[Path]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.add((process / "ns/net").readlink())
    return found


def _children() -> set[str]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(stat.parent.name)
    return found
