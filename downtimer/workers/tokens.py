"""What the api worker shows of us: the token that discovery last got, and what we sign in with.

Owned by the loop. Nothing here signs in: a token that is refused is told of, and discovery gets another.
Whether a refusal is the service's fault depends on how sure it is that what was shown is good.
"""

import json
import logging
from typing import Final, NamedTuple

from downtimer import credentials
from downtimer.account import Account, Method
from downtimer.clock import RunClock
from downtimer.messages import Token, TokenRejected
from downtimer.model import SECOND_NS, Auth
from downtimer.workers.worker import Bus

log = logging.getLogger(__name__)

SURE_NS: Final = 10 * SECOND_NS
"""A token that is younger, and has not expired, is good for sure: who refuses it while Keystone works is at
fault.
"""

FIRST_NS: Final = 2 * SECOND_NS
"""For so long after our start the first token is waited for: where there is one it is on its way to us."""

_TELL_NS: Final = 5 * SECOND_NS  # between two complaints about one token
_REST_NS: Final = 300 * SECOND_NS
"""After a refused password it is not shown again: Keystone may lock a user out who tries often."""


class Shown(NamedTuple):
    """What a request shows.

    Attributes:
        headers: Those of HTTP.
        body: Of the request.
        issued_ns: When the token was asked for; None if the password is shown.
        expires_ns: When it expires; None for never, and if the password is shown.
    """

    headers: tuple[tuple[str, str], ...]
    body: bytes
    issued_ns: int | None
    expires_ns: int | None

    def __repr__(self) -> str:
        """Return it without the secret."""
        return f"Shown(issued_ns={self.issued_ns})"


class Tokens:
    """The newest token, and what became of it."""

    def __init__(self, account: Account | None, clock: RunClock, bus: Bus) -> None:
        self._account = account
        self._clock = clock
        self._bus = bus
        self._began_ns = clock.now_ns()
        self._token: Token | None = None
        self._told_ns: int | None = None
        self._rest_until_ns = 0

    def take(self, token: Token) -> None:
        """Use this one from now on; one that no header can hold is none."""
        if not (token.token.isascii() and token.token.isprintable()):
            log.error("Keystone gave a token that cannot be sent; it is not used")
            return
        self._token, self._told_ns = token, None
        self._rest_until_ns = 0

    def has(self, auth: Auth) -> bool:
        """Tell whether there is anything to show."""
        if auth is Auth.PASSWORD:
            return self._account is not None and self._clock.now_ns() >= self._rest_until_ns
        return self._token is not None

    def is_awaited(self, auth: Auth) -> bool:
        """Tell whether there is nothing to show because we have only just begun."""
        if auth is Auth.PASSWORD or self._token is not None:
            return False
        return self._clock.now_ns() - self._began_ns < FIRST_NS

    def show(self, auth: Auth) -> Shown:
        """Return what to send.

        Raises:
            LookupError: There is nothing, see `has`.
        """
        if auth is Auth.PASSWORD and self._account is not None:
            return _posted(credentials.by_secret(self._account), None, None)
        token = self._token
        if token is None or auth is Auth.PASSWORD:
            raise LookupError(f"no {auth}")
        if auth is Auth.TOKEN:
            return Shown((("X-Auth-Token", token.token),), b"", token.issued_ns, token.expires_ns)
        body = credentials.by_token(token.token, token.project_id)
        return _posted(body, token.issued_ns, token.expires_ns)

    def is_unknown(self, auth: Auth, status: int) -> bool:
        """Tell whether Keystone, by that status, may say that it does not know what was shown.

        It answers 404 for a token that is to be exchanged, and for an application credential that is gone.
        """
        by_credential = self._account is not None and self._account.method is Method.APPLICATION_CREDENTIAL
        return status == 404 and (auth is Auth.RESCOPE or (auth is Auth.PASSWORD and by_credential))

    def is_sure(self, shown: Shown) -> bool:
        """Tell whether the token shown now is good for sure."""
        now_ns = self._clock.now_ns()
        is_young = shown.issued_ns is not None and now_ns - shown.issued_ns < SURE_NS
        return is_young and (shown.expires_ns is None or now_ns < shown.expires_ns)

    def refused(self, shown: Shown) -> None:
        """Note that it was refused, and tell discovery if that was the newest token."""
        now_ns, token = self._clock.now_ns(), self._token
        if shown.issued_ns is None:
            self._rest_until_ns = now_ns + _REST_NS
            return
        if token is None or shown.issued_ns != token.issued_ns:
            return
        if self._told_ns is None or now_ns - self._told_ns >= _TELL_NS:
            self._told_ns = now_ns
            self._bus.send(TokenRejected(issued_ns=token.issued_ns))


def _posted(body: dict[str, object], issued_ns: int | None, expires_ns: int | None) -> Shown:
    content = json.dumps(body).encode()
    headers = (("Content-Type", "application/json"), ("Content-Length", str(len(content))))
    return Shown(headers, content, issued_ns, expires_ns)
