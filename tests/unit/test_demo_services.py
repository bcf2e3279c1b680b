"""The simulated services, without their sockets."""

import json
from pathlib import Path

import pytest

from downtimer.demo.api import Service
from downtimer.demo.cloud import CloudConfig, make_world
from downtimer.demo.database import ALIVE, DEAD, Database
from downtimer.demo.httpd import Request, Response, encode
from downtimer.demo.identity import Identity
from downtimer.demo.resources import Compute, Network
from downtimer.demo.services import HOWTO, PROFILES, Profile, matches, profile_of
from downtimer.demo.tokens import SignedGate, issue
from downtimer.demo.world import World, WorldFile, make_catalog


@pytest.fixture
def world(tmp_path: Path) -> WorldFile:
    """A cloud with three addresses, in three projects."""
    path = tmp_path / "world.json"
    config = CloudConfig(unassociated=("10.0.0.9",))
    made = make_world(config, ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    made.save(path)
    return WorldFile(path)


def ask(
    app: Service, path: str, *, token: str = "", method: str = "GET", query: dict[str, str] | None = None
) -> Response:
    headers = {"x-auth-token": token} if token else {}
    return app(
        Request(method=method, path=path, query=query or {}, headers=headers, body=b"", keep_alive=True)
    )


def sign(world: WorldFile, *, admin: bool = True, expires_at: float = 1e12) -> str:
    content = world.read()
    project_id = list(content.projects)[0 if admin else 1]
    token, _ = issue(content, user="admin", project_id=project_id, admin=admin, expires_at=expires_at)
    return token


def make_app(name: str, world: WorldFile, database: Database | None = None) -> Service:
    gate = SignedGate(world)
    calls = {
        "keystone": Identity(world, gate).calls,
        "neutron": Network(world).calls,
        "nova": Compute(world).calls,
    }
    chosen = {"calls": calls[name]} if name in calls else {}
    return Service(PROFILES[name], gate=gate, database=database or Database(), **chosen)


@pytest.mark.parametrize(
    ("name", "root", "head", "health", "endpoint", "with_token", "unknown"),
    [
        ("keystone", 300, 300, 200, 200, 200, 404),
        ("glance", 300, 300, 200, 300, 300, 300),
        ("placement", 200, 405, 401, 200, 200, 401),
        ("nova", 200, 200, 300, 200, 200, 300),
        ("neutron", 200, 405, 200, 200, 200, 404),
        ("cinder", 300, 300, 200, 401, 404, 404),
        ("heat", 300, 300, 200, 401, 404, 404),
        ("heat-cfn", 300, 300, 200, 400, 400, 404),
    ],
)
def test_answers_are_those_of_the_table(  # noqa: PLR0917 - the columns of the table
    world: WorldFile,
    name: str,
    root: int,
    head: int,
    health: int,
    endpoint: int,
    with_token: int,
    unknown: int,
) -> None:
    app = make_app(name, world)
    path = PROFILES[name].entries[0].path.replace("PROJECT", next(iter(world.read().projects)))
    assert ask(app, "/").status == root
    assert ask(app, "/", method="HEAD").status == head
    assert ask(app, "/healthcheck").status == health
    assert ask(app, path or "/").status == endpoint
    assert ask(app, path or "/", token=sign(world)).status == with_token
    assert ask(app, "/nonsense").status == unknown


@pytest.mark.parametrize("profile", [p for p in PROFILES.values() if p.works], ids=lambda p: p.name)
def test_calls_that_work_need_a_token_and_the_database(world: WorldFile, profile: Profile) -> None:
    database = Database()
    app = make_app(profile.name, world, database)
    for pattern in profile.works:
        path = pattern.replace("PROJECT", "abc")
        assert ask(app, path).status == 401
        assert ask(app, path, token=sign(world)).status == 200
        database.set_state(DEAD)
        assert ask(app, path, token=sign(world)).status == profile.database_dead
        assert ask(app, "/").status == profile.root
        database.set_state(ALIVE)


def test_eight_services_of_the_howto() -> None:
    names = {entry.name for name in HOWTO for entry in PROFILES[name].entries}
    assert names == {"heat-cfn", "nova", "cinder", "neutron", "keystone", "heat", "cinderv2", "glance"}


def test_cinderv2_lives_in_the_process_of_cinder() -> None:
    assert profile_of("cinderv2").name == "cinder"


def test_pattern_compares_all_but_the_project() -> None:
    assert matches("/v3/PROJECT/volumes", "/v3/abc/volumes/")
    assert not matches("/v3/PROJECT/volumes", "/v3/abc/types")
    assert not matches("/v3/PROJECT", "/v3")


def test_catalog_has_every_region_and_interface() -> None:
    endpoints = make_catalog({"cinder": "http://h:8776"}, project_id="abc", regions=("One", "Two"))
    assert len(endpoints) == 2 * 2 * 3
    assert {endpoint.url for endpoint in endpoints} == {"http://h:8776/v3/abc", "http://h:8776/v2/abc"}


def test_admin_sees_all_floating_ips_and_others_their_own(world: WorldFile) -> None:
    app = make_app("neutron", world)
    seen = json.loads(ask(app, "/v2.0/floatingips", token=sign(world)).body)["floatingips"]
    assert {item["floating_ip_address"] for item in seen} == {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9"}
    [own] = json.loads(ask(app, "/v2.0/floatingips", token=sign(world, admin=False)).body)["floatingips"]
    assert own["floating_ip_address"] == "10.0.0.2"


def test_unassociated_floating_ip_has_no_port(world: WorldFile) -> None:
    app = make_app("neutron", world)
    seen = json.loads(ask(app, "/v2.0/floatingips", token=sign(world)).body)["floatingips"]
    [free] = [item for item in seen if item["floating_ip_address"] == "10.0.0.9"]
    assert (free["port_id"], free["port_details"], free["router_id"]) == (None, None, None)


def test_servers_of_every_project_are_for_admins(world: WorldFile) -> None:
    app = make_app("nova", world)
    path, query = "/v2.1/servers/detail", {"all_tenants": "1"}
    listed = json.loads(ask(app, path, token=sign(world), query=query).body)["servers"]
    assert [server["name"] for server in sorted(listed, key=lambda it: it["name"])] == [
        "vm-1",
        "vm-2",
        "vm-3",
    ]
    assert ask(app, path, token=sign(world, admin=False), query=query).status == 403


def test_forged_expired_and_revoked_tokens_are_refused(world: WorldFile, tmp_path: Path) -> None:
    gate, good = SignedGate(world), sign(world)
    assert gate.check(good) is not None
    assert gate.check(good[:-1] + ("0" if good[-1] != "0" else "1")) is None
    assert gate.check("") is None
    assert gate.check(sign(world, expires_at=1.0)) is None
    content = json.loads((tmp_path / "world.json").read_text()) | {"revoked": [good]}
    World.from_json(json.dumps(content)).save(tmp_path / "world.json")
    assert gate.check(good) is None


def test_body_has_a_length_only_on_a_connection_that_is_kept() -> None:
    request = Request(method="GET", path="/", query={}, headers={}, body=b"", keep_alive=True)
    response = Response(status=300, body=b"{}")
    kept, _ = encode(response, request, keep=True)
    closed, _ = encode(response, request, keep=False)
    assert kept.splitlines()[0] == b"HTTP/1.1 300 Multiple Choices"
    assert b"Content-Length: 2" in kept
    assert b"Connection: close" not in kept
    assert b"Connection: close" in closed
    assert b"Content-Length" not in closed


def test_answer_to_head_has_no_body() -> None:
    request = Request(method="HEAD", path="/", query={}, headers={}, body=b"", keep_alive=False)
    assert encode(Response(status=200, body=b"{}"), request, keep=False)[1] == b""
