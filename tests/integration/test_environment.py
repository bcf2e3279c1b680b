"""The servers that the integration tests build on behave as real ones do, and go away with their test."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError
from keystoneauth1 import access, exceptions, session
from keystoneauth1.identity import generic

from tests.integration.influx_env import Credentials, InfluxServer
from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import DATABASE, KeystoneInstallation
from tests.integration.mariadb_env import Database, MariaDb
from tests.integration.middleware_env import MiddlewareService
from tests.waiting import wait_until

pytestmark = pytest.mark.untimed

TIMEOUT_S = 30
POINT = {
    "measurement": "service_response",
    "tags": {"service": "nova", "region": "RegionOne"},
    "time": 1_700_000_000_123_456_789,
    "fields": {"value": 0.002, "up": 1},
}
QUERY = "SELECT value, up FROM service_response WHERE service = 'nova'"
WORKERS = 8  # as many as Keystone has on a small cloud


@pytest.fixture(scope="module")
def shared_keystone(
    keystone_venv: KeystoneInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keystone]:
    """One Keystone for the tests that only ask."""
    with Keystone(keystone_venv, tmp_path_factory.mktemp("shared") / "keystone") as server:
        yield server


@pytest.fixture
def mariadb(tmp_path: Path) -> Iterator[MariaDb]:
    """A running MariaDB of this test's own, without any database."""
    with MariaDb(tmp_path / "mariadb") as server:
        yield server


@pytest.fixture(scope="module")
def keystones_mariadb(
    keystone_venv: KeystoneInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MariaDb]:
    """The database of the next fixture, which every test leaves running."""
    directory = tmp_path_factory.mktemp("keystones") / "mariadb"
    with MariaDb(directory, template=keystone_venv.mariadb) as server:
        yield server


@pytest.fixture(scope="module")
def keystone_on_mariadb(
    keystone_venv: KeystoneInstallation, keystones_mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keystone]:
    """A Keystone as on a real cloud."""
    directory = tmp_path_factory.mktemp("on-mariadb") / "keystone"
    with Keystone(keystone_venv, directory, database=keystones_mariadb, processes=WORKERS) as server:
        yield server


def sign_in(
    keystone: Keystone,
    *,
    path: str = "",
    user: str = "admin",
    password: str = Keystone.password,
    timeout: float = TIMEOUT_S,
) -> session.Session:
    """Make a session as downtimer's discovery does."""
    plugin = generic.Password(
        auth_url=keystone.url + path,
        username=user,
        password=password,
        project_name="admin",
        user_domain_id="default",
        project_domain_id="default",
    )
    return session.Session(auth=plugin, timeout=timeout)


def access_of(client: session.Session) -> access.AccessInfoV3:
    """Sign in and return what came with the token."""
    assert isinstance(client.auth, generic.Password)
    info = client.auth.get_access(client)
    assert isinstance(info, access.AccessInfoV3)
    return info


def token_of(keystone: Keystone) -> str:
    """Sign in and return the token."""
    token = sign_in(keystone).get_token()
    assert token is not None
    return token


def exchange(keystone: Keystone, token: str, *, timeout: float = TIMEOUT_S) -> requests.Response:
    """Ask for another token in exchange for this one."""
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
    url = f"{keystone.url}/v3/auth/tokens?nocatalog"
    return requests.post(url, json={"auth": auth}, headers={"X-Auth-Token": token}, timeout=timeout)


def servers(
    service: MiddlewareService, token: str | None = None, *, timeout: float = TIMEOUT_S
) -> requests.Response:
    """Ask a service for what needs a token."""
    headers = {} if token is None else {"X-Auth-Token": token}
    return requests.get(f"{service.url}/v2.1/servers", headers=headers, timeout=timeout)


def is_open(port: int) -> bool:
    """Tell whether a connection is accepted."""
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_keystone_root_is_multiple_choices(shared_keystone: Keystone, method: str) -> None:
    answer = requests.request(method, f"{shared_keystone.url}/", timeout=TIMEOUT_S, allow_redirects=False)
    assert answer.status_code == 300
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(("path", "status"), [("/v3/", 200), ("/healthcheck", 200), ("/nothing-here", 404)])
def test_keystone_answers_without_token(shared_keystone: Keystone, path: str, status: int) -> None:
    assert requests.get(shared_keystone.url + path, timeout=TIMEOUT_S).status_code == status


def test_keystone_wants_a_token_for_its_lists(shared_keystone: Keystone) -> None:
    assert requests.get(f"{shared_keystone.url}/v3/services", timeout=TIMEOUT_S).status_code == 401
    answer = sign_in(shared_keystone).get(f"{shared_keystone.url}/v3/services")
    assert [service["name"] for service in answer.json()["services"]] == ["keystone"]


@pytest.mark.parametrize("path", ["", "/", "/v3", "/v3/"])
def test_generic_password_signs_in_with_and_without_version(shared_keystone: Keystone, path: str) -> None:
    client = sign_in(shared_keystone, path=path)
    assert client.get_token()
    assert client.get_endpoint(service_type="identity", interface="public") == f"{shared_keystone.url}/v3/"


def test_wrong_password_is_refused(shared_keystone: Keystone) -> None:
    with pytest.raises(exceptions.Unauthorized):
        sign_in(shared_keystone, password="wrong").get_token()


def test_catalog_has_what_was_registered(keystone: Keystone) -> None:
    project = keystone.api.project_id("admin")
    keystone.api.register("nova", "compute", "http://127.0.0.1:1/v2.1")
    keystone.api.register(
        "nova", "compute", "http://127.0.0.1:2/v2.1", region="RegionTwo", interfaces=["public"]
    )
    keystone.api.register("cinderv3", "volumev3", "http://127.0.0.1:3/v3/$(project_id)s")
    dropped = keystone.api.register("heat", "orchestration", "http://127.0.0.1:4/v1/%(project_id)s")
    keystone.api.unregister(dropped)

    catalog = access_of(sign_in(keystone)).service_catalog.catalog
    urls = {
        (service["name"], service["type"], endpoint["region"], endpoint["interface"]): endpoint["url"]
        for service in catalog
        for endpoint in service["endpoints"]
    }
    interfaces = ("public", "internal", "admin")
    assert urls == {
        **{("keystone", "identity", "RegionOne", i): f"{keystone.url}/v3/" for i in interfaces},
        **{("nova", "compute", "RegionOne", i): "http://127.0.0.1:1/v2.1" for i in interfaces},
        ("nova", "compute", "RegionTwo", "public"): "http://127.0.0.1:2/v2.1",
        **{("cinderv3", "volumev3", "RegionOne", i): f"http://127.0.0.1:3/v3/{project}" for i in interfaces},
    }


def test_user_with_percent_in_password_signs_in(keystone: Keystone) -> None:
    keystone.api.create_project("tenant")
    keystone.api.create_user("watcher", "100%(s)s %d", project="admin", role="reader")
    assert sign_in(keystone, user="watcher", password="100%(s)s %d").get_token()


def test_killed_keystone_refuses_and_comes_back_on_its_port(keystone: Keystone) -> None:
    token = sign_in(keystone).get_token()
    keystone.kill()
    assert not is_open(keystone.port)
    keystone.start()
    answer = requests.get(f"{keystone.url}/v3/services", headers={"X-Auth-Token": token}, timeout=TIMEOUT_S)
    assert answer.status_code == 200  # tokens outlive the process


def test_frozen_keystone_accepts_but_does_not_answer(keystone: Keystone) -> None:
    keystone.pause()
    assert is_open(keystone.port)
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(keystone.url, timeout=0.3)
    keystone.resume()
    assert requests.get(keystone.url, timeout=TIMEOUT_S).status_code == 300


def test_token_lifetime_is_what_was_asked_for(keystone_venv: KeystoneInstallation, tmp_path: Path) -> None:
    with Keystone(keystone_venv, tmp_path / "keystone", token_lifetime_s=77, processes=1) as keystone:
        info = access_of(sign_in(keystone))
        assert info.expires is not None
        assert info.issued is not None
        assert (info.expires - info.issued).total_seconds() == pytest.approx(77, abs=2)


def test_revoked_token_is_not_found(shared_keystone: Keystone) -> None:
    revoked, other = token_of(shared_keystone), token_of(shared_keystone)
    assert exchange(shared_keystone, revoked).status_code == 201
    headers = {"X-Auth-Token": other, "X-Subject-Token": revoked}
    answer = requests.delete(f"{shared_keystone.url}/v3/auth/tokens", headers=headers, timeout=TIMEOUT_S)
    assert answer.status_code == 204
    answer = exchange(shared_keystone, revoked)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Failed to validate token")
    assert exchange(shared_keystone, other).status_code == 201


def test_mariadb_keeps_its_data_when_killed(mariadb: MariaDb) -> None:
    mariadb.create_database(Database("nova", "nova", "secret"))
    mariadb.query("CREATE TABLE nova.instances (id INT PRIMARY KEY, name TEXT)")
    mariadb.query("INSERT INTO nova.instances VALUES (1, 'web')")
    mariadb.kill()
    assert not is_open(mariadb.port)
    with pytest.raises(RuntimeError, match="Can't connect"):
        mariadb.query("SELECT 1")
    mariadb.start()
    assert mariadb.query("SELECT * FROM nova.instances") == ["1\tweb"]


def test_frozen_mariadb_accepts_but_does_not_greet(mariadb: MariaDb) -> None:
    mariadb.pause()
    with socket.create_connection(("127.0.0.1", mariadb.port), timeout=0.3) as client:
        with pytest.raises(TimeoutError):
            client.recv(1)
        mariadb.resume()
        client.settimeout(TIMEOUT_S)
        assert client.recv(1)


def test_keystone_on_mariadb_starts_with_all_workers_connected(
    keystones_mariadb: MariaDb, keystone_on_mariadb: Keystone
) -> None:
    assert keystones_mariadb.connections(DATABASE) >= WORKERS
    assert keystone_on_mariadb.api.project_id("admin")


def test_frozen_database_holds_what_needs_it(
    keystones_mariadb: MariaDb, keystone_on_mariadb: Keystone
) -> None:
    token = token_of(keystone_on_mariadb)
    keystones_mariadb.pause()
    with pytest.raises(requests.exceptions.ReadTimeout):
        exchange(keystone_on_mariadb, token, timeout=1)
    with pytest.raises(exceptions.ConnectTimeout):
        sign_in(keystone_on_mariadb, timeout=1).get_token()
    for path, status in (("/", 300), ("/v3/", 200), ("/healthcheck", 200)):
        answer = requests.get(keystone_on_mariadb.url + path, timeout=TIMEOUT_S)
        assert answer.status_code == status
    keystones_mariadb.resume()
    assert exchange(keystone_on_mariadb, token).status_code == 201
    assert sign_in(keystone_on_mariadb).get_token()


def test_every_call_held_by_a_frozen_database_takes_a_worker(
    keystones_mariadb: MariaDb, keystone_on_mariadb: Keystone
) -> None:
    token = token_of(keystone_on_mariadb)
    keystones_mariadb.pause()
    for _ in range(WORKERS):
        with pytest.raises(requests.exceptions.ReadTimeout):
            exchange(keystone_on_mariadb, token, timeout=0.3)
    with pytest.raises(requests.exceptions.ReadTimeout):  # though nobody waits for those calls any more
        requests.get(f"{keystone_on_mariadb.url}/v3/", timeout=1)
    keystones_mariadb.resume()
    assert requests.get(f"{keystone_on_mariadb.url}/v3/", timeout=TIMEOUT_S).status_code == 200


def test_dead_database_fails_what_needs_it_at_once(
    keystones_mariadb: MariaDb, keystone_on_mariadb: Keystone
) -> None:
    token = token_of(keystone_on_mariadb)
    keystones_mariadb.kill()
    assert requests.get(f"{keystone_on_mariadb.url}/v3/", timeout=TIMEOUT_S).status_code == 200
    assert exchange(keystone_on_mariadb, token, timeout=5).status_code == 500
    # Without a token Keystone lets the exception out, and uWSGI closes the connection without a word.
    with pytest.raises(exceptions.ConnectFailure, match="without response"):
        sign_in(keystone_on_mariadb, timeout=5).get_token()
    keystones_mariadb.start()
    assert exchange(keystone_on_mariadb, token).status_code == 201
    assert sign_in(keystone_on_mariadb).get_token()


def test_service_wants_a_token_except_at_its_root(
    keystone_venv: KeystoneInstallation, keystone_on_mariadb: Keystone, tmp_path: Path
) -> None:
    with MiddlewareService(keystone_venv, tmp_path / "service", keystone_on_mariadb) as service:
        answer = requests.get(f"{service.url}/", timeout=TIMEOUT_S)
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
        for answer in (servers(service), servers(service, "no-token")):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{keystone_on_mariadb.url}"'
        answer = servers(service, token_of(keystone_on_mariadb))
        assert (answer.status_code, answer.json()) == (200, {"servers": []})


def test_service_without_keystone_knows_only_the_tokens_in_its_cache(
    keystone_venv: KeystoneInstallation, keystone: Keystone, tmp_path: Path
) -> None:
    def service(name: str, *, cache_s: int = -1, delay: bool = False) -> MiddlewareService:
        return MiddlewareService(
            keystone_venv,
            tmp_path / name,
            keystone,
            processes=1,
            token_cache_time_s=cache_s,
            delay_auth_decision=delay,
        )

    token = token_of(keystone)
    with (
        service("caching", cache_s=300) as caching,
        service("asking") as asking,
        service("deciding", delay=True) as deciding,
    ):
        for each in (caching, asking, deciding):
            assert servers(each, token).status_code == 200

        keystone.kill()
        assert servers(caching, token).status_code == 200
        answer = servers(asking, token)
        assert answer.status_code == 503
        assert "The Keystone service is temporarily unavailable" in answer.text
        assert servers(deciding, token).status_code == 401
        keystone.start()
        assert servers(asking, token).status_code == 200

        keystone.pause()
        assert servers(caching, token).status_code == 200
        with pytest.raises(requests.exceptions.ReadTimeout):
            servers(asking, token, timeout=1)
        keystone.resume()
        assert servers(asking, token).status_code == 200


def test_servers_can_run_in_a_network_namespace(keystone_venv: KeystoneInstallation, tmp_path: Path) -> None:
    prefix = ["unshare", "--user", "--map-root-user", "--net"]
    inside = ["sh", "-c", 'ip link set lo up && exec "$@"', "inside"]
    with (
        Keystone(keystone_venv, tmp_path / "keystone", prefix=[*prefix, *inside]) as keystone,
        InfluxServer(tmp_path / "influxdb", prefix=[*prefix, *inside]) as influxdb,
        MariaDb(tmp_path / "mariadb", prefix=[*prefix, *inside]) as mariadb,
    ):
        assert keystone.api.create_project("tenant")
        assert not is_open(keystone.port)
        assert not is_open(influxdb.port)
        assert not is_open(mariadb.port)


def test_servers_die_with_a_killed_test_run(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys\n"
        "from tests.integration.influx_env import InfluxServer\n"
        "server = InfluxServer(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.port, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "influxdb")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    port = int(run.stdout)
    wait_until(lambda: not is_open(port), timeout_s=TIMEOUT_S, what="the orphaned server to end")


def client_of(server: InfluxServer, *, password: str | None = None) -> InfluxDBClient:
    """Make a client as downtimer's writer does."""
    user = None if server.credentials is None else server.credentials.user
    return InfluxDBClient(server.host, server.port, user, password, "downtimer", timeout=TIMEOUT_S, retries=1)


def test_influxdb_gives_back_a_point(influxdb: InfluxServer) -> None:
    client = client_of(influxdb)
    client.create_database("downtimer")
    assert client.get_list_database() == [{"name": "downtimer"}]
    for _ in range(2):  # the same point twice is one point
        assert client.write_points([POINT], time_precision="n")
    points = list(client.query(QUERY, epoch="ns").get_points())
    assert points == [{"time": 1_700_000_000_123_456_789, "value": 0.002, "up": 1}]
    client.close()


def test_influxdb_keeps_its_points_when_killed(influxdb: InfluxServer) -> None:
    client = client_of(influxdb)
    client.create_database("downtimer")
    client.write_points([POINT], time_precision="n")
    influxdb.kill()
    with pytest.raises(requests.exceptions.ConnectionError):
        client.ping()
    influxdb.start()
    assert len(list(client.query(QUERY).get_points())) == 1
    client.close()


def test_frozen_influxdb_does_not_answer(influxdb: InfluxServer) -> None:
    influxdb.pause()
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{influxdb.url}/ping", timeout=0.3)
    influxdb.resume()
    assert requests.get(f"{influxdb.url}/ping", timeout=TIMEOUT_S).status_code == 204


def test_influxdb_asks_for_a_password_when_told_to(tmp_path: Path) -> None:
    credentials = Credentials("dt", r"100%'s \"quoted\"")
    with InfluxServer(tmp_path / "influxdb", credentials=credentials) as server:
        wrong, right = client_of(server, password="wrong"), client_of(server, password=credentials.password)
        with pytest.raises(InfluxDBClientError, match="authorization failed"):
            wrong.create_database("downtimer")
        right.create_database("downtimer")
        server.stop()
        server.start()
        assert right.get_list_database() == [{"name": "downtimer"}]
        wrong.close()
        right.close()
