"""A cloud on one port of this host whose answers a test may replace by anything; it counts what it is asked.

Keystone, Neutron and Nova are one server here. What it says when it is well is made of a few lists, which may
be replaced as well.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

SIGN_IN: Final = "POST /v3/auth/tokens"
CATALOG: Final = "GET /v3/auth/tokens"
PROJECTS: Final = "GET /v3/projects"
FLOATING: Final = "GET /v2.0/floatingips"
SERVERS: Final = "GET /v2.1/servers/detail"
LISTS: Final = (SIGN_IN, CATALOG, PROJECTS, FLOATING, SERVERS)

Answer = Callable[["Handler"], object]
"""Writes an answer."""


class HostileCloud:
    """The server, from entering to leaving.

    Attributes:
        answers: What to answer instead, by method and path.
        asked: Method, path and user agent of every request but those to the root, with their instants.
        catalog: Of every token.
        projects: In Keystone's list.
        floatingips: In Neutron's list.
        servers: In Nova's list.
        lifetime_s: Of its tokens.
        tokens: How many it gave.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[float, str, str]] = []
        self.lifetime_s = 3600.0
        self.tokens = 0
        self._server = _Server(("127.0.0.1", 0), type("Handler", (Handler,), {"cloud": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.catalog: list[Any] = [
            service("keystone", "identity", f"{self.url}/v3"),
            service("neutron", "network", self.url),
            service("nova", "compute", f"{self.url}/v2.1"),
        ]
        self.projects: list[Any] = [{"id": "p1", "name": "shop"}]
        self.floatingips: list[Any] = [floating(f"127.7.0.{number}") for number in range(1, 4)]
        self.servers: list[Any] = [{"id": "s1", "name": "vm", "updated": "2026-01-01T00:00:00Z"}]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, what: str, agent: str = "", since_s: float = 0.0) -> int:
        """Return how often it was asked that, by whose user agent has that in it, since an instant."""
        return sum(asked == what and agent in by and at_s >= since_s for at_s, asked, by in list(self.asked))

    def well(self, what: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what it says when it is well."""
        match what:
            case "POST /v3/auth/tokens" | "GET /v3/auth/tokens":
                return {"token": self.token()}
            case "GET /v3/projects":
                return {"projects": self.projects}
            case "GET /v2.0/floatingips":
                return {"floatingips": self.floatingips}
            case "GET /v2.1/servers/detail":
                return {"servers": self.servers}
            case _:
                return {}

    def token(self) -> dict[str, Any]:
        """Return what a token is about."""
        issued = datetime.now(UTC)
        return {
            "issued_at": issued.isoformat(),
            "expires_at": (issued + timedelta(seconds=self.lifetime_s)).isoformat(),
            "project": {"id": "p0", "name": "admin", "domain": {"id": "default", "name": "Default"}},
            "user": {"id": "u", "name": "admin", "domain": {"id": "default", "name": "Default"}},
            "catalog": self.catalog,
        }


class _Server(ThreadingHTTPServer):
    """Takes many connections at a time, and says nothing of those that break."""

    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_: object) -> None:
        """Pass over it."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    cloud: ClassVar[HostileCloud]
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Answer as told, or well."""
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        what = f"{self.command} {path}"
        if path != "/":
            self.cloud.asked.append((time.monotonic(), what, self.headers.get("User-Agent", "")))
        with contextlib.suppress(OSError):
            answer = self.cloud.answers.get(what)
            if answer is None:
                self.say(self.cloud.well(what))
            else:
                answer(self)

    do_GET = do_POST = answer  # noqa: N815 - the names are http.server's

    def say(self, content: object, *, status: int | None = None) -> None:
        """Send JSON."""
        self.send(json.dumps(content).encode(), status=status or (201 if self.command == "POST" else 200))

    def send(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        """Send an answer; an underscore in a header's name stands for a hyphen."""
        if self.command == "POST":
            self.cloud.tokens += 1
            headers.setdefault("X_Subject_Token", f"token-{self.cloud.tokens}")
        self.send_response_only(status)
        for name, value in {"Content_Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pour(self, *parts: bytes, again: Iterable[bytes] = ()) -> None:
        """Send bytes as they are, and close."""
        self.close_connection = True
        for part in (*parts, *again):
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def service(name: object, kind: object, *urls: object, region: object = "RegionOne") -> dict[str, object]:
    """Return an entry of the catalog."""
    endpoints = [{"interface": "public", "region": region, "region_id": region, "url": url} for url in urls]
    return {"id": "x", "name": name, "type": kind, "endpoints": endpoints}


def floating(address: object, project: object = "p1", server: object = "s1") -> dict[str, object]:
    """Return a floating IP that is associated."""
    port = {"device_id": server, "device_owner": "compute:nova"}
    return {
        "id": f"id of {address}",
        "floating_ip_address": address,
        "port_id": "p",
        "project_id": project,
        "port_details": port,
    }


def says(body: bytes, *, status: int = 200, **headers: str) -> Answer:
    """Return what sends one answer."""
    return lambda handler: handler.send(body, status=status, **headers)
