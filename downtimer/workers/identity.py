"""Signing in to Keystone, by keystoneauth1's plugins for passwords and application credentials.

Runs in discovery's thread. The plugin is asked for new tokens and for nothing else: when to renew, and
what to do when a token is refused, is decided here, so that nothing signs in behind our back and the
last good token is kept while Keystone is away. The password goes where the configuration says and nowhere
else: Keystone is not asked which versions it has, for the URLs in its answer may be anybody's.

A token that we were given is no sign-in: Keystone is asked what it says of it, once, and again at its end.

However Keystone and the services behave, we sign in a few times a minute at most: after a failure, and after
a token that lived or was accepted for a short time only, the next attempt has to wait, each time longer.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import keystoneauth1.exceptions
import msgspec
import requests
from keystoneauth1 import access
from keystoneauth1.identity import v3

from downtimer import endpoints
from downtimer.account import Account, Method
from downtimer.clock import RunClock
from downtimer.errors import DowntimerError
from downtimer.model import SECOND_NS
from downtimer.workers import remedies
from downtimer.workers.rest import AwayError, RefusedError, Rest, explain

_AHEAD_S: Final = 600.0
"""A token is renewed so long before it expires, or in the last third of its life if that is later."""

_DOUBT_NS: Final = 10 * SECOND_NS
"""A refused token that is younger is not replaced: the fault is the service's that refused it."""

_REVOKED_NS: Final = SECOND_NS
"""Keystone dates tokens and revocations by the second: a token of the same second is refused, too."""


_Why = tuple[str, str]
"""What a `SignInError` says, and its remedy."""


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

_REFUSALS: Final = (401, 404)
"""What Keystone says of a token that it does not accept."""

_UNKNOWN_CREDENTIAL: Final = "Application Credential"
"""What is in Keystone's 404 if it is the application credential that is not there."""

_UNFIT_ANSWERS = (KeyError, TypeError, AttributeError, ValueError, IndexError, RecursionError, OverflowError)
"""What keystoneauth1 raises when it takes something for a token that is none."""


class SignInError(DowntimerError):
    """Signing in failed; one line for the user.

    Attributes:
        remedy: How that is mended, if it is the configuration's fault; may be empty.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


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

    def __init__(self, account: Account, rest: Rest, clock: RunClock) -> None:
        self.url = account.url
        self.base = endpoints.identity_base(self.url)
        self.signed_in: SignedIn | None = None
        self._account = account
        self._rest = rest
        self._clock = clock
        self._doubted: tuple[int, int] | None = None  # the token, by when it was issued, and since when
        self._refused: _Why | None = None
        self._failed: _Why | None = None  # the last attempt did
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
            raise SignInError(*(self._failed or (f"Keystone at {self.url} gave a token a moment ago", "")))
        doubted_ns = self._doubted_since_ns()
        if doubted_ns is not None:
            time.sleep(max(doubted_ns + _REVOKED_NS - self._clock.now_ns(), 0) / SECOND_NS)
        issued_ns = self._clock.now_ns()
        try:
            new = self._get(issued_ns)
        except RefusedError as exc:
            self._refused = self._refused or self._diagnose()
            self._put_off(_REFUSED, self._refused)
            raise SignInError(*self._refused) from exc
        except SignInError as exc:
            self._put_off(_FAILED, (str(exc), exc.remedy))
            raise
        self._refused = self._failed = None
        self._put_off_next(issued_ns, was_doubted=doubted_ns is not None)
        self.signed_in = new
        return new

    def _get(self, issued_ns: int) -> SignedIn:
        """Get a token, or see what becomes of the one that we were given.

        Raises:
            RefusedError: We, or it, are not accepted.
            SignInError: Anything else went wrong.
        """
        if self._account.method is Method.TOKEN:
            return self._look_at_token(issued_ns)
        found = self._ask(self._make_plugin(scoped=True))
        try:
            lifetime_s = _lifetime_s(found.issued, found.expires)
        except _UNFIT_ANSWERS as exc:
            raise self._no_keystone() from exc
        return self._keep(found, issued_ns, lifetime_s, max(lifetime_s - _AHEAD_S, lifetime_s * 2 / 3))

    def _look_at_token(self, issued_ns: int) -> SignedIn:
        """Ask Keystone what it says of the token that we were given. It is not for us to renew.

        Raises:
            RefusedError: It is not accepted.
            SignInError: Anything else went wrong.
        """
        token = self._account.secret
        try:
            content = self._rest.get(f"{self.base}/auth/tokens", token, headers={"X-Subject-Token": token})
            found = access.create(body=msgspec.json.decode(content), auth_token=token)
            left_s = _lifetime_s(datetime.now(UTC), found.expires)
        except RefusedError as exc:
            if exc.status in _REFUSALS:
                raise
            raise self._away(exc) from exc
        except AwayError as exc:
            raise self._away(exc) from exc
        except (*_UNFIT_ANSWERS, msgspec.MsgspecError) as exc:
            raise self._no_keystone() from exc
        return self._keep(found, issued_ns, left_s, left_s)

    def _put_off(self, backoff: _Backoff, why: _Why | None) -> None:
        """Have the next attempt wait."""
        longer_s = backoff.factor * self._waited_s.get(backoff, 0.0)
        self._waited_s[backoff] = wait_s = min(max(backoff.first_s, longer_s), backoff.most_s)
        self._failed = why
        self._not_before_ns = _after(self._clock.now_ns(), wait_s)

    def _put_off_next(self, issued_ns: int, *, was_doubted: bool) -> None:
        """Have the token after a new one wait, if that one follows another soon."""
        old = self.signed_in
        if old is None or issued_ns - old.issued_ns > _SOON_NS:
            self._waited_s.clear()
        else:
            self._put_off(_DOUBTED if was_doubted else _SHORT_LIVED, None)

    def _ask(self, plugin: v3.Auth) -> access.AccessInfo:
        """Return what Keystone gives.

        Raises:
            RefusedError: It does not accept us (401), or does not know our application credential (404).
            SignInError: Anything else went wrong.
        """
        exceptions = keystoneauth1.exceptions
        try:
            return plugin.get_auth_ref(self._rest.session)
        except exceptions.Unauthorized as exc:
            raise RefusedError(401) from exc
        except (exceptions.NotFound, exceptions.MethodNotAllowed, exceptions.InvalidResponse) as exc:
            if self._account.method is Method.APPLICATION_CREDENTIAL and _UNKNOWN_CREDENTIAL in str(exc):
                raise RefusedError(404) from exc
            raise self._no_keystone() from exc
        except (exceptions.ClientException, requests.RequestException) as exc:
            raise self._away(exc) from exc
        except _UNFIT_ANSWERS as exc:
            raise self._no_keystone() from exc

    def _diagnose(self) -> _Why:
        """Return why we were refused: user and password may be right, and the project wrong."""
        account, place = self._account, self._account.origin.place_of
        if account.method is Method.TOKEN:
            why = "does not accept the token that it was given: it has expired, was revoked, or is another's"
            return f"Keystone at {self.url} {why}", f"put a new one into {place('token')}, and start again"
        if account.method is Method.APPLICATION_CREDENTIAL:
            by_name = account.credential_id is None
            named = "application_credential_name" if by_name else "application_credential_id"
            who = f"Keystone at {self.url} refused {account.who}"
            why = "it does not exist, has expired, or its secret is another"
            return f"{who}: {why}", f"correct {place(named, 'application_credential_secret')}"
        try:
            self._ask(self._make_plugin(scoped=False))
        except (AwayError, SignInError):
            why = f"refused {account.who}: wrong user or password (401)"
            return (
                f"Keystone at {self.url} {why}",
                f"correct {place('username', 'password', 'user_domain_name')}",
            )
        who = f"Keystone at {self.url} knows {account.who}"
        why = f"but project {account.project} does not exist, or the user has no role in it (401)"
        return f"{who}, {why}", f"correct {place('project_name', 'project_domain_name')}"

    def _keep(self, found: access.AccessInfo, issued_ns: int, lifetime_s: float, renew_s: float) -> SignedIn:
        """Return what is to be kept of it.

        Raises:
            SignInError: It is no token, or none that can be used.
        """
        try:
            token, is_scoped = str(found.auth_token), found.project_id is not None
            project_id, project = _text(found.project_id), _text(found.project_name)
        except _UNFIT_ANSWERS as exc:
            raise self._no_keystone() from exc
        if not (token and token.isascii() and token.isprintable()):
            raise SignInError(f"Keystone at {self.url} gave a token that cannot be sent")
        if not is_scoped:
            raise SignInError(
                f"Keystone at {self.url} gave a token for no project, with which there is nothing to measure",
                f"name one by {self._account.origin.place_of('project_name')}",
            )
        if _has_rules(found):
            raise SignInError(
                f"the application credential at {self.url} is limited by access rules: Keystone lets it read "
                "no catalog, and services refuse it what the rules do not name",
                f"make one without them, for {self._account.origin.place_of('application_credential_id')}",
            )
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

    def _make_plugin(self, *, scoped: bool) -> v3.Auth:
        account = self._account
        options: dict[str, Any] = {}
        if account.user is not None:
            options = dict(account.user.options("user", "username"))
        if account.method is Method.APPLICATION_CREDENTIAL:
            return v3.ApplicationCredential(
                self.base,
                application_credential_secret=account.secret,
                application_credential_id=account.credential_id,
                application_credential_name=account.credential_name,
                reauthenticate=False,
                **options,
            )
        if scoped and account.project is not None:
            options |= account.project.options("project", "project_name")
        return v3.Password(
            self.base,
            username=options.pop("username", None),
            password=account.secret,
            reauthenticate=False,
            **options,
        )

    def _no_keystone(self) -> SignInError:
        return SignInError(
            f"there is no Keystone at {self.url}: what answers there is something else",
            f"correct {self._account.origin.place_of('auth_url')}",
        )

    def _away(self, error: Exception) -> SignInError:
        """Return what to say where Keystone gave no usable answer."""
        why = str(error) if isinstance(error, AwayError) else explain(error)
        return SignInError(f"Keystone at {self.url} {why}", remedies.find(error, self._account))


def _has_rules(found: access.AccessInfo) -> bool:
    """Tell whether the token's application credential has access rules."""
    try:
        return isinstance(found, access.AccessInfoV3) and bool(found.application_credential_access_rules)
    except _UNFIT_ANSWERS:  # how older versions say that there are none
        return False


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
    """Return how long a token lives from an instant on: its issue, by Keystone's clock alone.

    Raises:
        ValueError: It is not said.
    """
    if issued is None or expires is None:
        raise ValueError("no token of Keystone's")
    return min(max((expires - issued).total_seconds(), 0.0), _LIFETIME_MOST_S)


def _after(at_ns: int, seconds: float) -> int:
    return at_ns + int(seconds * SECOND_NS)
