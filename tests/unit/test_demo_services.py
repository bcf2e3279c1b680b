"""The simulated services, without their sockets."""

import json
import re
import time
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from downtimer.demo.agents import DOWN_AFTER_S, ENGINES, changed
from downtimer.demo.api import Service
from downtimer.demo.cloud import CloudConfig, make_world
from downtimer.demo.database import ALIVE, DEAD, Database
from downtimer.demo.httpd import Request, Response, encode
from downtimer.demo.service import calls_of
from downtimer.demo.services import HOWTO, PROFILES, PROJECT, Profile, matches, profile_of
from downtimer.demo.tokens import Claims, Gate, KeystoneAwayError, SignedGate, issue
from downtimer.demo.world import World, WorldFile, make_catalog, make_id

KEYSTONE = "http://172.29.236.10:5000"
REQUEST_ID = re.compile("req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WITH_LISTINGS = [profile for profile in PROFILES.values() if profile.listings]
OTHERS = [name for name in PROFILES if name not in {"keystone", "heat-cfn"}]
"""Those that have keystonemiddleware before them."""


@pytest.fixture
def world(tmp_path: Path) -> WorldFile:
    """A cloud with three addresses, in three projects."""
    path = tmp_path / "world.json"
    config = CloudConfig(unassociated=("10.0.0.9",))
    made = make_world(config, ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    replace(made, keystone_url=KEYSTONE).save(path)
    return WorldFile(path)


@pytest.fixture
def alter(world: WorldFile, tmp_path: Path) -> "Alter":
    """Changes what that cloud contains."""
    return Alter(world, tmp_path / "world.json")


class Alter:
    """Changes what a cloud contains, as `SimulatedCloud.change` does."""

    def __init__(self, world: WorldFile, path: Path) -> None:
        self._world = world
        self._path = path

    def __call__(self, **changes: Any) -> World:  # noqa: ANN401 - the fields of World
        """Replace some fields."""
        new = replace(self._world.read(), **changes)
        new.save(self._path)
        return new


def ask(
    app: Service,
    path: str,
    *,
    token: str = "",
    method: str = "GET",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: object = None,
) -> Response:
    all_headers = {"host": "h:5000", **(headers or {})} | ({"x-auth-token": token} if token else {})
    return app(
        Request(
            method=method,
            path=path,
            query=query or {},
            headers=all_headers,
            body=b"" if body is None else json.dumps(body).encode(),
            keep_alive=True,
        )
    )


def sign(world: WorldFile, *, admin: bool = True, expires_at: float = 4e9) -> str:
    content = world.read()
    project_id = list(content.projects)[0 if admin else 1]
    user = "admin" if admin else "demo"
    return issue(content, Claims(user=user, project_id=project_id, admin=admin, expires_at=expires_at))


def make_app(
    name: str, world: WorldFile, database: Database | None = None, gate: Gate | None = None
) -> Service:
    signed = SignedGate(world)
    return Service(
        PROFILES[name],
        gate=gate or signed,
        database=database or Database(),
        world=world,
        calls=calls_of(name, world, signed),
    )


def bare(path: str) -> str:
    """Put some project's id into a path of the table."""
    return path.replace(PROJECT, "abc")


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
    app, token = make_app(name, world), sign(world)
    assert {ask(app, "/", token=shown).status for shown in ("", token)} == {root}
    assert {ask(app, "/", method="HEAD", token=shown).status for shown in ("", token)} == {head}
    for path, status in (("/healthcheck", health), ("/nonsense", unknown)):
        assert ask(app, path).status == status
        assert ask(app, path, token="gAAAAforged").status == status
        assert ask(app, path, token=token).status == (404 if status == 401 else status)
    for entry in PROFILES[name].entries:
        path = bare(entry.path) or "/"
        assert ask(app, path).status == endpoint
        assert ask(app, path, token=sign(world, expires_at=1.0)).status == endpoint
        assert ask(app, path, token=token).status == with_token


def test_healthcheck_is_plain_text_and_empty_where_nothing_is_checked(world: WorldFile) -> None:
    healthy = [name for name, profile in PROFILES.items() if profile.health == 200]
    answers = {name: ask(make_app(name, world), "/healthcheck") for name in healthy}
    assert {answer.headers["Content-Type"] for answer in answers.values()} == {"text/plain; charset=UTF-8"}
    assert {name for name, answer in answers.items() if answer.body == b"OK"} == {
        "glance",
        "neutron",
        "cinder",
    }


@pytest.mark.parametrize(
    ("name", "with_id", "without"),
    [
        ("keystone", "/ /healthcheck /v3 /v3/projects /nonsense", ""),
        ("glance", "/v2/images", "/ /healthcheck /nonsense"),
        ("placement", "/ /healthcheck /resource_providers /nonsense", ""),
        ("nova", "/v2.1 /v2.1/servers", "/ /healthcheck /nonsense"),
        ("neutron", "/v2.0/networks", "/ /healthcheck /nonsense"),
        ("cinder", "/ /healthcheck /v3/abc /v3/abc/volumes /nonsense", ""),
        ("heat", "/ /v1/abc /v1/abc/stacks /nonsense", "/healthcheck"),
        ("heat-cfn", "/ /v1 /nonsense", "/healthcheck"),
    ],
)
def test_request_ids_are_where_the_pipelines_of_the_real_ones_have_them(
    world: WorldFile, name: str, with_id: str, without: str
) -> None:
    app, token = make_app(name, world), sign(world)
    seen = set()
    for path in with_id.split():
        headers = ask(app, path, token=token).headers
        assert REQUEST_ID.fullmatch(headers["x-openstack-request-id"])
        also = headers.get("x-compute-request-id")
        assert also == (headers["x-openstack-request-id"] if name == "nova" else None)
        seen.add(headers["x-openstack-request-id"])
    assert len(seen) == len(with_id.split())
    for path in without.split():
        assert "x-openstack-request-id" not in ask(app, path, token=token).headers, path


def test_keystone_answers_vary_and_its_root_says_where_to_go(world: WorldFile) -> None:
    app = make_app("keystone", world)
    for path in ("/", "/v3", "/v3/services", "/nonsense"):
        for token in ("", sign(world)):
            assert ask(app, path, token=token).headers["Vary"] == "X-Auth-Token"
    assert "Vary" not in ask(app, "/healthcheck").headers
    assert ask(app, "/").headers["Location"] == "http://h:5000/v3/"


def test_only_neutron_dates_its_answers_for_eventlet_does(world: WorldFile) -> None:
    dated = {name for name in PROFILES if "Date" in ask(make_app(name, world), "/").headers}
    assert dated == {"neutron"}
    assert ask(make_app("neutron", world), "/").headers["Date"].endswith(" GMT")


@pytest.mark.parametrize("profile", WITH_LISTINGS, ids=lambda profile: profile.name)
def test_lists_need_a_token_and_the_database(world: WorldFile, profile: Profile) -> None:
    database = Database()
    app = make_app(profile.name, world, database)
    for listing in profile.listings:
        path = bare(listing.path)
        assert ask(app, path).status == 401
        assert ask(app, path, token=sign(world, expires_at=1.0)).status == 401
        assert ask(app, path, token=sign(world)).status == 200
        database.set_state(DEAD)
        dead = ask(app, path, token=sign(world))
        assert dead.status == profile.database_dead == (503 if profile.name == "neutron" else 500)
        assert "Keystone" not in dead.body.decode()
        assert ask(app, path).status == 401
        assert ask(app, "/").status == profile.root
        database.set_state(ALIVE)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("glance", "/v2/images"),
        ("placement", "/resource_providers"),
        ("nova", "/v2.1/servers"),
        ("neutron", "/v2.0/networks"),
        ("cinder", "/v3/abc/volumes"),
        ("cinder", "/v2/abc/volumes"),
        ("heat", "/v1/abc/stacks"),
    ],
)
def test_revoked_token_is_refused_by_every_list(world: WorldFile, alter: Alter, name: str, path: str) -> None:
    app, token = make_app(name, world), sign(world)
    query = {"name": "downtimer"} if name == "placement" else {"limit": "1"}
    listed = ask(app, path, token=token, query=query)
    assert (listed.status, json.loads(listed.body)) == (200, {path.rpartition("/")[2]: []})
    alter(revoked=(token,))
    assert ask(app, path, token=token, query=query).status == 401


@pytest.mark.parametrize("name", ["keystone", *OTHERS])
def test_401_says_where_tokens_are_to_be_had(world: WorldFile, name: str) -> None:
    refused = ask(make_app(name, world), bare(PROFILES[name].listings[0].path))
    uri = "http://h:5000/v3" if name == "keystone" else KEYSTONE
    assert refused.headers["WWW-Authenticate"] == f'Keystone uri="{uri}"'
    if name != "glance":  # which answers itself, in HTML if need be
        error = {"code": 401, "message": "The request you have made requires authentication."}
        assert json.loads(refused.body) == {"error": error | {"title": "Unauthorized"}}


class GateOfDeadKeystone:
    """Knows nobody, and can't ask."""

    def check(self, token: str) -> Claims | None:
        """Fail."""
        raise KeystoneAwayError(token)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    ("accept", "kind"),
    [("", "text/plain"), ("*/*", "text/html"), ("application/json", "application/json")],
)
def test_503_names_keystone_where_that_is_away(world: WorldFile, name: str, accept: str, kind: str) -> None:
    app = make_app(name, world, gate=GateOfDeadKeystone())
    path = bare(PROFILES[name].listings[0].path)
    answer = ask(app, path, token="any", headers={"accept": accept} if accept else {})
    if name == "glance":  # it delays the decision
        assert answer.status == 401
        assert "WWW-Authenticate" in answer.headers
        return
    assert answer.status == 503
    assert "The Keystone service is temporarily unavailable." in answer.body.decode()
    type_ = "application/json" if name == "placement" else kind
    assert answer.headers.get("Content-Type", "application/json").startswith(type_)
    assert ask(app, path).status == 401  # nobody has to be asked
    assert ask(app, "/", token="any").status == PROFILES[name].root


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        (
            "keystone",
            "/v3/services",
            {
                "error": {
                    "code": 403,
                    "title": "Forbidden",
                    "message": "You are not authorized to perform the requested action:"
                    " identity:list_services.",
                }
            },
        ),
        (
            "nova",
            "/v2.1/os-services",
            {
                "forbidden": {
                    "code": 403,
                    "message": "Policy doesn't allow os_compute_api:os-services:list to be performed.",
                }
            },
        ),
        (
            "cinder",
            "/v3/abc/os-services",
            {
                "forbidden": {
                    "code": 403,
                    "message": "Policy doesn't allow volume_extension:services:index to be performed.",
                }
            },
        ),
        (
            "heat",
            "/v1/abc/services",
            {
                "code": 403,
                "title": "Forbidden",
                "explanation": "Access was denied to this resource.",
                "error": {
                    "type": "Forbidden",
                    "traceback": None,
                    "message": "You are not authorized to use service:index.",
                },
            },
        ),
    ],
)
def test_lists_for_admins_are_forbidden_to_others(
    world: WorldFile, name: str, path: str, expected: object
) -> None:
    database = Database()
    database.set_state(DEAD)  # it is not asked
    refused = ask(make_app(name, world, database), path, token=sign(world, admin=False))
    assert (refused.status, json.loads(refused.body)) == (403, expected)


def test_resource_providers_are_for_admins(world: WorldFile) -> None:
    refused = ask(make_app("placement", world), "/resource_providers", token=sign(world, admin=False))
    [error] = json.loads(refused.body)["errors"]
    assert (refused.status, error["status"], error["title"]) == (403, 403, "Forbidden")
    assert "Policy does not allow placement:resource_providers:list" in error["detail"]
    assert error["request_id"] == refused.headers["x-openstack-request-id"]


@pytest.mark.parametrize("profile", WITH_LISTINGS, ids=lambda profile: profile.name)
def test_lists_of_one_service_can_be_forbidden_to_all(
    world: WorldFile, alter: Alter, profile: Profile
) -> None:
    app, token = make_app(profile.name, world), sign(world)
    alter(forbidden=(profile.name,))
    for listing in profile.listings:
        refused = ask(app, bare(listing.path), token=token)
        assert refused.status == 403
        assert listing.policy in refused.body.decode()
    assert ask(app, "/", token=token).status == profile.root
    others = [other for other in WITH_LISTINGS if other is not profile]
    for other in others:
        assert ask(make_app(other.name, world), bare(other.listings[0].path), token=token).status == 200


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


def test_forged_expired_and_revoked_tokens_are_refused(world: WorldFile, alter: Alter) -> None:
    gate, good = SignedGate(world), sign(world)
    assert gate.check(good) is not None
    assert gate.check(good[:-1] + ("0" if good[-1] != "0" else "1")) is None
    assert gate.check("") is None
    assert gate.check(sign(world, expires_at=1.0)) is None
    alter(revoked=(good,))
    assert gate.check(good) is None


def rescope(app: Service, token: str, project_id: str, **query: str) -> Response:
    scope = {"project": {"id": project_id}}
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
    return ask(app, "/v3/auth/tokens", method="POST", body={"auth": auth}, query=query)


def test_token_is_exchanged_for_one_of_the_same_expiry(world: WorldFile) -> None:
    app, token = make_app("keystone", world), sign(world, expires_at=time.time() + 600)
    old = json.loads(ask(app, "/v3/auth/tokens", token=token, headers={"x-subject-token": token}).body)[
        "token"
    ]
    answer = rescope(app, token, make_id("project", "shop"), nocatalog="")
    new = json.loads(answer.body)["token"]
    assert answer.status == HTTPStatus.CREATED
    assert answer.headers["X-Subject-Token"] != token
    assert (new["expires_at"], new["project"]["name"]) == (old["expires_at"], "shop")
    assert (new["methods"], "catalog" in new) == (["token", "password"], False)
    assert new["audit_ids"][1:] == old["audit_ids"] != new["audit_ids"][:1]
    again = rescope(app, answer.headers["X-Subject-Token"], make_id("project", "admin"))
    newest = json.loads(again.body)["token"]
    assert (newest["expires_at"], newest["methods"]) == (old["expires_at"], ["token", "password"])
    assert (newest["audit_ids"][1:], "catalog" in newest) == (old["audit_ids"], True)


def test_what_is_no_good_token_is_exchanged_for_nothing(world: WorldFile, alter: Alter) -> None:
    app, project_id, revoked = make_app("keystone", world), make_id("project", "admin"), sign(world)
    alter(revoked=(revoked,))
    for token in (sign(world, expires_at=1.0), revoked, "gAAAAforged"):
        answer = rescope(app, token, project_id)
        assert (answer.status, answer.headers.get("WWW-Authenticate")) == (404, None)
        assert json.loads(answer.body)["error"]["message"] == "Failed to validate token"
    assert rescope(app, sign(world, admin=False), project_id).status == 401  # has no role there
    assert rescope(app, sign(world, admin=False), make_id("project", "demo")).status == 201


def test_exchange_needs_the_database(world: WorldFile) -> None:
    database = Database()
    database.set_state(DEAD)
    app, project_id = make_app("keystone", world, database), make_id("project", "admin")
    assert rescope(app, sign(world), project_id).status == 500


AGENT_FIELDS = {
    "nova": "id binary host zone status state updated_at disabled_reason",
    "neutron": "id agent_type binary topic host availability_zone admin_state_up alive created_at started_at"
    " heartbeat_timestamp description configurations resources_synced",
    "cinder": "binary host zone status state updated_at disabled_reason",
    "heat": "id binary engine_id host hostname topic report_interval created_at updated_at deleted_at status",
}
AGENT_PATHS = {
    "nova": "/v2.1/os-services",
    "neutron": "/v2.0/agents",
    "cinder": "/v3/abc/os-services",
    "heat": "/v1/abc/services",
}


def agents(world: WorldFile, name: str) -> list[dict[str, Any]]:
    answer = ask(make_app(name, world), AGENT_PATHS[name], token=sign(world))
    (listed,) = json.loads(answer.body).values()
    assert isinstance(listed, list)
    return listed


@pytest.mark.parametrize("name", AGENT_PATHS)
def test_agents_have_the_fields_of_the_api_reference_and_are_up(world: WorldFile, name: str) -> None:
    for agent in agents(world, name):
        assert set(AGENT_FIELDS[name].split()) <= set(agent)
        assert agent.get("state", agent.get("status")) == "up" or agent["alive"] is True


def test_neutron_hides_agents_from_others_than_admins(world: WorldFile) -> None:
    answer = ask(make_app("neutron", world), "/v2.0/agents", token=sign(world, admin=False))
    assert (answer.status, json.loads(answer.body)) == (200, {"agents": []})


@pytest.mark.parametrize(
    ("name", "binary", "host"),
    [
        ("nova", "nova-compute", "cmp1"),
        ("neutron", "neutron-l3-agent", "net1"),
        ("cinder", "cinder-volume", "ctl1@lvm"),
    ],
)
def test_agent_goes_down_and_comes_back(
    world: WorldFile, alter: Alter, name: str, binary: str, host: str
) -> None:
    before = agents(world, name)
    alter(agents=changed(world.read().agents, binary, host, is_up=False, now_s=1e9))
    [down] = [agent for agent in agents(world, name) if agent not in before]
    assert (down["binary"], down["host"]) == (binary, host)
    assert down["alive"] is False if name == "neutron" else down["state"] == "down"
    seen = down["heartbeat_timestamp" if name == "neutron" else "updated_at"].replace(" ", "T")[:19]
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1e9 - DOWN_AFTER_S[name])) > seen
    alter(agents=changed(world.read().agents, binary, host, is_up=True, now_s=1e9))
    assert len(agents(world, name)) == len(before)
    assert not any(
        agent.get("state") == "down" or agent.get("alive") is False for agent in agents(world, name)
    )


def test_engines_that_come_up_are_new_ones_beside_the_dead(world: WorldFile, alter: Alter) -> None:
    assert len(agents(world, "heat")) == ENGINES
    for is_up in (True, False, False, True, True):
        alter(agents=changed(world.read().agents, "heat-engine", "ctl1", is_up=is_up, now_s=1e9))
    listed = agents(world, "heat")
    assert [engine["status"] for engine in listed] == ["down"] * ENGINES + ["up"] * ENGINES
    assert len({engine["engine_id"] for engine in listed}) == 2 * ENGINES
    assert {engine["host"] for engine in listed} == {"ctl1"}


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
