"""The application of a simulated service: its row of the table, and the calls that it really has.

A call that is not in the table of calls answers by the row; one that is needs a token and the
database, like a real one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from downtimer.demo.database import Database, DatabaseDeadError
from downtimer.demo.httpd import Request, Response, error_response, json_response
from downtimer.demo.services import Profile, matches
from downtimer.demo.tokens import Claims, Gate

Call = Callable[[Request, Claims], Response]
OpenCall = Callable[[Request], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What a service really does.

    Attributes:
        closed: Calls that need a token, by method and path.
        open: Calls that need none but touch the database (signing in).
        documents: Bodies of paths that anybody may read, by path.
    """

    closed: Mapping[tuple[str, str], Call]
    open: Mapping[tuple[str, str], OpenCall]
    documents: Mapping[str, Callable[[Request], object]]


NO_CALLS = Calls(closed={}, open={}, documents={})


class Service:
    """Answers requests as the service of that profile does."""

    def __init__(self, profile: Profile, *, gate: Gate, database: Database, calls: Calls = NO_CALLS) -> None:
        self._profile = profile
        self._gate = gate
        self._database = database
        self._calls = calls

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return self._answer(request)
        except DatabaseDeadError:
            return error_response(self._profile.database_dead, "The database does not answer.")

    def _answer(self, request: Request) -> Response:
        wanted = (request.method, request.path.rstrip("/"))
        if wanted in self._calls.open:
            self._database.query()
            return self._calls.open[wanted](request)
        if wanted in self._calls.closed or self._is_call(request):
            return self._authorised(request, self._calls.closed.get(wanted, _some_list))
        return self._by_table(request)

    def _is_call(self, request: Request) -> bool:
        return request.method == "GET" and any(matches(path, request.path) for path in self._profile.works)

    def _authorised(self, request: Request, call: Call) -> Response:
        claims = self._gate.check(request.headers.get("x-auth-token", ""))
        if claims is None:
            return error_response(401, "The request you have made requires authentication.")
        self._database.query()
        return call(request, claims)

    def _by_table(self, request: Request) -> Response:
        status = self._status(request)
        document = self._calls.documents.get(request.path.rstrip("/"))
        if document is None or status >= 400:
            return json_response(status, {"service": self._profile.name, "status": status})
        return json_response(status, document(request), Vary="X-Auth-Token")

    def _status(self, request: Request) -> int:
        """Return what the table says of a path."""
        profile, path = self._profile, request.path.rstrip("/")
        if not path:
            return profile.head if request.method == "HEAD" else profile.root
        if path == "/healthcheck":
            return profile.health
        for entry in profile.entries:
            if entry.path and matches(entry.path, path):
                has_token = self._gate.check(request.headers.get("x-auth-token", "")) is not None
                return entry.scoped if has_token else entry.anonymous
        return profile.unknown


def _some_list(request: Request, _: Claims) -> Response:
    """Answer a call of the table that has no life of its own: an empty list under its name."""
    return json_response(200, {request.path.rstrip("/").rsplit("/", 1)[-1]: []})
