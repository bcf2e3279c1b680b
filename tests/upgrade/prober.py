"""Asks a Keystone all the time: ``python -m tests.upgrade.prober PORT FILE``. Shares nothing with downtimer.

Every 200 ms each kind of request is due, on a connection of its own. For each that is over a line goes to
FILE: its kind, the instants at which it was sent and was over (CLOCK_BOOTTIME in ns), and what came of it.

The root is asked for whenever that is due, and whoever asks hangs up when a user's patience ends. A call that
hangs holds one of Keystone's workers, also when nobody waits for it any more, so of the other kinds one at a
time is out, and it is heard out: its answer tells when Keystone was well again. Ends after half an hour, or
by a signal.
"""

import asyncio
import http.client
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from downtimer.demo.truth import now_ns
from downtimer.parent import die_with_parent
from tests.integration.keystone_install import ADMIN_PASSWORD

ROOT, PASSWORD, RESCOPE = "root", "password", "rescope"
EVERY_S: Final = 0.2
PATIENCE_S: Final = 2.0
HEARD_OUT_S: Final = 600.0
MOST: Final = 9_000
"""Requests of each kind."""

GOOD: Final = "good"
"""What came was an answer, though maybe a late one; anything else is the reason why none came."""

_HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request.

    Attributes:
        name: Its name.
        request: All of it.
        status: Of a good answer.
        at_once: How many are out at most.
        heard_s: How long an answer is waited for.
    """

    name: str
    request: bytes
    status: int
    at_once: int
    heard_s: float


def main() -> None:
    """Ask until told to stop, or often enough."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    with file.open("a", buffering=1) as log:
        asyncio.run(_ask_for_all(_kinds(port), port, log))


def _kinds(port: int) -> list[Kind]:
    password = {"user": {"name": "admin", "domain": {"id": "default"}, "password": ADMIN_PASSWORD}}
    sign_in = {"methods": ["password"], "password": password}
    exchange = {"methods": ["token"], "token": {"id": _token(port, sign_in)}}
    return [
        Kind(ROOT, _request("GET", "/"), 300, round(PATIENCE_S / EVERY_S) + 1, PATIENCE_S),
        Kind(PASSWORD, _request("POST", "/v3/auth/tokens", _scoped(sign_in)), 201, 1, HEARD_OUT_S),
        Kind(RESCOPE, _request("POST", "/v3/auth/tokens", _scoped(exchange)), 201, 1, HEARD_OUT_S),
    ]


def _token(port: int, identity: dict[str, Any]) -> str:
    connection = http.client.HTTPConnection(_HOST, port, timeout=30)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v3/auth/tokens", json.dumps(_scoped(identity)), headers)
    token = connection.getresponse().getheader("X-Subject-Token")
    connection.close()
    if token is None:
        raise RuntimeError("Keystone gave no token")
    return token


def _scoped(identity: dict[str, Any]) -> dict[str, Any]:
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    return {"auth": {"identity": identity, "scope": scope}}


def _request(method: str, path: str, content: dict[str, Any] | None = None) -> bytes:
    body = b"" if content is None else json.dumps(content).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: {_HOST}\r\nConnection: close\r\n"
    typed = "" if content is None else f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{typed}\r\n".encode() + body


async def _ask_for_all(kinds: list[Kind], port: int, log: TextIO) -> None:
    async with asyncio.TaskGroup() as group:
        for kind in kinds:
            group.create_task(_ask_for(kind, port, log))
            await asyncio.sleep(EVERY_S / len(kinds))


async def _ask_for(kind: Kind, port: int, log: TextIO) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    asking: set[asyncio.Task[None]] = set()
    for _ in range(MOST):
        if len(asking) < kind.at_once:
            task = loop.create_task(_ask(kind, port, log))
            asking.add(task)
            task.add_done_callback(asking.discard)
        due = max(due + EVERY_S, loop.time())
        await asyncio.sleep(due - loop.time())


async def _ask(kind: Kind, port: int, log: TextIO) -> None:
    sent_ns = now_ns()
    try:
        async with asyncio.timeout(kind.heard_s):
            answer = await _exchange(kind.request, port)
    except OSError as exc:  # TimeoutError is one
        what = type(exc).__name__.removesuffix("Error").removeprefix("Connection").lower()
    else:
        what = _judge(kind, answer)
    log.write(f"{kind.name} {sent_ns} {now_ns()} {what}\n")


async def _exchange(request: bytes, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(_HOST, port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def _judge(kind: Kind, answer: bytes) -> str:
    words = answer.split(maxsplit=2)
    if len(words) < 3:
        return "closed"
    return GOOD if int(words[1]) == kind.status else f"http-{int(words[1])}"


if __name__ == "__main__":
    die_with_parent()
    main()
