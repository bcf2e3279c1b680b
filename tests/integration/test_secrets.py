"""Secrets: whatever happens, they are to be seen nowhere but where the user has put them."""

import base64
import contextlib
import http.server
import json
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import pytest

from downtimer.demo.cloud import CloudConfig, SimulatedCloud, find_port
from downtimer.demo.identity import credential_id
from downtimer.errors import ExitCode
from tests.integration import traces
from tests.integration.command import Command
from tests.integration.demo_clients import sign_in, token_of
from tests.integration.influx_env import Credentials, InfluxServer
from tests.integration.secrets_search import Watch, forms_of, secret_options, showing
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

ODD: Final = "%(x)s 100%% \"q\" 'a' \\n;# +/=&?ü€"
PASSWORD: Final = f"9sesameQz {ODD} zQemases9"
OTHER: Final = f"7mellonVw {ODD} wVnollem7"
WRONG: Final = f"3xyzzyKp {ODD} pKyzzyx3"
DB_TOKEN: Final = "5plughJh%22+/=_-hJhgulp5"
TOKEN: Final = "gAAAAeyJ1c2VyIjogI"
"""With which all tokens of the simulated Keystone begin."""

NOWHERE: Final[Mapping[str, Mapping[str, str]]] = {
    "static": {"urls": "web=http://127.0.0.1:1/"},
    "vantage": {"name": "here", "reference": "none"},
}
"""A target that is down."""

LONG_S: Final = 60.0
"""Within which all must have happened; most of it takes a moment."""


class Reflector:
    """A server that answers every request with an error which repeats all of it: line, headers and body."""

    def __init__(self, port: int, status: int) -> None:
        self.asked = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler(status))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self, status: int) -> type[http.server.BaseHTTPRequestHandler]:
        reflector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                shown = str(self.headers.get("Authorization", self.headers.get("X-Auth-Token", "Nothing")))
                reflector.asked += 1
                said = f"{shown} {self.headers.items()} {body.decode()}"
                answer = json.dumps({"error": said, "message": said}).encode()
                password = body.rpartition(b'"password": "')[2] or body.rpartition(b'"secret": "')[2]
                place = base64.urlsafe_b64encode(f"{shown} ".encode() + password).decode()
                self.wfile.write(
                    f"HTTP/1.1 {status} {shown}\r\nContent-Length: {len(answer)}\r\n"
                    f"Location: http://127.0.0.1:1/?{shown}{place}\r\n"
                    f"X-Subject-Token: {shown} {place}\r\n\r\n".encode()
                    + (b"" if self.command == "HEAD" else answer)
                )

        return Handler


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    """A cloud on 127.0.0.1, whose tokens live for so short a time that there is always a new one."""
    services = ("keystone", "neutron", "nova", "glance")
    settings = CloudConfig(services=services, network="none", password=PASSWORD, token_ttl_s=30.0)
    with SimulatedCloud(settings) as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InfluxServer]:
    """An InfluxDB that asks for a password."""
    with InfluxServer(tmp_path / "influxdb", credentials=Credentials("Jürgen", OTHER)) as server:
        yield server


def sections(cloud: SimulatedCloud, **options: str) -> dict[str, Mapping[str, str]]:
    """Return the configuration that leads to that cloud, with these options of ``[global]``."""
    account = {"keystone_endpoint": cloud.keystone_url, "user": cloud.config.user, "log_level": "debug"}
    return {
        "global": account | options,
        "api": {"login_interval": "1", "works_interval": "0.5"},
        "static": {"ips": "127.0.0.1"},
        "vantage": {"reference": "none"},
    }


@contextlib.contextmanager
def installed(directory: Path, given: Mapping[str, Mapping[str, str]]) -> Iterator[Command]:
    """Install downtimer; nothing of it runs in the end."""
    directory.mkdir()
    command = Command(directory, prefix=(), sections=given)
    try:
        yield command
        command.end()
    finally:
        traces.kill_all(command)


SITE: Final = """\
import os
import pathlib
import sys

TRIGGER, RECORD = {trigger!r}, {record!r}

if any(word.startswith("downtimer.") and word != "downtimer.cli" for word in sys.orig_argv):
    with open(f"{{RECORD}}/{{os.getpid()}}", "a") as record:
        print(sys.orig_argv, dict(os.environ), file=record)

if "downtimer.workers.discovery" in sys.orig_argv:
    from keystoneauth1.session import Session

    sound = Session.request

    def request(self, url, method, json=None, **options):
        is_secret = json or "X-Subject-Token" in options.get("headers", {{}})
        if is_secret and os.path.exists(TRIGGER):
            1 // 0
        return sound(self, url, method, json=json, **options)

    Session.request = request
"""
"""What each of our processes does first: it puts on record what it was given.

Discovery, while there is a certain file, fails by a defect when it is about to send a password, or a token
of which it asks.
"""


@pytest.fixture
def trigger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prepare that; return the file that brings the defect about. The record is beside it, in `record`."""
    for name in ("site", "record"):
        (tmp_path / name).mkdir()
    trigger = tmp_path / "trigger"
    text = SITE.format(trigger=str(trigger), record=str(tmp_path / "record"))
    (tmp_path / "site" / "sitecustomize.py").write_text(text)
    paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return trigger


def until(command: Command, what: str, text: str, *, after: int = 0) -> None:
    """Wait until the log says something that it has not said before `after`."""
    wait_until(lambda: text in command.log()[after:], timeout_s=LONG_S, what=what)


def until_works(watch: Watch, command: Command) -> None:
    """Wait until the whole cloud is up, and works for whoever shows a good token."""
    wait_until(
        lambda: (
            (counts := command.status()["targets"]["service"])["up"]
            and not (counts["down"] or counts["unknown"] or counts["unseen"])
        ),
        timeout_s=LONG_S,
        what="all to be up",
    )
    watch.ok("status")


@pytest.mark.parametrize("secret", [PASSWORD, OTHER, WRONG, DB_TOKEN, TOKEN])
def test_a_secret_is_found_in_whatever_way_it_is_written(secret: str) -> None:
    raw = secret.encode()
    places = {
        "plain": b"x" + raw + b"y",
        "json": json.dumps({"password": secret}).encode(),
        "repr": repr({"password": secret}).encode(),
        "bytes": repr(raw).encode(),
        **{f"basic {n}": base64.b64encode(b"u" * n + b":" + raw + b"\n" * n) for n in range(6)},
    }
    assert showing(places, [secret]) == sorted(places)
    assert showing({"none": b"x" * 1000, "begun": raw[:-6]}, [secret]) == []
    assert all(len(form) > 8 for form in forms_of(secret))


def test_secrets_are_nowhere_to_be_seen_whatever_happens(
    cloud: SimulatedCloud, database: InfluxServer, tmp_path: Path, trigger: Path
) -> None:
    files = {PASSWORD: tmp_path / "cloud.secret", OTHER: tmp_path / "db.secret"}
    for secret, file in files.items():
        file.write_text(f"{secret}\n")
    given = sections(cloud, password_file=str(files[PASSWORD]))
    place = {"host": database.host, "port": str(database.port)}
    given["db"] = place | {"user": "Jürgen", "password_file": str(files[OTHER])}
    with installed(tmp_path / "downtimer", given) as command, Watch(command) as watch:
        watch.ok("start", "--label", "a night")
        until_works(watch, command)
        wait_until(
            lambda: command.status()["influxdb"]["state"] == "ok",
            timeout_s=LONG_S,
            what="InfluxDB to take points",
        )
        keystone_misbehaves(cloud, watch, command)
        children_die(watch, command)
        discovery_breaks(watch, command, trigger)
        database_misbehaves(database, watch, command, files[OTHER])
        everything_is_said(watch, command)
        watch.ok("stop", "--keep")
        watch.ok("start")
        until_works(watch, command)
        watch.ok("stop")
        places = watch.places() | traces.shown_by_files(tmp_path / "record")
    assert showing(places, [PASSWORD, OTHER, WRONG, TOKEN]) == []
    assert len(list((tmp_path / "record").iterdir())) > 12
    assert len([place for place in places if place.endswith(".sqlite")]) == 2


def keystone_misbehaves(cloud: SimulatedCloud, watch: Watch, command: Command) -> None:
    """Have it refuse, answer rubbish, break off, hang, repeat what it is told, and die while we sign in."""
    keystone = cloud.service("keystone")
    for mode in ("503", "404", "reset", "drip", "hang"):
        keystone.set_mode(mode)
        wait_until(
            lambda: any(down["is_keystone"] for down in command.status()["down"]),
            timeout_s=LONG_S,
            what=f"Keystone to be down: {mode}",
        )
        watch.ok("status", "--json")
        if mode == "hang":
            keystone.kill()
        else:
            keystone.set_mode("normal")
    for status in (201, 302, 401, 500):
        with Reflector(keystone.place.port, status):
            after = len(command.log())
            os.kill(command.pids()["discovery"], signal.SIGKILL)
            until(command, f"discovery to complain: {status}", "WARNING discovery: ", after=after)
            watch.ok("status")
    keystone.start()
    cloud.change(lambda world: replace(world, users=tuple(replace(u, password="x") for u in world.users)))
    until(command, "the password to be refused", "wrong user or password")
    watch.ok("status")
    cloud.change(
        lambda world: replace(world, users=tuple(replace(u, password=PASSWORD) for u in world.users))
    )


def children_die(watch: Watch, command: Command) -> None:
    """Have every child killed, and those with secrets end as if by a defect of an extension."""
    for name, number in (
        ("api", signal.SIGABRT),
        ("writer", signal.SIGSEGV),
        ("discovery", signal.SIGABRT),
        ("icmp", signal.SIGKILL),
    ):
        before = command.pids()[name]
        os.kill(before, number)
        wait_until(
            lambda: command.pids()[name] not in (None, before),  # noqa: B023
            timeout_s=LONG_S,
            what=f"{name} to be back",
        )
    watch.ok("status")


def discovery_breaks(watch: Watch, command: Command, trigger: Path) -> None:
    """Have a defect of ours come to light with the password at hand."""
    after = len(command.log())
    trigger.touch()
    os.kill(command.pids()["discovery"], signal.SIGKILL)
    until(command, "a traceback", "ZeroDivisionError", after=after)
    watch.ok("status")
    trigger.unlink()


def database_misbehaves(database: InfluxServer, watch: Watch, command: Command, file: Path) -> None:
    """Have InfluxDB refuse a wrong password, then be replaced by what repeats what it is told."""

    def until_failing(words: str) -> None:
        wait_until(
            lambda: words in (command.status()["influxdb"]["error"] or ""), timeout_s=LONG_S, what=words
        )
        watch.ok("status")

    file.write_text(f"{WRONG}\n")
    os.kill(command.supervisor(), signal.SIGHUP)
    until_failing("rejects the credentials")
    watch.run("ship")
    watch.run("report", "--from", "influxdb")
    file.write_text(f"{OTHER}\n")
    os.kill(command.supervisor(), signal.SIGHUP)
    wait_until(lambda: command.status()["influxdb"]["state"] == "ok", timeout_s=LONG_S, what="points taken")
    database.stop()
    for status in (200, 302, 401, 500):
        with Reflector(database.port, status):
            after = len(command.log())
            os.kill(command.pids()["writer"], signal.SIGKILL)
            until(command, f"the writer to complain: {status}", "points wait in the journal", after=after)
            wait_until(lambda: command.status()["influxdb"]["error"], timeout_s=LONG_S, what="an error")
            watch.ok("status")
            watch.run("report", "--from", "influxdb")
    database.start()


def everything_is_said(watch: Watch, command: Command) -> None:
    """Have all that can be said of the run said."""
    for words in (
        ["status"],
        ["status", "--json"],
        ["report"],
        ["report", "--format", "json"],
        ["report", "--output", str(command.directory / "more")],
        ["runs"],
        ["runs", "--json"],
    ):
        watch.ok(*words)
    for words in (["report", "--from", "influxdb"], ["ship"], ["start"]):
        watch.run(*words)


# --- every secret, wherever it may come from -----------------------------------------------------


@pytest.mark.parametrize(("section", "option"), secret_options())
def test_every_secret_in_the_configuration_stays_there(
    cloud: SimulatedCloud, tmp_path: Path, trigger: Path, section: str, option: str
) -> None:
    port = find_port()
    secret = secret_of(cloud, section, option)
    given = {name: dict(options) for name, options in sections(cloud).items()}
    given["db"] = {"host": "127.0.0.1", "port": str(port)}
    if (section, option) == ("db", "password"):
        given["db"]["user"] = "writer"
    if section != "global":
        given["global"]["password"] = PASSWORD
    if option == "application_credential_secret":
        given["global"]["application_credential_id"] = credential_id(cloud.config.user)
    given[section][option] = secret
    directory = tmp_path / "downtimer"
    with Reflector(port, 401) as reflector, installed(directory, given) as command, Watch(command) as watch:
        watch.ok("start")
        wait_until(lambda: command.status()["influxdb"]["error"], timeout_s=LONG_S, what="an error")
        trigger.touch()
        os.kill(command.pids()["discovery"], signal.SIGKILL)
        until(command, "a traceback", "ZeroDivisionError")
        everything_is_said(watch, command)
        places = watch.places() | traces.shown_by_files(tmp_path / "record")
        traces.kill_all(command)  # a stop would wait for InfluxDB
    assert reflector.asked
    assert showing(places, [secret, PASSWORD]) == [str(command.config)]
    assert showing(places, [TOKEN]) == ([str(command.config)] if secret.startswith(TOKEN) else [])


def secret_of(cloud: SimulatedCloud, section: str, option: str) -> str:
    """Return what a secret must be so that it is used."""
    if section == "db":
        return {"password": OTHER, "token": DB_TOKEN}[option]
    return token_of(sign_in(cloud)) if option == "token" else PASSWORD


@pytest.mark.usefixtures("trigger")
def test_secrets_of_clouds_and_of_the_environment_go_no_further_than_the_start(
    cloud: SimulatedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = {
        "auth_url": cloud.keystone_url,
        "application_credential_id": credential_id(cloud.config.user),
        "application_credential_secret": PASSWORD,
    }
    clouds = tmp_path / "clouds.yaml"
    entry = {"auth_type": "v3applicationcredential", "auth": auth}
    clouds.write_text(json.dumps({"clouds": {"night": entry}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    given = {**sections(cloud), "global": {"log_level": "debug"}}
    with installed(tmp_path / "downtimer", given) as command, Watch(command) as watch:
        watch.ok("start", "--os-cloud", "night")
        until_works(watch, command)
        os.kill(command.pids()["discovery"], signal.SIGKILL)
        everything_is_said(watch, command)
        watch.ok("stop", "--keep")
        for name, value in auth.items():
            monkeypatch.setenv(f"OS_{name.upper()}", value)
        watch.ok("start")  # the daemon is told over its socket
        until_works(watch, command)
        watch.ok("stop", "--keep")
        monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", WRONG)
        assert "refused application credential" in watch.run("start").err
        watch.ok("stop")
        record = traces.shown_by_files(tmp_path / "record")
    assert showing(watch.places() | record, [PASSWORD, WRONG, TOKEN]) == []
    assert record
    assert [place for place, content in record.items() if b"OS_" in content] == []


@pytest.mark.usefixtures("trigger")
def test_password_of_the_environment_goes_no_further_than_the_start(
    cloud: SimulatedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_USERNAME", "somebody")
    monkeypatch.setenv("OS_PASSWORD", PASSWORD)
    with installed(tmp_path / "downtimer", sections(cloud)) as command, Watch(command) as watch:
        watch.ok("start")
        monkeypatch.delenv("OS_PASSWORD")
        until_works(watch, command)
        after = len(command.log())
        os.kill(command.supervisor(), signal.SIGHUP)
        until(command, "the configuration to be read again", "SIGHUP: changed: nothing", after=after)
        watch.ok("stop", "--keep")
        refused = watch.run("start")
        assert refused.code == ExitCode.USAGE
        assert refused.err == (
            f"downtimer: {command.config}: [global] password: missing; "
            "write it or password_file, or start with OS_PASSWORD\n"
        )
        monkeypatch.setenv("OS_PASSWORD", PASSWORD)
        watch.ok("start")
        until_works(watch, command)
        monkeypatch.setenv("OS_PASSWORD", WRONG)
        watch.ok("stop", "--keep")
        wrong = watch.run("start")
        assert "wrong user or password" in wrong.err
        watch.ok("stop")
        record = traces.shown_by_files(tmp_path / "record")
    assert showing(watch.places() | record, [PASSWORD, WRONG, TOKEN]) == []
    assert record
    assert [place for place, content in record.items() if b"OS_" in content] == []


@pytest.mark.parametrize("password", ["", os.fsdecode(b"\xff")])
def test_password_of_the_environment_that_is_none_is_one_line(
    cloud: SimulatedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("OS_PASSWORD", password)
    with installed(tmp_path / "downtimer", sections(cloud)) as command:
        said = command.run("start")
    assert said.code == ExitCode.USAGE
    assert said.err.count("\n") == 1
    assert ("OS_PASSWORD: not UTF-8 text" if password else "[global] password: missing") in said.err


# --- who may read what, and what nobody verifies -------------------------------------------------


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_what_we_make_is_for_the_user_and_the_group_whatever_the_umask(command: Command, umask: str) -> None:
    command.write(NOWHERE)
    began = command.run("start", prefix=("sh", "-c", f'umask {umask}; exec "$@"', "sh"))
    assert began.code == 0, began
    wait_until(lambda: command.status()["journal"]["rows"], timeout_s=LONG_S, what="a journal")
    living = modes_in(command.directory)
    command.ok("stop")
    stopped = modes_in(command.directory)
    (run,) = json.loads(command.ok("runs", "--json"))
    journal = f"state/runs/{run['id']}.sqlite"
    files = {"log": "0640", journal: "0640", "state": "0750", "state/runs": "0750", "state/lock": "0600"}
    files |= {"run": "0700", "run/lock": "0600", "run/bus.sock": "0700", "run/points.sock": "0700"}
    assert stopped == files | {"report": "0640"}
    assert living == files | {
        f"{journal}-wal": "0640",
        f"{journal}-shm": "0640",
        "run/control.sock": "0600",
    }


def modes_in(folder: Path) -> dict[str, str]:
    """Return the modes of everything in a folder, deep down, but for the configuration's."""
    return {
        str(path.relative_to(folder)): f"{stat.S_IMODE(path.lstat().st_mode):04o}"
        for path in folder.rglob("*")
        if path.name != "conf.ini"
    }


def test_what_others_can_read_and_what_nobody_verifies_is_said_at_every_start(command: Command) -> None:
    command.write({**NOWHERE, "global": {"password": "unused", "insecure": "yes"}})
    command.config.chmod(0o644)
    exposed = (
        f"downtimer: {command.config}: [global] password: every user can read or change {command.config}; "
        f"`chmod o-rw {command.config}` mends that"
    )
    unverified = "certificates of the cloud are not verified ([global] insecure)"
    for _ in range(2):
        said = command.run("start")
        assert said.code == 0
        assert said.err.splitlines() == [
            exposed,
            f"downtimer: {unverified}",
            "downtimer: down already: web (refused)",
        ]
        assert command.status()["unverified"] == [unverified]
        assert f"C{unverified[1:]}.\n" in command.ok("status")
        command.ok("stop", "--keep")
    command.ok("stop")
    assert command.log().count(f"WARNING {unverified}\n") == 2


def test_what_nobody_verifies_is_said_in_the_foreground_too(command: Command) -> None:
    command.write({**NOWHERE, "global": {"insecure": "yes"}})
    argv = command.argv("start", "--foreground")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert "measuring 1 service" in daemon.stdout.readline()
        daemon.send_signal(signal.SIGTERM)
        _, said = daemon.communicate(timeout=LONG_S)
    first, *rest = said.splitlines()
    unverified = "certificates of the cloud are not verified ([global] insecure)"
    assert first == f"downtimer: {unverified}"
    assert [line for line in rest if line.endswith(f"WARNING {unverified}")]


def test_memory_of_who_has_secrets_is_closed_even_to_their_user(
    cloud: SimulatedCloud, tmp_path: Path
) -> None:
    # Root may read it nevertheless, unless he has given up that.
    drop = ("setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--")
    prefix = drop if os.geteuid() == 0 else ()
    with installed(tmp_path / "downtimer", sections(cloud, password=PASSWORD)) as command:
        said = command.run("start", prefix=prefix)
        assert said.code == 0, said
        pids = command.pids() | {"supervisor": command.supervisor()}
        read = {
            name: subprocess.run(
                [*prefix, "readlink", f"/proc/{pid}/exe"], stdout=subprocess.PIPE, check=False
            )
            for name, pid in pids.items()
        }
        command.ok("stop")
    assert {name for name, done in read.items() if done.returncode == 0} == {"icmp", "writer"}
