"""The control socket: each request has its answer, and none that is wrong changes anything."""

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from downtimer.control import client, protocol
from downtimer.control.server import ControlServer
from downtimer.errors import ControlError, DowntimerError, NotRunningError


async def echo(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the arguments."""
    return dict(arguments)


async def fail(_: Mapping[str, Any]) -> dict[str, Any]:
    """Fail as commands do."""
    raise DowntimerError("the disk is full")


async def refuse(_: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse as commands do."""
    raise ControlError("busy", "a run is just being stopped")


async def break_down(_: Mapping[str, Any]) -> dict[str, Any]:
    """Show a defect."""
    raise ZeroDivisionError


HANDLERS = {"echo": echo, "fail": fail, "refuse": refuse, "break": break_down}


def ask(path: Path, frame: bytes, *, then_shut: bool = False) -> bytes:
    """Send raw bytes and return all that comes back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(frame)
        if then_shut:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def serve_and(path: Path, *questions: Any) -> list[Any]:  # noqa: ANN401 - callables of various results
    """Serve on `path` while the questions are asked, each in a thread; return their results or errors."""

    async def run() -> list[Any]:
        server = ControlServer(str(path), HANDLERS)
        await server.open()
        try:
            return await asyncio.gather(
                *(asyncio.to_thread(question) for question in questions), return_exceptions=True
            )
        finally:
            await server.close()

    return asyncio.run(run())


def test_a_command_is_obeyed_and_its_result_answered(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (answer,) = serve_and(path, lambda: client.request(str(path), "echo", {"a": [1, "ü"]}, timeout_s=5))
    assert answer == {"a": [1, "ü"]}


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("fail", "failed", "the disk is full"),
        ("refuse", "busy", "a run is just being stopped"),
        ("break", "failed", "a defect of downtimer; its log has the traceback"),
        ("dance", "unknown-command", "no command 'dance'; there are echo, fail, refuse, break"),
    ],
)
def test_a_command_that_fails_is_answered_by_an_error(
    tmp_path: Path, command: str, code: str, message: str
) -> None:
    path = tmp_path / "s"
    (error,) = serve_and(path, lambda: client.request(str(path), command, timeout_s=5))
    assert isinstance(error, ControlError)
    assert (error.code, str(error)) == (code, message)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\n", "bad-request"),
        (b"hello\n", "bad-request"),
        (b"[]\n", "bad-request"),
        (b"{}\n", "bad-request"),
        (b'{"version": 1, "command": 5}\n', "bad-request"),
        (b'{"version": 1, "command": "echo", "arguments": []}\n', "bad-request"),
        (b'{"version": 1, "command": "echo", "secret": 1}\n', "bad-request"),
        (b"\xff\xfe\n", "bad-request"),
        (b"[" * 60_000 + b"\n", "bad-request"),
        (b'{"version": 2, "command": "echo"}\n', "version"),
        (b" " * (protocol.REQUEST_MAX + 10) + b"\n", "too-large"),
    ],
)
def test_what_is_no_request_is_answered_by_an_error(tmp_path: Path, frame: bytes, code: str) -> None:
    path = tmp_path / "s"
    (answer,) = serve_and(path, lambda: ask(path, frame))
    reply = json.loads(answer)
    assert (reply["version"], reply["ok"], reply["error"]["code"]) == (1, False, code)


def test_a_truncated_request_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (answer,) = serve_and(path, lambda: ask(path, b'{"version": 1, "comm', then_shut=True))
    assert answer == b""


def test_a_client_that_never_asks_holds_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / "s"

    def with_a_silent_one() -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(path))
            return client.request(str(path), "echo", {"a": 1}, timeout_s=2)

    assert serve_and(path, with_a_silent_one) == [{"a": 1}]


def test_many_clients_at_once_are_all_served(tmp_path: Path) -> None:
    path = tmp_path / "s"
    questions = [
        lambda n=n: client.request(str(path), "echo", {"n": n}, timeout_s=20)["n"] for n in range(100)
    ]
    assert serve_and(path, *questions) == list(range(100))


def test_nobody_there_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="downtimer is not running"):
        client.request(str(tmp_path / "s"), "ping", timeout_s=1)


def test_a_socket_left_behind_is_not_running(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "s"))
    with pytest.raises(NotRunningError):
        client.request(str(tmp_path / "s"), "ping", timeout_s=1)
