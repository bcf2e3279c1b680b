"""The simulated Keystone: signing in by password, application credential or token; a catalog.

Good enough for keystoneauth1's generic plugins, with and without ``/v3`` in the URL. Each user has one
application credential, whose secret is the password.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any

from downtimer.demo.api import Calls
from downtimer.demo.httpd import Request, Response, json_response
from downtimer.demo.refusals import refusal
from downtimer.demo.tokens import Claims, Gate, NotAuthenticatedError, issue
from downtimer.demo.world import User, World, WorldFile, make_id

_UNREADABLE = (
    "Expecting to find auth in request body. The server could not comply with the request since it is either"
    " malformed or otherwise incorrect. The client is assumed to be in error."
)
_INVALID = "Failed to validate token"
_DELEGATED = (
    "You are not authorized to perform the requested action: Using a delegated token to create another token"
    " is not allowed.."
)
_CREDENTIAL = "application_credential"


class _InvalidTokenError(Exception):
    """A token was shown that is none of ours, or is no longer valid."""


class _UnknownCredentialError(Exception):
    """There is no such application credential; the text is its id."""


class _DelegatedError(Exception):
    """A token of an application credential is to be exchanged."""


class Identity:
    """The calls of Keystone."""

    def __init__(self, world: WorldFile, gate: Gate) -> None:
        self._world = world
        self._gate = gate

    @property
    def calls(self) -> Calls:
        """What this Keystone can do."""
        return Calls(
            open={("POST", "/v3/auth/tokens"): self._sign_in},
            closed={
                ("GET", "/v3/auth/tokens"): self._validate,
                ("GET", "/v3/projects"): self._projects,
                ("GET", "/v3/auth/projects"): self._projects,
                ("GET", "/v3/services"): self._services,
                ("GET", "/v3/regions"): self._regions,
            },
            documents={"": _versions, "/v3": _version_3},
        )

    def _sign_in(self, request: Request) -> Response:
        world = self._world.read()
        try:
            auth = json.loads(request.body)["auth"]
            user, shown = self._authenticate(auth["identity"], world)
            project_id = _scope_of(auth.get("scope"), user, world)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return refusal("keystone", request, 400, _UNREADABLE)
        except _InvalidTokenError:  # not 401, which is for a wrong password
            return refusal("keystone", request, 404, _INVALID)
        except _UnknownCredentialError as exc:
            return refusal("keystone", request, 404, f"Could not find Application Credential: {exc}.")
        except _DelegatedError:
            return refusal("keystone", request, 403, _DELEGATED)
        if shown is None:
            claims = Claims(
                user=user.name,
                project_id=project_id,
                admin=user.admin,
                expires_at=time.time() + world.token_ttl_s,
                methods=tuple(auth["identity"]["methods"]),
            )
        else:
            claims = shown.rescoped(project_id)
        content = _describe(claims, world, with_catalog="nocatalog" not in request.query)
        return json_response(201, {"token": content}, X_Subject_Token=issue(world, claims))

    def _authenticate(self, identity: dict[str, Any], world: World) -> tuple[User, Claims | None]:
        """Return who it is, and what the token says that was shown; None for a password.

        Raises:
            NotAuthenticatedError: There is no such user, or the password is wrong.
            _InvalidTokenError: The token is not accepted.
            _UnknownCredentialError: There is no such application credential.
            _DelegatedError: The token is one of an application credential.
        """
        if identity["methods"][0] == _CREDENTIAL:
            return _of_credential(identity[_CREDENTIAL], world), None
        if identity["methods"][0] == "token":
            claims = self._gate.check(identity["token"]["id"])
            user = None if claims is None else _user(world, claims.user)
            if user is None:
                raise _InvalidTokenError
            if claims is not None and _CREDENTIAL in claims.methods:
                raise _DelegatedError
            return user, claims
        given = identity["password"]["user"]
        user = _user(world, given.get("name", "")) or _user_by_id(world, given.get("id", ""))
        if user is None or user.password != given["password"]:
            raise NotAuthenticatedError
        return user, None

    def _validate(self, request: Request, _: Claims) -> Response:
        token = request.headers.get("x-subject-token", "")
        claims = self._gate.check(token)
        if claims is None:
            return refusal("keystone", request, 404, _INVALID)
        content = _describe(claims, self._world.read(), with_catalog="nocatalog" not in request.query)
        return json_response(200, {"token": content}, X_Subject_Token=token)

    def _projects(self, _: Request, claims: Claims) -> Response:
        listed = self._world.read().projects.items()
        seen = [item for item in listed if claims.admin or item[0] == claims.project_id]
        return json_response(200, {"projects": [{"id": id_, "name": name} for id_, name in seen]})

    def _regions(self, _: Request, __: Claims) -> Response:
        names = dict.fromkeys(item.region for item in self._world.read().endpoints)
        return json_response(200, {"regions": [{"id": name, "description": ""} for name in names]})

    def _services(self, _: Request, __: Claims) -> Response:
        kinds = dict.fromkeys((item.service, item.type) for item in self._world.read().endpoints)
        listed = [{"id": make_id("service", name), "name": name, "type": type_} for name, type_ in kinds]
        return json_response(200, {"services": listed})


def credential_id(name: str) -> str:
    """Return the id of a user's application credential."""
    return make_id(_CREDENTIAL, name)


def _of_credential(given: dict[str, Any], world: World) -> User:
    """Return whose application credential that is.

    Raises:
        NotAuthenticatedError: Its secret is another.
        _UnknownCredentialError: There is none.
    """
    user = next((user for user in world.users if credential_id(user.name) == given["id"]), None)
    if user is None:
        raise _UnknownCredentialError(given["id"])
    if user.password != given["secret"]:
        raise NotAuthenticatedError
    return user


def _versions(request: Request) -> Response:
    version = _version(request)
    return json_response(300, {"versions": {"values": [version]}}, Location=version["links"][0]["href"])


def _version_3(request: Request) -> Response:
    return json_response(200, {"version": _version(request)})


def _version(request: Request) -> dict[str, Any]:
    host = request.headers.get("host", "localhost")
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"http://{host}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def _user(world: World, name: str) -> User | None:
    return next((user for user in world.users if user.name == name), None)


def _user_by_id(world: World, user_id: str) -> User | None:
    return next((user for user in world.users if make_id("user", user.name) == user_id), None)


def _scope_of(scope: dict[str, Any] | str | None, user: User, world: World) -> str:
    """Return the project asked for; empty if unscoped.

    Raises:
        NotAuthenticatedError: There is none, or the user has no part in it.
    """
    if scope is None:
        return user.project_id
    if not isinstance(scope, dict) or "project" not in scope:
        return ""
    wanted = scope["project"]
    for id_, name in world.projects.items():
        is_wanted = wanted.get("id") == id_ or wanted.get("name") == name
        if is_wanted and (user.admin or id_ == user.project_id):
            return id_
    raise NotAuthenticatedError


def _describe(claims: Claims, world: World, *, with_catalog: bool) -> dict[str, object]:
    """Return the body of a token."""
    domain = {"id": "default", "name": "Default"}
    content: dict[str, object] = {
        "methods": list(claims.methods),
        "user": {
            "id": make_id("user", claims.user),
            "name": claims.user,
            "domain": domain,
            "password_expires_at": None,
        },
        "audit_ids": list(claims.audit_ids),
        "issued_at": _timestamp(claims.issued_at),
        "expires_at": _timestamp(claims.expires_at),
    }
    if claims.project_id:
        name = world.projects.get(claims.project_id, "")
        content["project"] = {"id": claims.project_id, "name": name, "domain": domain}
        names = ["admin", "member", "reader"] if claims.admin else ["member", "reader"]
        content["roles"] = [{"id": make_id("role", role), "name": role} for role in names]
        if with_catalog:
            content["catalog"] = _catalog(world)
    return content


def _catalog(world: World) -> list[dict[str, object]]:
    kinds = dict.fromkeys((item.service, item.type) for item in world.endpoints)
    return [
        {
            "id": make_id("service", name),
            "name": name,
            "type": type_,
            "endpoints": [
                {
                    "id": make_id("endpoint", name, item.region, item.interface),
                    "interface": item.interface,
                    "region": item.region,
                    "region_id": item.region,
                    "url": item.url,
                }
                for item in world.endpoints
                if (item.service, item.type) == (name, type_)
            ],
        }
        for name, type_ in kinds
    ]


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
