"""Every way to sign in, against a real Keystone, and one line for each that does not work."""

import json
import os
import signal
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from downtimer import accounts, config
from downtimer.config import Config
from downtimer.errors import ExitCode
from downtimer.messages import CannotStart
from tests.fake_supervisor import FakeSupervisor
from tests.integration.command import PROGRAM, Command, Said, target
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

SECRET: Final = "s3cret%(of)s"
WAIT_S: Final = 30.0
QUIET: Final = {
    "api": {"works_interval": "0.5", "login_interval": "1"},
    "targets": {"agents": "no"},
    "vantage": {"reference": "none"},
}
"""A configuration that names no cloud."""


@pytest.fixture(scope="module")
def shared(
    keystone_venv: KeystoneInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keystone]:
    """One Keystone for all tests that leave it as it is."""
    with Keystone(keystone_venv, tmp_path_factory.mktemp("credentials") / "keystone") as server:
        yield server


@pytest.fixture(autouse=True)
def _no_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an environment that names no cloud."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """downtimer, with a configuration that names no cloud."""
    made = Command(tmp_path, prefix=(), sections=QUIET)
    yield made
    made.end()


def admin_id(keystone: Keystone) -> str:
    """Return the id of the administrator."""
    (user,) = keystone.api.call("GET", "/v3/users?name=admin")["users"]
    return str(user["id"])


def credential(keystone: Keystone, name: str, **more: object) -> str:
    """Make an application credential of the administrator's and return its id."""
    body = {"application_credential": {"name": name, "secret": SECRET, **more}}
    made = keystone.api.call("POST", f"/v3/users/{admin_id(keystone)}/application_credentials", body)
    return str(made["application_credential"]["id"])


def write_clouds(directory: Path, **entries: dict[str, Any]) -> None:
    """Write clouds.yaml; JSON is YAML."""
    (directory / "clouds.yaml").write_text(json.dumps({"clouds": entries}))


def by_password(keystone: Keystone, **auth: object) -> dict[str, Any]:
    """Return an entry."""
    given = {"auth_url": keystone.url, "username": "admin", "password": keystone.password}
    return {"auth": given | {"project_name": "admin"} | auth}


def by_credential(keystone: Keystone, key: str, secret: str = SECRET) -> dict[str, Any]:
    """Return an entry."""
    given = {"application_credential_id": key, "application_credential_secret": secret}
    return {"auth_type": "v3applicationcredential", "auth": {"auth_url": keystone.url, **given}}


def by_token(keystone: Keystone, token: str) -> dict[str, Any]:
    """Return an entry."""
    return {"auth_type": "v3token", "auth": {"auth_url": keystone.url, "token": token}}


def keystone_of(command: Command) -> dict[str, Any]:
    """Return what the report has of Keystone, with its checks by their names."""
    found = target(command.report(), "keystone")
    return found | {"checks": {check["name"]: check for check in found["checks"]}}


def until_measured(command: Command, *checks: str) -> dict[str, Any]:
    """Wait until each of these checks has had good answers for a second; return Keystone."""

    def measured() -> dict[str, Any] | None:
        found = keystone_of(command)
        seconds = [found["checks"].get(check, {"observed_s": 0})["observed_s"] for check in checks]
        return found if min(seconds) >= 1 else None

    found = wait_until(measured, timeout_s=WAIT_S, what=f"{checks} to be measured")
    assert found is not None
    assert (found["down_s"], found["episodes"]) == (0, [])
    return found


def until_unknown(command: Command, check: str) -> None:
    """Wait until a check has been unknown for a second, since what we show is no good; it was never down."""

    def unknown() -> dict[str, Any] | None:
        found: dict[str, Any] = keystone_of(command)["checks"][check]
        return found if found["unobserved"].get("token", 0) >= 1 else None

    found = wait_until(unknown, timeout_s=WAIT_S, what=f"{check} to be unknown")
    assert found is not None
    assert found["down_s"] == 0


def refusal(said: Said, code: int = ExitCode.FAILED) -> str:
    """Return the one line with which a command fails."""
    assert said.code == code, said
    assert said.err.count("\n") == 1
    return said.err.removeprefix("downtimer: ").removesuffix("\n")


# --- what is measured -----------------------------------------------------------------------------


def test_application_credential_of_a_cloud_signs_in_and_is_measured_like_a_password(
    shared: Keystone, command: Command, tmp_path: Path
) -> None:
    key = credential(shared, "night")
    write_clouds(tmp_path, night=by_credential(shared, key))
    command.ok("start", "--os-cloud", "night")
    found = until_measured(command, "works", "login")
    assert found["lacks"] == {}
    shared.api.call("DELETE", f"/v3/users/{admin_id(shared)}/application_credentials/{key}")
    until_unknown(command, "login")  # Keystone says 404
    command.ok("stop")
    assert SECRET not in command.log()


def test_token_is_used_as_it_is_until_it_ends(
    keystone_venv: KeystoneInstallation, command: Command, tmp_path: Path
) -> None:
    with Keystone(keystone_venv, tmp_path / "keystone", token_lifetime_s=10) as keystone:
        write_clouds(tmp_path, night=by_token(keystone, keystone.api.token()))
        said = command.run("start", "--os-cloud", "night")
        assert said.code == 0
        assert "signed in by a token that ends at 20" in said.err
        assert "signed in by a token that ends at 20" in command.ok("status")
        assert until_measured(command, "works")["lacks"] == {"login": "signed in by a token"}
        until_unknown(command, "works")
        wait_until(
            lambda: "WARNING discovery: Keystone at" in command.log(),
            timeout_s=WAIT_S,
            what="discovery to say it",
        )
        command.ok("stop")
        (said,) = [event["text"] for event in command.report()["events"] if event["kind"] == "discovery"][-1:]
        assert "does not accept the token that it was given: it has expired" in said


def test_works_of_an_application_credential_shows_a_dead_database(
    keystone_venv: KeystoneInstallation, command: Command, tmp_path: Path
) -> None:
    with Keystone(keystone_venv, tmp_path / "keystone") as keystone:
        write_clouds(tmp_path, night=by_credential(keystone, credential(keystone, "night")))
        command.ok("start", "--os-cloud", "night")
        until_measured(command, "works", "login")
        (tmp_path / "keystone" / "keystone.db").write_bytes(b"no database" * 1000)
        wait_until(
            lambda: keystone_of(command)["checks"]["works"]["down_s"] >= 1, timeout_s=WAIT_S, what="an outage"
        )
        command.ok("stop")


def test_idle_daemon_is_given_the_account_that_whoever_starts_it_has(
    shared: Keystone, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds(tmp_path, night=by_password(shared), token=by_token(shared, shared.api.token()))
    monkeypatch.setenv("OS_CLOUD", "night")
    command.ok("start")
    until_measured(command, "works", "login")
    monkeypatch.delenv("OS_CLOUD")
    (tmp_path / "clouds.yaml").rename(tmp_path / "moved.yaml")
    os.kill(command.supervisor(), signal.SIGHUP)  # has neither
    wait_until(
        lambda: "SIGHUP: changed: nothing" in command.log(), timeout_s=WAIT_S, what="the file to be read"
    )
    command.ok("stop", "--keep")
    assert "[static] names no targets either" in refusal(command.run("start"), ExitCode.USAGE)
    (tmp_path / "moved.yaml").rename(tmp_path / "clouds.yaml")
    command.ok("start", "--os-cloud", "token")
    assert until_measured(command, "works")["lacks"] == {"login": "signed in by a token"}
    command.ok("stop")
    said = command.run("doctor", "--os-cloud", "token").out
    assert f"{shared.url} takes a token for project 'admin', roles" in said
    assert "min, and cannot be renewed" in said


def test_run_around_a_command_takes_a_cloud_too(
    shared: Keystone, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds(tmp_path, night=by_credential(shared, credential(shared, "run")))
    monkeypatch.setenv("DOWNTIMER_CONFIG", str(command.config))
    argv = [*PROGRAM, "run", "--os-cloud", "night", "--format", "json", "--", "true"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    assert target(json.loads(done.stdout), "keystone")["lacks"] == {}


def test_without_the_extra_the_environment_will_do_and_clouds_are_refused_in_a_line(
    shared: Keystone, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = str(without_openstacksdk(tmp_path / "venv"))
    key = credential(shared, "bare")
    for name, value in (
        ("AUTH_TYPE", "v3applicationcredential"),
        ("AUTH_URL", shared.url),
        ("APPLICATION_CREDENTIAL_ID", key),
        ("APPLICATION_CREDENTIAL_SECRET", SECRET),
    ):
        monkeypatch.setenv(f"OS_{name}", value)
    done = run_with(python, command, "start")
    assert done.code == 0, done
    until_measured(command, "works", "login")
    command.ok("stop")
    write_clouds(tmp_path, night=by_password(shared))
    line = refusal(run_with(python, command, "start", "--os-cloud", "night"), ExitCode.USAGE)
    assert line == (
        "--os-cloud: clouds.yaml is read by openstacksdk, which is not installed; "
        f"`{python} -m pip install openstacksdk` mends that"
    )


def run_with(python: str, command: Command, *words: str) -> Said:
    """Run a command with another interpreter."""
    argv = [python, *command.argv(*words)[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def without_openstacksdk(directory: Path) -> Path:
    """Make an environment of all packages that there are here but that one; return its Python."""
    venv.create(directory, with_pip=False)
    (there,) = directory.glob("lib/python*/site-packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith("openstack"):
            (there / package.name).symlink_to(package)
    return directory / "bin" / "python"


# --- what can't be used, in one line ----------------------------------------------------------------


def why_not(entry: dict[str, Any], tmp_path: Path) -> str:
    """Start discovery with an entry of clouds.yaml that can't be used; return the reason."""
    write_clouds(tmp_path, night=entry)
    with FakeSupervisor("downtimer.workers.discovery", with_cloud(), known=[]) as supervisor:
        (said,) = supervisor.wait_for(CannotStart)
    assert "\n" not in said.reason
    assert SECRET not in said.reason + supervisor.log
    assert f" of cloud 'night' in {tmp_path}/clouds.yaml" in said.reason
    return said.reason


def with_cloud() -> Config:
    """Return a configuration that names the entry."""
    text = "[global]\ncloud = night\n[targets]\nagents = no\n[vantage]\nreference = none\n"
    return accounts.resolve(config.parse(text, "/etc/downtimer/conf.ini"), None)


def test_password_user_project_and_domain_that_are_wrong(shared: Keystone, tmp_path: Path) -> None:
    for wrong in ({"password": SECRET}, {"username": "nobody"}, {"user_domain_name": "nowhere"}):
        said = why_not(by_password(shared, **wrong), tmp_path)
        assert (
            "wrong user or password (401); correct auth.username, auth.password, auth.user_domain_name"
            in said
        )
    for wrong in ({"project_name": "lost"}, {"project_domain_name": "nowhere"}):
        said = why_not(by_password(shared, **wrong), tmp_path)
        assert (
            "does not exist, or the user has no role in it (401); correct auth.project_name, auth.proj"
            in said
        )


def test_application_credential_that_is_wrong_unknown_or_limited(shared: Keystone, tmp_path: Path) -> None:
    key = credential(shared, "right")
    for entry in (by_credential(shared, key, f"{SECRET}x"), by_credential(shared, "0" * 32)):
        said = why_not(entry, tmp_path)
        assert "it does not exist, has expired, or its secret is another; correct auth.app" in said
    rules = [{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]
    said = why_not(by_credential(shared, credential(shared, "limited", access_rules=rules)), tmp_path)
    assert "is limited by access rules: Keystone lets it read no catalog" in said
    assert "make one without them, for auth.application_credential_id" in said


def test_token_that_is_none_and_what_is_for_no_project(shared: Keystone, tmp_path: Path) -> None:
    said = why_not(by_token(shared, "gAAAAABnonsense"), tmp_path)
    assert "does not accept the token that it was given" in said
    assert "put a new one into auth.token" in said
    shared.api.create_user("lonely", SECRET, project="admin")
    unscoped = by_password(shared, username="lonely", password=SECRET)
    del unscoped["auth"]["project_name"]
    said = why_not(unscoped, tmp_path)
    assert "gave a token for no project" in said
    assert "name one by auth.project_name" in said


def test_static_service_of_a_name_that_the_catalog_has_too_is_named_with_its_file(
    shared: Keystone, command: Command, tmp_path: Path
) -> None:
    write_clouds(tmp_path, night=by_password(shared))
    command.write({**QUIET, "static": {"urls": f"keystone={shared.url}/"}})
    assert refusal(command.run("start", "--os-cloud", "night"), ExitCode.USAGE) == (
        f"{command.config}: [static] urls: the catalog has a service 'keystone', too; choose another name"
    )


def test_keystone_that_is_elsewhere_names_the_url_to_be_corrected(shared: Keystone, tmp_path: Path) -> None:
    for url, why in (
        (f"{shared.url}/nothing/here", "there is no Keystone at"),
        ("http://127.0.0.1:1", "does not answer (connection refused); start it, or correct host and port in"),
        ("http://no-such-host.invalid:5000", "its name does not resolve"),
        (shared.url.replace("http:", "https:"), "if it speaks no TLS there, write http:// in auth.auth_url"),
    ):
        said = why_not(by_password(shared, auth_url=url), tmp_path)
        assert why in said
        assert "auth.auth_url of cloud 'night'" in said
