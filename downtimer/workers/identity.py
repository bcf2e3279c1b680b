"""Signing in to Keystone, by keystoneauth1's password plugin.

Runs in discovery's thread. The plugin is asked for new tokens and for nothing else: when to renew, and
what to do when a token is refused, is decided here, so that nothing signs in behind our back and the
last good token is kept while Keystone is away. The password goes where the configuration says and nowhere
else: Keystone is not asked which versions it has, for the URLs in its answer may be anybody's.

However Keystone and the services behave, we sign in a few times a minute at most: after a failure, and after
a token that lived or was accepted for a short time only, the next attempt has to wait, each time longer.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import keystoneauth1.exceptions
import msgspec
import requests
from keystoneauth1 import access
from keystoneauth1.identity import v3

from downtimer import credentials, endpoints
from downtimer.clock import RunClock
from downtimer.config import GlobalSection
from downtimer.errors import DowntimerError
from downtimer.model import SECOND_NS
from downtimer.workers.rest import AwayError, RefusedError, Rest, explain

_AHEAD_S: Final = 600.0
"""A token is renewed so long before it expires, or in the last third of its life if that is later."""

_DOUBT_NS: Final = 10 * SECOND_NS
"""A refused token that is younger is not replaced: the fault is the service's that refused it."""

_REVOKED_NS: Final = SECOND_NS
"""Keystone dates tokens and revocations by the second: a token of the same second is refused, too."""


class _Backoff(NamedTuple):
    """How long to wait between attempts: at first, how much longer each time, and at most."""

    first_s: float
    factor: int
    most_s: float


_REFUSED: Final = _Backoff(5.0, 4, 300.0)
"""With a password that was refused: Keystone may lock a user out who tries often.

The first is soon, for a user may be disabled for a moment only.
"""

_FAILED: Final = _Backoff(5.0, 2, 30.0)
"""When it fails otherwise."""

_SHORT_LIVED: Final = _Backoff(5.0, 2, 20.0)
"""Where tokens soon expire: so that those of half a minute, and no shorter ones, can all be used."""

_DOUBTED: Final = _Backoff(5.0, 2, 300.0)
"""Where tokens are soon refused, which another token does not mend."""

_SOON_NS: Final = 600 * SECOND_NS

_LIFETIME_MOST_S: Final = 366 * 86_400.0
"""A token that lives longer is renewed nevertheless: 64 bits hold no instant in the year 9999."""

_TEXT_MAX: Final = 255

_UNFIT_ANSWERS = (KeyError, TypeError, AttributeError, ValueError, IndexError, RecursionError, OverflowError)
"""What keystoneauth1 raises when it takes something for a token that is none."""


class SignInError(DowntimerError):
    """Signing in failed; one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A token and what came with it.

    Attributes:
        token: The secret itself.
        issued_ns: When it was asked for.
        expires_ns: By our clock.
        renew_ns: When to ask for the next.
        project_id: Its scope; None if it has none.
        project: The name of that.
        roles: The names of ours in it, in order.
        content: What Keystone said of the token, the catalog above all, as JSON; None if it must be asked.
    """

    token: str
    issued_ns: int
    expires_ns: int
    renew_ns: int
    project_id: str | None
    project: str | None
    roles: tuple[str, ...] = ()
    content: bytes | None

    def __repr__(self) -> str:
        """Return it without the secret."""
        return f"SignedIn(issued_ns={self.issued_ns}, expires_ns={self.expires_ns})"


class Identity:
    """Keystone, as seen by one user.

    Attributes:
        url: As configured.
        base: With ``/v3``.
        signed_in: The last good token, which may have been refused since; None before the first.
    """

    def __init__(self, section: GlobalSection, rest: Rest, clock: RunClock) -> None:
        self.url = section.keystone_endpoint or ""
        self.base = endpoints.identity_base(self.url)
        self.signed_in: SignedIn | None = None
        self._section = section
        self._rest = rest
        self._clock = clock
        self._plugin = self._make_plugin(scoped=True)
        self._doubted: tuple[int, int] | None = None  # the token, by when it was issued, and since when
        self._refused_why = ""
        self._why = ""  # the last attempt failed
        self._waited_s: dict[_Backoff, float] = {}  # last
        self._not_before_ns = clock.now_ns()

    def is_due(self) -> bool:
        """Tell whether to sign in: there is no token, or it is time for the next."""
        return self.signed_in is None or (self.due_ns is not None and self._clock.now_ns() >= self.due_ns)

    @property
    def due_ns(self) -> int | None:
        """When the token is to be replaced; None if there is none."""
        held = self.signed_in
        if held is None:
            return None
        due_ns = held.issued_ns if self._doubted_since_ns() is not None else held.renew_ns
        return max(due_ns, self._not_before_ns)

    def _doubted_since_ns(self) -> int | None:
        """Return since when the last good token is doubted; None if it is not."""
        if self._doubted is None or self.signed_in is None:
            return None
        issued_ns, since_ns = self._doubted
        return since_ns if issued_ns == self.signed_in.issued_ns else None

    def doubt(self, issued_ns: int) -> bool:
        """Somebody saw the token of that instant refused; return whether it is to be replaced now.

        Called by the loop, while the thread may be at work: it sets one attribute.
        """
        held, now_ns = self.signed_in, self._clock.now_ns()
        if held is None or held.issued_ns != issued_ns or now_ns - issued_ns < _DOUBT_NS:
            return False
        if self._doubted_since_ns() is None:
            self._doubted = issued_ns, now_ns
        return now_ns >= self._not_before_ns

    def sign_in(self) -> SignedIn:
        """Get a new token; in place of one that was refused not within the same second.

        When that is refused, one more attempt, without the project, tells whether it is that.

        Raises:
            SignInError: It failed; the last good token is kept.
        """
        if self._clock.now_ns() < self._not_before_ns:
            raise SignInError(self._why or f"Keystone at {self.url} gave a token a moment ago")
        doubted_ns = self._doubted_since_ns()
        if doubted_ns is not None:
            time.sleep(max(doubted_ns + _REVOKED_NS - self._clock.now_ns(), 0) / SECOND_NS)
        issued_ns = self._clock.now_ns()
        try:
            new = self._keep(self._ask(self._plugin), issued_ns)
        except RefusedError as exc:
            if not self._refused_why:
                self._refused_why = self._diagnose()
            self._put_off(_REFUSED, self._refused_why)
            raise SignInError(self._refused_why) from exc
        except SignInError as exc:
            self._put_off(_FAILED, str(exc))
            raise
        self._refused_why = self._why = ""
        self._put_off_next(issued_ns, was_doubted=doubted_ns is not None)
        self.signed_in = new
        return new

    def _put_off(self, backoff: _Backoff, why: str) -> None:
        """Have the next attempt wait."""
        longer_s = backoff.factor * self._waited_s.get(backoff, 0.0)
        self._waited_s[backoff] = wait_s = min(max(backoff.first_s, longer_s), backoff.most_s)
        self._why = why
        self._not_before_ns = _after(self._clock.now_ns(), wait_s)

    def _put_off_next(self, issued_ns: int, *, was_doubted: bool) -> None:
        """Have the token after a new one wait, if that one follows another soon."""
        old = self.signed_in
        if old is None or issued_ns - old.issued_ns > _SOON_NS:
            self._waited_s.clear()
        else:
            self._put_off(_DOUBTED if was_doubted else _SHORT_LIVED, "")

    def _ask(self, plugin: v3.Password) -> access.AccessInfo:
        """Return what Keystone gives.

        Raises:
            RefusedError: It does not accept us (401).
            SignInError: Anything else went wrong.
        """
        exceptions = keystoneauth1.exceptions
        try:
            return plugin.get_auth_ref(self._rest.session)
        except exceptions.Unauthorized as exc:
            raise RefusedError(401) from exc
        except (exceptions.NotFound, exceptions.MethodNotAllowed, exceptions.InvalidResponse) as exc:
            raise SignInError(self._no_keystone()) from exc
        except (exceptions.ClientException, requests.RequestException) as exc:
            raise SignInError(f"Keystone at {self.url} {explain(exc)}") from exc
        except _UNFIT_ANSWERS as exc:
            raise SignInError(self._no_keystone()) from exc

    def _diagnose(self) -> str:
        """Return why we were refused: user and password may be right, and the project wrong."""
        section = self._section
        try:
            self._ask(self._make_plugin(scoped=False))
        except (AwayError, SignInError):
            return (
                f"Keystone at {self.url} refused user {section.user!r} of domain "
                f"{section.user_domain_name!r}: wrong user or password (401)"
            )
        return (
            f"Keystone at {self.url} knows user {section.user!r}, but project {section.project_name!r} of "
            f"domain {section.project_domain_name!r} does not exist, or the user has no role in it (401)"
        )

    def _keep(self, found: access.AccessInfo, issued_ns: int) -> SignedIn:
        """Return what is to be kept of it.

        Raises:
            SignInError: It is no token, or none that can be shown.
        """
        try:
            token, lifetime_s = str(found.auth_token), _lifetime_s(found.issued, found.expires)
            project_id, project = _text(found.project_id), _text(found.project_name)
        except _UNFIT_ANSWERS as exc:
            raise SignInError(self._no_keystone()) from exc
        if not (token and token.isascii() and token.isprintable()):
            raise SignInError(f"Keystone at {self.url} gave a token that cannot be sent")
        renew_s = max(lifetime_s - _AHEAD_S, lifetime_s * 2 / 3)
        return SignedIn(
            token=token,
            issued_ns=issued_ns,
            expires_ns=_after(issued_ns, lifetime_s),
            renew_ns=_after(issued_ns, renew_s),
            project_id=project_id,
            project=project,
            roles=_roles(found),
            content=_content(found),
        )

    def _make_plugin(self, *, scoped: bool) -> v3.Password:
        section = self._section
        options: dict[str, Any] = _domain("user_domain", section.user_domain_name)
        if scoped:
            options |= {"project_name": section.project_name}
            options |= _domain("project_domain", section.project_domain_name)
        return v3.Password(
            auth_url=self.base,
            username=section.user,
            password=section.password or "",
            reauthenticate=False,
            **options,
        )

    def _no_keystone(self) -> str:
        return f"there is no Keystone at {self.url}: what answers there is something else"


def _domain(option: str, value: str) -> dict[str, str]:
    """Return the plugin's option for a domain."""
    form, value = credentials.domain(value)
    return {f"{option}_{form}": value}


def _text(value: object) -> str | None:
    """Return a name or an id, None if it is no such: what keystoneauth1 decodes may be anything."""
    is_one = isinstance(value, str) and len(value) <= _TEXT_MAX and _is_utf8(value)
    return str(value) if is_one else None


def _is_utf8(value: str) -> bool:
    """Tell whether a text has no half of a character in it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _roles(found: access.AccessInfo) -> tuple[str, ...]:
    """Return the names of roles; none if they make no sense."""
    try:
        return tuple(sorted(filter(None, map(_text, found.role_names or ()))))
    except _UNFIT_ANSWERS:
        return ()


def _content(found: access.AccessInfo) -> bytes | None:
    """Return the catalog as it would come from Keystone, None if it is not fit for that."""
    try:
        entries = found.service_catalog.catalog
        return msgspec.json.encode({"token": {"catalog": entries}}) if isinstance(entries, list) else None
    except (*_UNFIT_ANSWERS, msgspec.MsgspecError):
        return None


def _lifetime_s(issued: datetime | None, expires: datetime | None) -> float:
    """Return how long a token lives, by Keystone's clock alone: it may differ from ours.

    Raises:
        ValueError: It is not said.
    """
    if issued is None or expires is None:
        raise ValueError("no token of Keystone's")
    return min(max((expires - issued).total_seconds(), 0.0), _LIFETIME_MOST_S)


def _after(at_ns: int, seconds: float) -> int:
    return at_ns + int(seconds * SECOND_NS)
