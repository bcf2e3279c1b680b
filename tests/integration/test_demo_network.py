"""The simulated cloud's addresses: dropped, rejected and impaired, and measured with the real ping."""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from downtimer.demo import netns
from downtimer.demo.cloud import SERVICE_IP, CloudConfig, SimulatedCloud
from downtimer.demo.ipbatch import IpBatch
from downtimer.demo.netns import Namespaces, NoNamespaceError
from downtimer.demo.processes import DemoError, Spawner
from downtimer.demo.responder import Behaviour
from tests.integration.demo_clients import SMALL, descendants, let_pass, ping, status_of
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def networked() -> Iterator[SimulatedCloud]:
    """Two services and two addresses in namespaces, whichever kind can be had."""
    with SimulatedCloud(SMALL) as simulated:
        assert simulated.has_network, simulated.no_network
        yield simulated


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
    let_pass(0.7)
    networked.restore(address)
    let_pass(0.5)
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


def test_holder_says_why_there_is_no_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DemoError("veth is not known here")

    monkeypatch.setattr(IpBatch, "run", refuse)
    spawner = Spawner()
    before = descendants(os.getpid())
    with pytest.raises(NoNamespaceError, match="veth is not known here"):
        Namespaces(spawner)
    spawner.close()
    assert descendants(os.getpid()) == before
