"""The servers that integration tests share. A component that is missing is a failure, never a skip."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.influx_env import InfluxServer
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation, install_keystone

pytest.register_assert_rewrite("tests.integration.checks")


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
