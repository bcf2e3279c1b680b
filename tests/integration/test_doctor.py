"""``downtimer doctor``: a simulated cloud, a real Keystone, a real InfluxDB, and what is wrong with them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud
from downtimer.doctor.influxdb import MEASUREMENT
from tests.integration.command import Command, static_targets
from tests.integration.influx_env import InfluxServer
from tests.integration.keystone_env import Keystone
from tests.integration.test_lifecycle import powerless

pytestmark = pytest.mark.untimed

PASSWORD = "9sesameQz"
FIVE = ("keystone", "glance", "nova", "neutron", "heat")


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    """A whole cloud in namespaces."""
    with SimulatedCloud(CloudConfig(services=FIVE, password=PASSWORD)) as running:
        yield running


def doctor_of(cloud: SimulatedCloud, directory: Path, **sections: dict[str, str]) -> Command:
    """Return a downtimer that is to measure that cloud, from its vantage."""
    account = {"keystone_endpoint": cloud.keystone_url, "password": cloud.config.password}
    given = {"global": account | sections.pop("global", {})} | sections
    return Command(directory, prefix=cloud.network.in_vantage([]), sections=given)


def findings(command: Command, *, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Return what doctor finds, by check."""
    said = command.run("doctor", "--json")
    assert said.code == code, said
    assert PASSWORD not in said.out + said.err
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(said.out)["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


def failed(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the texts of what failed."""
    return [one["text"] for each in found.values() for one in each if one["level"] == "fail"]


def test_all_is_well_and_nothing_of_it_stays(cloud: SimulatedCloud, tmp_path: Path) -> None:
    with InfluxServer(tmp_path / "influxdb", prefix=cloud.network.in_vantage([])) as influxdb:
        db = {"host": influxdb.host, "port": str(influxdb.port)}
        command = doctor_of(cloud, tmp_path, db=db, targets={"exclude": "nothing*"})
        before = {path.name for path in tmp_path.iterdir()}
        said = command.run("doctor")
        assert said.code == 0, said
        assert {path.name for path in tmp_path.iterdir()} == before
        assert influxdb.query(f"SELECT * FROM {MEASUREMENT}") == []  # noqa: S608 - ours
    for line in (
        "ok    sign-in        http://172.29.236.10:5000 takes user 'admin' of domain 'default' for project",
        "ok    targets        5 services would be measured: glance, heat, keystone, neutron, nova\n",
        "ok    targets        20 addresses would be measured, of 3 projects\n",
        "exclude: 'nothing*' matches no service of the catalog\n",
        "ok    icmp           echoes of IPv4 are permitted",
        "ok    route          there is one to 20 addresses tried, from 10.255.255.1\n",
        "ok    reference      10.255.255.2 answers in ",
        "took a point in database downtimer, and gave it back\n",
    ):
        assert line in said.out, said.out
    assert "A run can begin" in said.out or "All is ready" in said.out


def test_what_is_wrong_with_the_cloud_is_told_in_good_time(cloud: SimulatedCloud, tmp_path: Path) -> None:
    wrong = doctor_of(cloud, tmp_path, **{"global": {"password": "not-it"}})
    assert "wrong user or password" in failed(findings(wrong, code=1))[0]
    away = doctor_of(cloud, tmp_path, **{"global": {"region": "RegionTow"}})
    (line,) = failed(findings(away, code=1))
    assert "nothing to measure: [global] region: the catalog has no public endpoint in 'RegionTow'" in line
    command = doctor_of(cloud, tmp_path)
    cloud.service("neutron").set_mode("503")
    try:
        assert "cannot list floating IPs: it answered 503" in failed(findings(command, code=1))[0]
    finally:
        cloud.service("neutron").set_mode("normal")
    cloud.service("keystone").set_mode("hang")
    try:
        began_s = time.monotonic()
        assert "Keystone at http://172.29.236.10:5000" in failed(findings(command, code=1))[0]
        assert time.monotonic() - began_s < 25
    finally:
        cloud.service("keystone").set_mode("normal")


def test_without_permission_for_icmp_it_fails_with_the_remedy(
    lonely_cloud: SimulatedCloud, tmp_path: Path
) -> None:
    command = Command(tmp_path, prefix=powerless(lonely_cloud), sections=static_targets(lonely_cloud))
    found = findings(command, code=1)
    (icmp,) = found["icmp"]
    assert icmp["level"] == "fail"
    assert "net.ipv4.ping_group_range" in icmp["text"]
    (route,) = found["route"]
    assert "2 of 2 addresses tried can't be reached" in route["text"]
    assert "Network is unreachable" in route["text"]


def test_influxdb_that_is_not_there_and_names_that_do_not_resolve_fail(
    lonely_cloud: SimulatedCloud, tmp_path: Path
) -> None:
    sections = static_targets(lonely_cloud) | {"db": {"host": "127.0.0.1", "port": "1"}}
    sections["static"] = {"urls": "web=http://nowhere.invalid/"}
    command = Command(tmp_path, prefix=lonely_cloud.network.in_vantage([]), sections=sections)
    texts = failed(findings(command, code=1))
    assert any("web: nowhere.invalid does not resolve" in text for text in texts)
    assert "InfluxDB at 127.0.0.1:1: Connection refused" in texts


def test_a_daemon_that_measures_is_told_and_left_alone(command: Command) -> None:
    command.ok("start")
    before = command.status()
    found = findings(command)
    assert "measures already" in found["daemon"][0]["text"]
    after = command.status()
    assert after["run"] == before["run"]
    assert command.pids() == {process["name"]: process["pid"] for process in before["processes"]}
    assert after["control"] == before["control"]


def test_a_configuration_that_is_wrong_is_a_finding(tmp_path: Path) -> None:
    command = Command(tmp_path, prefix=[], sections={"global": {"keystone_endpont": "http://k"}})
    (line,) = failed(findings(command, code=1))
    assert "unknown option; did you mean keystone_endpoint?" in line


def test_a_real_keystone_tells_our_roles(keystone: Keystone, tmp_path: Path) -> None:
    keystone.api.create_user("reader", PASSWORD, project="admin", role="reader")
    account = {"keystone_endpoint": keystone.url, "user": "reader", "password": PASSWORD}
    sections = {"global": account, "vantage": {"reference": "none"}}
    found = findings(Command(tmp_path, prefix=[], sections=sections))
    good, warned = found["sign-in"]
    assert "takes user 'reader' of domain 'default' for project 'admin'" in good["text"]
    assert "roles reader; a token lives for 60 min" in good["text"]
    assert "without the role admin" in warned["text"]
