"""The servers that integration tests share. A component that is missing is a failure, never a skip."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from tests.integration.command import ADDRESS, Command, static_targets
from tests.integration.influx_env import InfluxServer
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation, install_keystone

pytest.register_assert_rewrite("tests.integration.checks")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's job in the background, and all it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary files, whose path leaves room for those of sockets."""
    with tempfile.TemporaryDirectory(prefix="dt-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def keystone_venv() -> KeystoneInstallation:
    """A real Keystone, installed: at once from the second test run on, about half a minute in the first."""
    return install_keystone()


@pytest.fixture
def keystone(keystone_venv: KeystoneInstallation, tmp_path: Path) -> Iterator[Keystone]:
    """A running Keystone of this test's own, with nothing but itself in the catalog."""
    with Keystone(keystone_venv, tmp_path / "keystone") as server:
        yield server


@pytest.fixture
def influxdb(tmp_path: Path) -> Iterator[InfluxServer]:
    """A running InfluxDB of this test's own, without any database."""
    with InfluxServer(tmp_path / "influxdb") as server:
        yield server


@pytest.fixture(scope="module")
def lonely_cloud() -> Iterator[SimulatedCloud]:
    """Two namespaces, one service, glance, and two addresses; no Keystone."""
    config = CloudConfig(services=("glance",), addresses=(ADDRESS, "172.16.166.152"))
    with SimulatedCloud(config) as running:
        yield running


@pytest.fixture
def command(lonely_cloud: SimulatedCloud, tmp_path: Path) -> Iterator[Command]:
    """downtimer, pointed at the static targets of that cloud."""
    made = Command(
        tmp_path, prefix=lonely_cloud.network.in_vantage([]), sections=static_targets(lonely_cloud)
    )
    yield made
    made.end()
