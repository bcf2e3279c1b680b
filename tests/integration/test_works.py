"""Answering is not working: a real Keystone on a real MariaDB, and services that need both.

In one run the databases freeze, and then die; in another one Keystone is killed. What the report says of each
fault is held against the truth.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from downtimer.demo.cloud import NONE, CloudConfig, SimulatedCloud
from downtimer.demo.database import ALIVE, DEAD, FROZEN
from downtimer.demo.services import PROJECT
from downtimer.demo.truth import Bracket, Fault, Truth, now_ns
from downtimer.model import SECOND_NS
from tests.integration.checks import show, targets_of
from tests.integration.command import Command
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation
from tests.integration.mariadb_env import MariaDb
from tests.integration.middleware_env import MiddlewareService
from tests.waiting import wait_until

SIMULATED = ("glance", "placement", "neutron", "cinder", "heat")
HAVE_WORKS = ("keystone", "glance", "placement", "neutron", "cinder", "cinderv2", "heat")
USER, PASSWORD = "upgrader", "open sesame"
PATIENCE_S = 2.0
SLOW_S = 1.0  # of works
FAULT_S = 10.0
AWAY_S = 20.0
SETTLED_S = 8.0  # until an episode is over and the next fault another
# After 20 good answers, one in 2 s, it is known what is slow. A login is due every 15 s: whichever call is
# the first to hang is the only one, and a fault midway between two logins is seen by `works`.
LEARNT_S = 52.0
QUIET_S = 1.0  # a moment in which this machine held us up is in no figure

Target = dict[str, Any]


@dataclass(frozen=True)
class Cloud:
    """A Keystone on a database, a service behind the real middleware, and simulated ones.

    Attributes:
        database: Keystone's.
        keystone: With 8 processes.
        nova: Behind the middleware, whose one process asks Keystone once in 300 s whose a token is.
        manila: The same with two, but asks at every call, or nearly so; not in the catalog at first.
        simulated: The other services, each with a database of its own.
        truth: The record of the faults, all of which this module makes.
    """

    database: MariaDb
    keystone: Keystone
    nova: MiddlewareService
    manila: MiddlewareService
    simulated: SimulatedCloud
    truth: Truth

    @classmethod
    @contextlib.contextmanager
    def running(
        cls,
        installation: KeystoneInstallation,
        directory: Path,
        *,
        processes: int = 8,
        token_lifetime_s: int = 3600,
        token_cache_time_s: int = -1,
    ) -> Iterator["Cloud"]:
        """Build it; everything ends with the context.

        Args:
            installation: Of Keystone and the middleware.
            directory: For all of it.
            processes: Of Keystone.
            token_lifetime_s: Of Keystone's tokens.
            token_cache_time_s: How long manila believes what Keystone said of a token.
        """
        with (
            MariaDb(directory / "mariadb", template=installation.mariadb) as database,
            Keystone(
                installation,
                directory / "keystone",
                database=database,
                processes=processes,
                token_lifetime_s=token_lifetime_s,
            ) as keystone,
            MiddlewareService(installation, directory / "nova", keystone, processes=1) as nova,
            MiddlewareService(
                installation, directory / "manila", keystone, token_cache_time_s=token_cache_time_s
            ) as manila,
            SimulatedCloud(CloudConfig(services=SIMULATED, network=NONE, keystone=keystone.url)) as simulated,
        ):
            keystone.api.create_user(USER, PASSWORD, project=keystone.project, role="admin")
            keystone.api.register("nova", "compute", f"{nova.url}/v2.1")
            for service in simulated.services.values():
                for entry in service.profile.entries:
                    path = entry.path.replace(PROJECT, "%(project_id)s")
                    keystone.api.register(entry.name, entry.type, f"{service.url}{path}")
            for protected in (nova, manila):
                protected.warm_up(keystone.api.token())
            yield cls(database, keystone, nova, manila, simulated, Truth())

    def publish_manila(self) -> None:
        """Put it into the catalog."""
        self.keystone.api.register("manila", "sharev2", f"{self.manila.url}/v2")

    def set_databases(self, state: str, change: Callable[[], None]) -> None:
        """Bring every database into a state, Keystone's by `change`, on record."""
        frozen = state == FROZEN or (state == ALIVE and self.truth.lasting[0].what == FROZEN)
        before_ns = now_ns()
        change()
        self._record("keystone", state, Bracket(before_ns, now_ns()), frozen=frozen)
        for service in self.simulated.services.values():
            when = service.set_database(state)
            for name in service.targets:
                self._record(name, state, when, frozen=frozen)

    def _record(self, name: str, state: str, when: Bracket, *, frozen: bool) -> None:
        if name not in HAVE_WORKS:
            return
        if state == ALIVE:
            self.truth.end(name, when)
        else:
            self.truth.begin(Fault(target=name, what=state, start=when, accepting=when if frozen else None))


@contextlib.contextmanager
def measured(cloud: Cloud, directory: Path) -> Iterator[Command]:
    """Have it measured; leaving stops the daemon."""
    directory.mkdir()
    account = {"keystone_endpoint": cloud.keystone.url, "user": USER, "password": PASSWORD}
    command = Command(directory, prefix=[], sections={"global": account, "vantage": {"reference": "none"}})
    command.ok("start")
    try:
        yield command
    finally:
        command.end()


@pytest.fixture(scope="module")
def cloud(keystone_venv: KeystoneInstallation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One for the long run."""
    with Cloud.running(keystone_venv, tmp_path_factory.mktemp("works")) as running:
        yield running


@pytest.fixture(scope="module")
def of_databases(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The report on a run in which the databases freeze, and then die."""
    with measured(cloud, tmp_path_factory.mktemp("run") / "downtimer") as command:
        time.sleep(LEARNT_S)
        cloud.set_databases(FROZEN, cloud.database.pause)
        time.sleep(FAULT_S)
        cloud.set_databases(ALIVE, cloud.database.resume)
        until_well(command)
        cloud.set_databases(DEAD, cloud.database.kill)
        time.sleep(FAULT_S)
        cloud.set_databases(ALIVE, cloud.database.start)
        until_well(command)
        show(command.ok("stop"))
        return command.report()


@pytest.fixture(scope="module")
def of_keystone(
    cloud: Cloud, of_databases: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Any]:
    """The report on another run, in which Keystone is killed, and started again."""
    assert of_databases
    cloud.publish_manila()
    with measured(cloud, tmp_path_factory.mktemp("run") / "downtimer") as command:
        time.sleep(SETTLED_S)
        cloud.keystone.kill_on_record(cloud.truth, "keystone")
        time.sleep(AWAY_S)
        cloud.keystone.start_on_record(cloud.truth, "keystone", timeout_s=PATIENCE_S)
        until_well(command)
        show(command.ok("stop"))
        return command.report()


def until_well(command: Command) -> None:
    """Wait until nothing is down, and then until an episode is over."""
    wait_until(lambda: command.status()["down"] == [], timeout_s=60, what="everything to be up")
    time.sleep(SETTLED_S)


def episodes_in(cloud: Cloud, target: Target, fault: Fault) -> list[Target]:
    """Return the episodes of a target that touch the time of a fault."""
    assert fault.end is not None
    start = cloud.truth.utc(fault.start.earliest_ns - 3 * SECOND_NS)
    end = cloud.truth.utc(fault.end.latest_ns + 3 * SECOND_NS)
    return [
        episode
        for episode in target["episodes"]
        if datetime.fromisoformat(episode["start"]) < end and datetime.fromisoformat(episode["end"]) > start
    ]


def faults(cloud: Cloud, what: str) -> dict[str, Fault]:
    """Return the faults of one kind by target."""
    found = {fault.target: fault for fault in cloud.truth.faults if fault.what == what}
    assert found
    return found


def check_of(target: Target, name: str) -> Target:
    """Return what one check saw."""
    (found,) = [check for check in target["checks"] if check["name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("what", "within_s"), [(FROZEN, 2.2), (DEAD, 1.1)])
def test_without_its_database_a_service_is_down_though_it_answers(
    cloud: Cloud, of_databases: Mapping[str, Any], what: str, within_s: float
) -> None:
    targets = targets_of(of_databases)
    assert set(faults(cloud, what)) == set(HAVE_WORKS)
    for name, fault in faults(cloud, what).items():
        low_s, high_s = fault.seconds(PATIENCE_S)
        (episode,) = episodes_in(cloud, targets[name], fault)
        down_s, min_s, max_s = (episode[field] for field in ("down_s", "down_min_s", "down_max_s"))
        show(
            f"  {name}, database {what}: truly {low_s:.2f} to {high_s:.2f} s; "
            f"reported {down_s:.2f} ({min_s:.2f} to {max_s:.2f}), {episode['causes']}"
        )
        assert min_s <= high_s, name
        assert low_s <= max_s, name
        assert low_s - within_s <= down_s <= high_s + within_s, name
        assert "answers" not in episode["checks"], name
        assert "works" in episode["checks"], name


def test_down_and_slow_together_are_the_time_in_which_the_database_was_frozen(
    cloud: Cloud, of_databases: Mapping[str, Any]
) -> None:
    targets = targets_of(of_databases)
    for name, fault in faults(cloud, FROZEN).items():
        assert fault.end is not None
        truth_s = (fault.end.middle_ns - fault.start.middle_ns) / SECOND_NS - SLOW_S
        (episode,) = episodes_in(cloud, targets[name], fault)
        slow_s = check_of(targets[name], "works")["slow_s"]
        show(f"  {name}: truly {truth_s:.2f} s; down {episode['down_s']:.2f}, slow {slow_s:.2f}")
        assert abs(episode["down_s"] + slow_s - truth_s) <= 2.2, name


def test_the_root_answers_all_the_while_and_who_has_no_database_works(
    of_databases: Mapping[str, Any],
) -> None:
    targets = targets_of(of_databases)
    for name, target in targets.items():
        assert check_of(target, "answers")["down_s"] == 0, name
        assert target["lacks"] == {}, name
    assert (targets["nova"]["down_s"], targets["nova"]["episodes"]) == (0, [])


def test_keystone_that_is_killed_is_down_and_nobody_else(
    cloud: Cloud, of_keystone: Mapping[str, Any]
) -> None:
    targets = targets_of(of_keystone)
    (fault,) = faults(cloud, "kill").values()
    low_s, high_s = fault.seconds(PATIENCE_S)
    (episode,) = targets["keystone"]["episodes"]
    show(f"  keystone killed: truly {low_s:.2f} to {high_s:.2f} s, reported {episode['down_s']:.2f} s")
    assert low_s - 0.5 <= episode["down_s"] <= high_s + 0.5
    assert episode["down_min_s"] <= high_s
    assert low_s <= episode["down_max_s"]
    assert set(episode["checks"]) >= {"answers", "works"}
    for name, target in targets.items():
        if name != "keystone":
            assert (target["down_s"], target["down_max_s"], target["episodes"]) == (0, 0, []), name


def test_service_that_needs_keystone_has_its_impairment_listed(of_keystone: Mapping[str, Any]) -> None:
    """It answers all the while, so that it is observed all the while."""
    targets = targets_of(of_keystone)
    show(f"  manila: {targets['manila']['impairments']}")
    assert targets["manila"]["observed_s"] >= targets["manila"]["window_s"] - QUIET_S
    assert check_of(targets["manila"], "works")["unobserved"]["keystone"] >= AWAY_S - 5
    assert targets["manila"]["impairments"]
    assert targets["nova"]["impairments"] == []  # it has the token cached


# --- tokens --------------------------------------------------------------------------------------


def test_revoked_token_is_nobodys_downtime(
    cloud: Cloud, of_keystone: Mapping[str, Any], tmp_path: Path
) -> None:
    """Keystone knows at once, and whoever asks it; then there is another token."""
    assert of_keystone
    with measured(cloud, tmp_path / "downtimer") as command:
        time.sleep(15)
        revoke(cloud)
        time.sleep(15)
        show(command.ok("stop"))
        works = never_down(command)
    refused = {
        name: each["unobserved"]["token"] for name, each in works.items() if "token" in each["unobserved"]
    }
    show(f"  token refused: {refused}")
    assert refused.keys() <= {"keystone", "manila"}  # all others asked nobody
    assert 0 < max(refused.values()) < 15
    for name, each in works.items():
        assert each["observed_s"] > 20, name


def test_short_lived_tokens_are_nobodys_downtime(keystone_venv: KeystoneInstallation, tmp_path: Path) -> None:
    """Tokens of 30 s over 90 s."""
    with Cloud.running(
        keystone_venv, tmp_path / "cloud", processes=3, token_lifetime_s=30, token_cache_time_s=5
    ) as cloud:
        cloud.publish_manila()
        with measured(cloud, tmp_path / "downtimer") as command:
            time.sleep(90)
            for name, works in never_down(command).items():
                assert works["unobserved"].keys() <= {"stall"}, (name, works)
                assert works["observed_s"] > 80, name


def never_down(command: Command) -> dict[str, Target]:
    """Check that no service was down; return what each one's works check saw."""
    targets = targets_of(command.report())
    for name, target in targets.items():
        assert (target["down_s"], target["down_max_s"]) == (0, 0), (name, target["episodes"])
    return {name: check_of(target, "works") for name, target in targets.items()}


def revoke(cloud: Cloud) -> None:
    """Have Keystone refuse every token that our user has, by setting the password to what it is."""
    api = cloud.keystone.api
    (user,) = api.call("GET", f"/v3/users?name={USER}")["users"]
    api.call("PATCH", f"/v3/users/{user['id']}", {"user": {"password": PASSWORD}})
