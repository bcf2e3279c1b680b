"""Tokens: signed, so that every service can check one by itself, as Fernet tokens are.

A token issued before Keystone's restart stays valid after it, and needs no database. Beside a real
Keystone a `RemoteGate` asks that instead, and remembers its answer for a while.
"""

import base64
import hmac
import http.client
import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from downtimer.demo.world import World, WorldFile

_REMEMBER_S = 60.0
_ASK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says.

    Attributes:
        user: The user's name.
        project_id: Its scope; empty if it has none.
        admin: Whether it sees every project.
        issued_at: Seconds since the epoch.
        expires_at: Likewise.
        audit_id: Makes two tokens of one second differ.
    """

    user: str
    project_id: str
    admin: bool
    issued_at: float
    expires_at: float
    audit_id: str


class Gate(Protocol):
    """Tells whose a token is."""

    def check(self, token: str) -> Claims | None:
        """Return what the token says, None if it is not accepted."""


def issue(world: World, *, user: str, project_id: str, admin: bool, expires_at: float) -> tuple[str, Claims]:
    """Sign a new token."""
    claims = Claims(
        user=user,
        project_id=project_id,
        admin=admin,
        issued_at=time.time(),
        expires_at=expires_at,
        audit_id=secrets.token_urlsafe(16),
    )
    body = base64.urlsafe_b64encode(json.dumps(asdict(claims)).encode()).decode()
    return f"gAAAA{body}.{_sign(world, body)}", claims


class SignedGate:
    """Accepts the tokens of the simulated Keystone."""

    def __init__(self, world: WorldFile) -> None:
        self._world = world

    def check(self, token: str) -> Claims | None:
        """Return what the token says, None if it is forged, expired or revoked."""
        world = self._world.read()
        body, _, signature = token.removeprefix("gAAAA").partition(".")
        if not hmac.compare_digest(signature.encode(), _sign(world, body).encode()) or token in world.revoked:
            return None
        claims = Claims(**json.loads(base64.urlsafe_b64decode(body)))
        return claims if claims.expires_at > time.time() else None


class RemoteGate:
    """Accepts the tokens of a real Keystone, whose URL it is given with or without ``/v3``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/").removesuffix("/v3") + "/v3/auth/tokens"
        self._known: dict[str, tuple[float, Claims]] = {}

    def check(self, token: str) -> Claims | None:
        """Return what Keystone says of the token; None if it says no or does not answer."""
        until, claims = self._known.get(token, (0.0, None))
        if claims is not None and time.monotonic() < until:
            return claims
        answer = self._ask(token)
        if answer is None:
            return None
        claims = _claims_of(answer["token"])
        self._known[token] = (time.monotonic() + _REMEMBER_S, claims)
        return claims

    def _ask(self, token: str) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ASK_TIMEOUT_S)
        try:
            headers = {"X-Auth-Token": token, "X-Subject-Token": token}
            connection.request("GET", f"{self._path}?nocatalog", headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        found: dict[str, Any] | None = json.loads(body) if response.status == 200 else None
        return found


def _sign(world: World, body: str) -> str:
    return hmac.new(world.secret.encode(), body.encode(), "sha256").hexdigest()


def _claims_of(token: dict[str, Any]) -> Claims:
    """Read what Keystone says; its own expiry matters little, the answer is remembered for a minute."""
    return Claims(
        user=token["user"]["name"],
        project_id=token.get("project", {}).get("id", ""),
        admin=any(role["name"] == "admin" for role in token.get("roles", [])),
        issued_at=time.time(),
        expires_at=time.time() + _REMEMBER_S,
        audit_id="".join(token.get("audit_ids", [])[:1]),
    )
