"""Tokens: signed, so that every service can check one by itself, as Fernet tokens are.

A token issued before Keystone's restart stays valid after it, and needs no database. A `RemoteGate`
asks a Keystone instead, the simulated one or a real one, as keystonemiddleware does.
"""

import base64
import hmac
import http.client
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

from downtimer.demo.world import World, WorldFile

RETRIES: Final = 3
_REMEMBER_S = 300.0
_FIRST_DELAY_S = 0.5


class NotAuthenticatedError(Exception):
    """Nobody we know: no token, one that is not accepted, or a wrong password."""


class KeystoneAwayError(Exception):
    """Whose a token is can't be told: Keystone does not answer, or with an error of its own."""


def _new_audit_id() -> str:
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says.

    Attributes:
        user: The user's name.
        project_id: Its scope; empty if it has none.
        admin: Whether it sees every project.
        expires_at: Seconds since the epoch.
        issued_at: Likewise.
        methods: How it was had.
        audit_ids: Its own, which makes two tokens of one second differ, and that of the first of its chain.
    """

    user: str
    project_id: str
    admin: bool
    expires_at: float
    issued_at: float = field(default_factory=time.time)
    methods: tuple[str, ...] = ("password",)
    audit_ids: tuple[str, ...] = field(default_factory=lambda: (_new_audit_id(),))

    def rescoped(self, project_id: str) -> Self:
        """Return what a token says that was had for this one: it does not live longer."""
        return replace(
            self,
            project_id=project_id,
            issued_at=time.time(),
            methods=("token", *(method for method in self.methods if method != "token")),
            audit_ids=(_new_audit_id(), self.audit_ids[-1]),
        )


class Gate(Protocol):
    """Tells whose a token is."""

    def check(self, token: str) -> Claims | None:
        """Return what the token says, None if it is not accepted.

        Raises:
            KeystoneAwayError: It can't be told.
        """


def issue(world: World, claims: Claims) -> str:
    """Sign a new token."""
    body = base64.urlsafe_b64encode(json.dumps(asdict(claims)).encode()).decode()
    return f"gAAAA{body}.{_sign(world, body)}"


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
        said = json.loads(base64.urlsafe_b64decode(body))
        lists = {name: tuple(said[name]) for name in ("methods", "audit_ids")}
        claims = Claims(**said | lists)
        return claims if claims.expires_at > time.time() else None


class RemoteGate:
    """Asks a Keystone, and believes what it said for 300 s, whatever becomes of it or of the token.

    A Keystone that does not answer is asked again after 0.5 s, 1 s, 2 s; one that hangs is waited for. Who
    has never reached it tries once: keystonemiddleware asks with a token of its own, and has none then.
    """

    def __init__(self, url: str, *, retries: int = RETRIES, timeout_s: float | None = None) -> None:
        """Prepare it.

        Args:
            url: Of Keystone, with or without ``/v3``.
            retries: How often to ask again.
            timeout_s: How long to wait for an answer; None for ever.
        """
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/").removesuffix("/v3") + "/v3/auth/tokens"
        self._retries = retries
        self._timeout_s = timeout_s
        self._has_reached = False
        self._known: dict[str, tuple[float, Claims]] = {}

    def check(self, token: str) -> Claims | None:
        """Return what Keystone says of the token, None if it refuses it or it has expired since.

        Raises:
            KeystoneAwayError: It does not answer, or with another error.
        """
        until, claims = self._known.get(token, (0.0, None))
        if claims is None or time.monotonic() >= until:
            claims = self._ask(token)
            if claims is None:
                return None
            self._known[token] = (time.monotonic() + _REMEMBER_S, claims)
        return claims if claims.expires_at > time.time() else None

    def _ask(self, token: str) -> Claims | None:
        delays_s = _delays_s(self._retries if self._has_reached else 0)
        while True:
            try:
                status, body = self._send(token)
            except (OSError, http.client.HTTPException) as error:
                delay_s = next(delays_s, None)
                if delay_s is None:
                    raise KeystoneAwayError(str(error)) from error
                time.sleep(delay_s)
                continue
            if status not in {200, 401, 404}:
                raise KeystoneAwayError(f"it answered {status}")
            self._has_reached = True
            return _claims_of(json.loads(body)["token"]) if status == 200 else None

    def _send(self, token: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            headers = {"X-Auth-Token": token, "X-Subject-Token": token}
            connection.request("GET", f"{self._path}?nocatalog", headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _delays_s(retries: int) -> Iterator[float]:
    """Yield how long to wait before each further attempt, as keystoneauth does."""
    return (_FIRST_DELAY_S * 2.0**number for number in range(retries))


def _sign(world: World, body: str) -> str:
    return hmac.new(world.secret.encode(), body.encode(), "sha256").hexdigest()


def _claims_of(token: dict[str, Any]) -> Claims:
    """Read what Keystone says."""
    return Claims(
        user=token["user"]["name"],
        project_id=token.get("project", {}).get("id", ""),
        admin=any(role["name"] == "admin" for role in token.get("roles", [])),
        expires_at=datetime.fromisoformat(token["expires_at"]).timestamp(),
        issued_at=datetime.fromisoformat(token["issued_at"]).timestamp(),
        methods=tuple(token["methods"]),
        audit_ids=tuple(token["audit_ids"]),
    )
