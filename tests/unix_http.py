"""HTTP over a Unix socket: reaches a server in another network namespace, which shares files with us."""

import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        body: The decoded JSON; None where the body is empty or no JSON.
    """

    status: int
    headers: dict[str, str]
    body: Any


def request(
    path: Path,
    method: str,
    url: str,
    *,
    body: object = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 10,
) -> Answer:
    """Send one request on a connection of its own.

    Raises:
        OSError: Nobody listens, or the connection broke, or the timeout passed.
        http.client.HTTPException: What came is no HTTP.
    """
    connection = UnixConnection(path, timeout_s)
    try:
        content = None if body is None else json.dumps(body)
        typed = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, url, content, {**typed, **(headers or {})})
        response = connection.getresponse()
        raw = response.read()
    finally:
        connection.close()
    try:
        decoded = json.loads(raw)
    except ValueError:
        decoded = None
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, decoded)


class UnixConnection(http.client.HTTPConnection):
    """A connection to a server that listens on a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Connect."""
        # The address of a Unix socket has room for 107 bytes and temporary directories may be deep, so the
        # path goes by way of its directory's descriptor.
        directory = os.open(self._path.parent, os.O_PATH)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self._timeout_s)
            self.sock.connect(f"/proc/self/fd/{directory}/{self._path.name}")
        finally:
            os.close(directory)
