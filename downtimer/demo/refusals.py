"""How each service says no: errors in its own form, with the words of the real ones.

Three speak for most of them: keystonemiddleware, which lets nobody pass without a valid token; webob,
which answers in the form that the client accepts; and the service itself.
"""

import http
from collections.abc import Callable
from typing import Final

from downtimer.demo.httpd import HTML, JSON, PLAIN, XML, Request, Response, json_response
from downtimer.demo.services import Profile

_DENIED: Final = "The request you have made requires authentication."
_AWAY: Final = "The Keystone service is temporarily unavailable."

_EXPLANATIONS: Final = {
    401: "This server could not verify that you are authorized to access the document you requested."
    " Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand"
    " how to supply the credentials required.",
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    405: "The method specified is not allowed for this resource.",
    500: "The server has either erred or is incapable of performing the requested operation.",
    503: "The server is currently unavailable. Please try again at a later time.",
}
"""What webob says of a status."""

_FORBIDDEN: Final = {
    "keystone": "You are not authorized to perform the requested action: {}.",
    "glance": "You are not authorized to complete {} action.",
    "placement": "Policy does not allow {} to be performed.",
    "nova": "Policy doesn't allow {} to be performed.",
    "neutron": "rule:{} is disallowed by policy",
    "cinder": "Policy doesn't allow {} to be performed.",
    "heat": "You are not authorized to use {}.",
}
_DATABASE_DEAD: Final = {
    "keystone": "An unexpected error prevented the server from fulfilling your request.",
    "placement": '(pymysql.err.OperationalError) (2003, "Can\'t connect to MySQL server")',
    "nova": "Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and attach the Nova"
    " API log if possible.\n<class 'oslo_db.exception.DBConnectionError'>",
    "neutron": "The service is unavailable.",
}
_FAULTS: Final = {400: "badRequest", 403: "forbidden", 404: "itemNotFound"}
_NEUTRON_TYPES: Final = {400: "BadRequest", 403: "PolicyNotAuthorized", 503: "ServiceUnavailable"}
_HEAT_TYPES: Final = {403: "Forbidden", 500: "DBConnectionError"}


def unauthorized(profile: Profile, request: Request, keystone_url: str) -> Response:
    """Refuse who has shown no token, or none that is valid; say where one is to be had."""
    if profile.name == "keystone":
        own = f"http://{request.headers.get('host', 'localhost')}/v3"
        said = json_response(401, _error(401, _DENIED), WWW_Authenticate=f'Keystone uri="{own}"')
        return said.with_headers(dict(profile.headers))
    said = _webob(request, 401) if profile.delays else json_response(401, _error(401, _DENIED))
    return said.with_headers({"WWW-Authenticate": f'Keystone uri="{keystone_url}"'})


def keystone_away(profile: Profile, request: Request, keystone_url: str) -> Response:
    """Answer who has shown a token that could not be checked."""
    if profile.delays:
        return unauthorized(profile, request, keystone_url)
    return _webob(request, 503, _AWAY, prefers_json=profile.name == "placement")


def forbidden(profile: Profile, request: Request, policy: str) -> Response:
    """Refuse who is known, but may not do this."""
    return refusal(profile.name, request, 403, _FORBIDDEN[profile.name].format(policy))


def database_dead(profile: Profile, request: Request) -> Response:
    """Admit that the database refuses."""
    return refusal(profile.name, request, profile.database_dead, _DATABASE_DEAD.get(profile.name, ""))


def by_status(profile: Profile, request: Request, status: int) -> Response:
    """Answer what the service does not have, or not for this method."""
    if status == 400 or profile.name in {"keystone", "placement"}:
        return refusal(profile.name, request, status, "")
    return _webob(request, status)


def refusal(service: str, request: Request, status: int, message: str) -> Response:
    """Return an error in the service's own form."""
    return _FORMS[service](request, status, message)


def _error(status: int, message: str) -> dict[str, object]:
    return {"error": {"code": status, "message": message, "title": http.HTTPStatus(status).phrase}}


def _keystone(_: Request, status: int, message: str) -> Response:
    if status != 404 or message:
        return json_response(status, _error(status, message))
    body = (  # Flask's own
        "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
        "<p>The requested URL was not found on the server. If you entered the URL manually please check"
        " your spelling and try again.</p>\n"
    )
    return Response(status=status, body=body.encode(), headers={"Content-Type": HTML})


def _glance(request: Request, status: int, message: str) -> Response:
    return _webob(request, status, explanation=message)


def _placement(request: Request, status: int, message: str) -> Response:
    error = {
        "status": status,
        "title": http.HTTPStatus(status).phrase,
        "detail": f"{_EXPLANATIONS[status]}\n\n {message}  ",
        "request_id": request.id,
    }
    said = json_response(status, {"errors": [error]})
    return said.with_headers({"Allow": "GET"}) if status == 405 else said


def _fault(_: Request, status: int, message: str) -> Response:
    fault = {"code": status, "message": message or _EXPLANATIONS[status]}
    return json_response(status, {_FAULTS.get(status, "computeFault"): fault})


def _neutron(_: Request, status: int, message: str) -> Response:
    error = {"type": _NEUTRON_TYPES[status], "message": message, "detail": ""}
    return json_response(status, {"NeutronError": error})


def _heat(_: Request, status: int, message: str) -> Response:
    error = {"type": _HEAT_TYPES[status], "traceback": None} | ({"message": message} if message else {})
    content = {
        "code": status,
        "title": http.HTTPStatus(status).phrase,
        "explanation": _EXPLANATIONS[status],
        "error": error,
    }
    return json_response(status, content)


def _amazon(_: Request, status: int, __: str) -> Response:
    body = (
        "<ErrorResponse><Error><Type>Sender</Type><Code>IncompleteSignature</Code><Message>The request"
        " signature does not conform to AWS standards</Message></Error></ErrorResponse>"
    )
    return Response(status=status, body=body.encode(), headers={"Content-Type": XML})


_Form = Callable[[Request, int, str], Response]
_FORMS: Final[dict[str, _Form]] = {
    "keystone": _keystone,
    "glance": _glance,
    "placement": _placement,
    "nova": _fault,
    "neutron": _neutron,
    "cinder": _fault,
    "heat": _heat,
    "heat-cfn": _amazon,
}


def _webob(
    request: Request, status: int, detail: str = "", *, explanation: str = "", prefers_json: bool = False
) -> Response:
    """Return an error as webob makes it, of the type that the client prefers.

    Args:
        request: What it answers.
        status: Of the answer.
        detail: What the service adds.
        explanation: In place of webob's own.
        prefers_json: Whether who takes anything gets JSON.
    """
    title = http.HTTPStatus(status).phrase
    named = f"{status} {title}"
    body = f"{explanation or _EXPLANATIONS[status]}<br /><br />\n{detail}\n\n"
    chosen = _preferred(request.headers.get("accept", ""), prefers_json=prefers_json)
    if chosen == JSON:
        return json_response(status, {"message": body, "code": named, "title": title})
    if chosen == HTML:
        head = f" <head>\n  <title>{named}</title>\n </head>\n"
        written = f"<html>\n{head} <body>\n  <h1>{named}</h1>\n  {body}\n </body>\n</html>"
    else:
        written = f"{named}\n\n" + body.replace("\n", " ").replace("<br /><br />", "\n\n")
    return Response(status=status, body=written.encode(), headers={"Content-Type": chosen})


def _preferred(accept: str, *, prefers_json: bool) -> str:
    """Return the first type named that webob has: HTML for who takes anything, text for who takes neither."""
    anything = JSON if prefers_json else HTML
    types = {"text/html": HTML, JSON: JSON, "*/*": anything}
    named = (item.partition(";")[0].strip() for item in accept.split(","))
    found = next((types[name] for name in named if name in types), PLAIN)
    return JSON if prefers_json and not accept else found
