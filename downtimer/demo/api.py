"""The application of a simulated service: its row of the table, and the calls that it really has.

A call that is not in the table of calls answers by the row; one that is needs a token and the
database, like a real one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial

from downtimer.demo import refusals
from downtimer.demo.database import Database, DatabaseDeadError
from downtimer.demo.httpd import PLAIN, Request, Response, json_response
from downtimer.demo.services import Listing, Part, Profile, matches
from downtimer.demo.tokens import Claims, Gate, KeystoneAwayError, NotAuthenticatedError
from downtimer.demo.world import WorldFile

Call = Callable[[Request, Claims], Response]
OpenCall = Callable[[Request], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What a service really does.

    Attributes:
        closed: Calls that need a token, by method and path.
        open: Calls that need none but touch the database (signing in).
        documents: Answers of paths that anybody may read, by path; their status is the table's.
    """

    closed: Mapping[tuple[str, str], Call]
    open: Mapping[tuple[str, str], OpenCall]
    documents: Mapping[str, Callable[[Request], Response]]


NO_CALLS = Calls(closed={}, open={}, documents={})


class Service:
    """Answers requests as the service of that profile does."""

    def __init__(
        self,
        profile: Profile,
        *,
        gate: Gate,
        database: Database,
        world: WorldFile,
        calls: Calls = NO_CALLS,
    ) -> None:
        """Prepare it.

        Args:
            profile: Its row of the table.
            gate: Tells whose a token is.
            database: What every call goes through.
            world: Says where Keystone is, and whose calls are forbidden.
            calls: What it really does.
        """
        self._profile = profile
        self._gate = gate
        self._database = database
        self._world = world
        self._calls = calls

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        keystone_url = self._world.read().keystone_url
        call = self._find(request)
        part = self._part(request) if call is None else Part.CALL
        try:
            response = self._by_table(request, part) if call is None else self._made(call, request)
        except NotAuthenticatedError:
            response = refusals.unauthorized(self._profile, request, keystone_url)
        except KeystoneAwayError:
            response = refusals.keystone_away(self._profile, request, keystone_url)
        return response.with_headers(self._headers(request, part, response.status))

    def _headers(self, request: Request, part: Part, status: int) -> dict[str, str]:
        """Return what comes with an answer whatever it says."""
        profile = self._profile
        dated = {"Date": formatdate(usegmt=True)} if profile.keep_alive else {}
        # Who delays the decision gives a request its id only then.
        is_numbered = part in profile.numbered and not (profile.delays and status == 401)
        return dated | (dict.fromkeys(profile.id_headers, request.id) if is_numbered else {})

    def _find(self, request: Request) -> OpenCall | None:
        """Return what a request is for, if that is something that the service really does."""
        open_call = self._calls.open.get((request.method, request.path.rstrip("/")))
        if open_call is not None:
            return partial(self._without_token, open_call)
        for (method, path), call in self._calls.closed.items():
            if request.method == method and matches(path, request.path):
                return partial(self._with_token, call)
        is_listing = request.method == "GET" and self._profile.listing(request.path) is not None
        return partial(self._with_token, _some_list) if is_listing else None

    def _made(self, call: OpenCall, request: Request) -> Response:
        try:
            response = call(request)
        except DatabaseDeadError:
            response = refusals.database_dead(self._profile, request)
        return response.with_headers(dict(self._profile.headers))

    def _without_token(self, call: OpenCall, request: Request) -> Response:
        self._database.query()
        return call(request)

    def _with_token(self, call: Call, request: Request) -> Response:
        claims = self._claims(request)
        listing = self._profile.listing(request.path)
        if listing is not None and self._is_forbidden(listing, claims):
            return refusals.forbidden(self._profile, request, listing.policy)
        self._database.query()
        return call(request, claims)

    def _is_forbidden(self, listing: Listing, claims: Claims) -> bool:
        return (listing.admin_only and not claims.admin) or self._profile.name in self._world.read().forbidden

    def _claims(self, request: Request) -> Claims:
        """Return whose the token is that came with a request.

        Raises:
            NotAuthenticatedError: There is none, or it is not accepted.
            KeystoneAwayError: It can't be told.
        """
        token = request.headers.get("x-auth-token", "")
        claims = self._gate.check(token) if token else None
        if claims is None:
            raise NotAuthenticatedError
        return claims

    def _part(self, request: Request) -> Part:
        path = request.path.rstrip("/")
        if not path:
            return Part.ROOT
        if path == "/healthcheck":
            return Part.HEALTH
        if any(entry.path and matches(entry.path, path) for entry in self._profile.entries):
            return Part.ENTRY
        return Part.UNKNOWN

    def _by_table(self, request: Request, part: Part) -> Response:
        status = self._status(request, part)
        if status >= 400:
            response = refusals.by_status(self._profile, request, status)
        elif (part, status) == (Part.HEALTH, 200):
            return Response(
                status=status, body=self._profile.healthy.encode(), headers={"Content-Type": PLAIN}
            )
        else:
            document = self._calls.documents.get(request.path.rstrip("/"), self._document)
            response = replace(document(request), status=status)
        return response.with_headers(dict(self._profile.headers))

    def _status(self, request: Request, part: Part) -> int:
        """Return what the table says of a path.

        Raises:
            NotAuthenticatedError: It says 401.
            KeystoneAwayError: Whether it says so can't be told.
        """
        profile = self._profile
        status, with_token = profile.unknown, 404
        if part is Part.ROOT:
            return profile.head if request.method == "HEAD" else profile.root
        if part is Part.HEALTH:
            status = profile.health
        for entry in profile.entries:
            if part is Part.ENTRY and matches(entry.path, request.path):
                status, with_token = entry.anonymous, entry.scoped
        if status != 401:
            return status
        self._claims(request)
        return with_token

    def _document(self, _: Request) -> Response:
        return json_response(200, {"service": self._profile.name})


def _some_list(request: Request, _: Claims) -> Response:
    """Answer a call of the table that has no life of its own: an empty list under its name."""
    return json_response(200, {request.path.rstrip("/").rsplit("/", 1)[-1]: []})
