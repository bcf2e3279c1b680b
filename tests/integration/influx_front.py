"""Stands in front of a real InfluxDB and answers for it: badly, or as InfluxDB 2.x and 3.x document it.

A process of its own, so that it can be in another network namespace; it reaches InfluxDB by its Unix socket.
A request is dealt with by the manners that are in force when it arrives; every one is put on record.

What the later versions answer is taken from their documentation and source, for Debian does not have them:

- 2.x: docs.influxdata.com/influxdb/v2/api-guide/influxdb-1x/write/ and …/influxdb/v2/write-data/troubleshoot/
  (422 for a partial write); in influxdata/influxdb ``http/legacy/write_handler.go`` (404 ``no dbrp mapping
  found``), ``http/legacy/influx1x_authentication_handler.go`` (401, Token and Basic),
  ``v1/coordinator/statement_executor.go`` (``CREATE DATABASE`` is not implemented).
- 3.x: docs.influxdata.com/influxdb3/core/write-data/http-api/compatibility-apis/ and …/v3-write-lp/ (partial
  writes); in influxdata/influxdb ``influxdb3_server/src/http.rs`` (401, 413, 400 with the lines) and
  ``influxdb3/tests/server/query.rs`` (no such database).
"""

import base64
import contextlib
import http
import json
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.integration.influx_env import Credentials, InfluxServer
from tests.ports import free_port
from tests.processes import Server, ServerProcess
from tests.unix_http import UnixConnection
from tests.waiting import wait_until

PASS: Final = "pass"
DRIP: Final = "drip"
DRIP_BODY: Final = "drip-body"
ENDLESS: Final = "endless"
GARBAGE: Final = "garbage"
RESET: Final = "reset"
REDIRECT: Final = "redirect"
"""Manners; others are a status, ``slow SECONDS``, ``too-large BYTES`` and ``busy SECONDS``."""

V1: Final = "1.x"
V2: Final = "2.x"
V3: Final = "3.x"

ELSEWHERE: Final = "http://127.0.0.1:9/elsewhere"
_NO_MAPPING: Final = {"code": "not found", "message": "no dbrp mapping found"}
_LINE: Final = re.compile(rb".+? \d{19}(?=\n|$)", re.DOTALL)
"""A text in it may have line breaks, but it ends with an instant."""

_START_S: Final = 20.0
_DRIP_S: Final = 0.1
_UPSTREAM_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a front is set up.

    Attributes:
        socket: Of the real InfluxDB.
        folder: Where manners and record stand.
        version: Whose answers it gives.
        token: What a client must show; None: nothing.
        database: The only one that 2.x has a bucket for.
    """

    host: str
    port: int
    socket: str
    folder: str
    version: str
    token: str | None
    database: str


class Front(Server):
    """A front in a process of its own, for a section ``[db]`` to lead to.

    Attributes:
        credentials: What a client must show to the real one.
    """

    def __init__(
        self,
        directory: Path,
        behind: InfluxServer,
        *,
        prefix: Sequence[str] = (),
        version: str = V1,
        token: str | None = None,
        database: str = "downtimer",
    ) -> None:
        """Prepare it.

        Args:
            directory: For manners, record and log; made if missing.
            behind: The real one, which need not run.
            prefix: Enters the namespace where it is to listen.
            version: Whose answers it gives.
            token: What a client must show.
            database: The only one that 2.x has a bucket for.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.host, self.port = "127.0.0.1", free_port()
        self.credentials: Credentials | None = behind.credentials
        self._folder = directory
        settings = Settings(
            host=self.host,
            port=self.port,
            socket=str(behind.socket),
            folder=str(directory),
            version=version,
            token=token,
            database=database,
        )
        root = Path(__file__).parents[2]
        super().__init__(
            ServerProcess(
                [sys.executable, "-m", "tests.integration.influx_front", json.dumps(asdict(settings))],
                directory=directory,
                prefix=prefix,
                environment={"PYTHONPATH": str(root)},
            )
        )
        self.behave(PASS)

    def start(self) -> None:
        """Start it and wait until it listens."""
        ready = self._folder / "ready"
        ready.unlink(missing_ok=True)
        self._process.start()
        try:
            wait_until(ready.exists, timeout_s=_START_S, what="the front to listen")
        except BaseException as exc:
            self._process.kill()
            raise RuntimeError(f"the front did not start; it said:\n{self._process.log_tail()}") from exc

    def behave(self, manners: str) -> None:
        """Deal like this with requests that arrive from now on."""
        new = self._folder / "manners.new"
        new.write_text(manners)
        new.rename(self._folder / "manners")

    def record(self) -> list[dict[str, Any]]:
        """Return the requests that arrived so far: manners, method, path, authorization, bytes."""
        path = self._folder / "record"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def met(self, manners: str) -> int:
        """Return how many requests were dealt with like this."""
        return sum(1 for request in self.record() if request["manners"] == manners)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def _json(status: int, content: object) -> _Answer:
    return _Answer(status, json.dumps(content).encode(), (("Content-Type", "application/json"),))


class _Handler(BaseHTTPRequestHandler):
    """Deals with requests."""

    protocol_version = "HTTP/1.1"
    settings: Settings

    def do_GET(self) -> None:
        """Deal with a query."""
        self._deal()

    def do_POST(self) -> None:
        """Deal with a write, or a statement."""
        self._deal()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _deal(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        folder = Path(self.settings.folder)
        manners = self._manners()
        with (folder / "record").open("a") as record:
            line = {
                "manners": manners,
                "method": self.command,
                "path": self.path,
                "authorization": self.headers.get("Authorization"),
                "bytes": len(body),
            }
            record.write(f"{json.dumps(line)}\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._answer(manners, body)

    def _manners(self) -> str:
        return Path(self.settings.folder, "manners").read_text()

    def _answer(self, manners: str, body: bytes) -> None:
        word, _, value = manners.partition(" ")
        if word.isdecimal():
            self._say(_json(int(word), {"error": f"told to answer {word}"}))
        elif word == "busy":
            self._say(_Answer(503, b'{"error":"busy"}', (("Retry-After", value),)))
        elif word == "too-large" and len(body) > int(value):
            self._say(_Answer(413, b"<html>413 Request Entity Too Large</html>"))
        elif word == REDIRECT:
            self._say(_Answer(307, b"", (("Location", ELSEWHERE),)))
        elif word in _RUDE:
            _RUDE[word](self, body)
        else:
            if word == "slow":
                time.sleep(float(value))
            self._say(_VERSIONS[self.settings.version](self, body))

    def _say(self, answer: _Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    # --- bad manners ---

    def _drip(self, body: bytes) -> None:
        """Do what is asked for, and never get to the end of the headers of the answer."""
        self._forward(body)
        self._drip_on(DRIP, b"HTTP/1.1 204 No Content\r\nX-Slowly: ")

    def _drip_body(self, _: bytes) -> None:
        self._drip_on(DRIP_BODY, b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 60000\r\n\r\n")

    def _drip_on(self, manners: str, beginning: bytes) -> None:
        """Say that, and then a byte now and then, as long as those are the manners; then hang up."""
        self.close_connection = True
        self.wfile.write(beginning)
        while self._manners() == manners:
            time.sleep(_DRIP_S)
            self.wfile.write(b"a")

    def _endless(self, _: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            self.wfile.write(b"a" * (1 << 16))

    def _garbage(self, _: bytes) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def _reset(self, _: bytes) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())  # whoever closes it in good order says goodbye first
        self.close_connection = True

    # --- versions ---

    def _forward(self, body: bytes, *, path: str | None = None) -> _Answer:
        """Return what the real one answers."""
        connection = UnixConnection(Path(self.settings.socket), _UPSTREAM_S)
        try:
            connection.request(self.command, path or self.path, body or None, self._taken_along())
            response = connection.getresponse()
            typed = response.headers.get("Content-Type", "application/json")
            return _Answer(response.status, response.read(), (("Content-Type", typed),))
        except (OSError, HTTPException) as exc:
            return _json(502, {"error": f"nobody behind: {exc}"})
        finally:
            connection.close()

    def _taken_along(self) -> dict[str, str]:
        """Return the headers for the real one: the credentials, if those are not ours to judge."""
        shown = self.headers.get("Authorization")
        return {"Authorization": shown} if shown and self.settings.version == V1 else {}

    def _version_2(self, body: bytes) -> _Answer:
        if self.settings.token is not None and self._shown() != self.settings.token:
            return _json(401, {"code": "unauthorized", "message": "unauthorized access"})
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        has_bucket = query.get("db") == self.settings.database
        if parts.path == "/write":
            return self._write_2(body) if has_bucket else _json(404, _NO_MAPPING)
        if query.get("q", "").startswith("CREATE"):
            return _json(200, _failed("not implemented: CREATE DATABASE"))
        if not has_bucket:
            return _json(200, _failed(f"default retention policy not set for: {query.get('db')}"))
        return self._forward(body)

    def _write_2(self, body: bytes) -> _Answer:
        self._make_database()
        answer = self._forward(body)
        if answer.status != http.HTTPStatus.BAD_REQUEST:
            return answer
        message = f"failure writing points to database: {json.loads(answer.body)['error']}"
        return _json(422, {"code": "unprocessable entity", "message": message})

    def _version_3(self, body: bytes) -> _Answer:
        if self.settings.token is not None and self._shown() != self.settings.token:
            return _json(401, {"error": "the request was not authenticated"})
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if parts.path == "/write":
            self._make_database()
            return self._write_by_lines(body)
        if self.headers.get("Accept") not in ("application/json", "*/*"):
            return _Answer(400, b"invalid mime type")
        if query.get("q", "").startswith("CREATE"):
            return _Answer(405, b"This feature is not implemented: CREATE DATABASE")
        answer = self._forward(body)
        missing = f"database not found: {query.get('db')}"
        if missing.encode() in answer.body:
            return _json(200, _failed(f"Cannot retrieve database: External error: {missing}"))
        return answer

    def _write_by_lines(self, body: bytes) -> _Answer:
        """Write what can be written; tell the others by their lines."""
        if self._forward(body).status == http.HTTPStatus.NO_CONTENT:
            return _Answer(204)
        refused = []
        for number, line in enumerate(_LINE.findall(body), 1):
            answer = self._forward(line.strip())
            if answer.status != http.HTTPStatus.NO_CONTENT:
                message = json.loads(answer.body)["error"].removeprefix("partial write: ")
                original = line.decode(errors="replace")
                refused.append({"original_line": original, "line_number": number, "error_message": message})
        return _json(400, {"error": "partial write of line protocol occurred", "data": refused})

    def _make_database(self) -> None:
        statement = urlencode({"q": f'CREATE DATABASE "{self.settings.database}"'})
        self._forward(b"", path=f"/query?{statement}")

    def _shown(self) -> str | None:
        """Return the token that the request shows: as such, or as the password."""
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Token":
            return str(value)
        if scheme == "Basic":
            return base64.b64decode(value).decode().partition(":")[2]
        return None


def _failed(error: str) -> dict[str, Any]:
    return {"results": [{"statement_id": 0, "error": error}]}


_RUDE: Final = {
    DRIP: _Handler._drip,  # noqa: SLF001 - our own
    DRIP_BODY: _Handler._drip_body,  # noqa: SLF001
    ENDLESS: _Handler._endless,  # noqa: SLF001
    GARBAGE: _Handler._garbage,  # noqa: SLF001
    RESET: _Handler._reset,  # noqa: SLF001
}
_VERSIONS: Final = {
    V1: _Handler._forward,  # noqa: SLF001
    V2: _Handler._version_2,  # noqa: SLF001
    V3: _Handler._version_3,  # noqa: SLF001
}


def serve(given: Mapping[str, Any]) -> None:
    """Be a front, until killed."""
    settings = Settings(**given)
    handler = type("Handler", (_Handler,), {"settings": settings})
    with ThreadingHTTPServer((settings.host, settings.port), handler) as server:
        server.daemon_threads = True
        Path(settings.folder, "ready").touch()
        server.serve_forever()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
