"""The control socket: each request has its answer, and none that is wrong changes anything."""

import asyncio
import json
import os
import resource
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from downtimer import config
from downtimer.commands.common import print_file
from downtimer.control import client, protocol, server
from downtimer.control.server import ControlServer
from downtimer.descriptors import allow_most
from downtimer.errors import ConfigError, ControlError, DowntimerError, NotRunningError

ANSWER_S = 20.0
FOREVER_S = 1e6
REQUEST = b'{"version": 1, "command": "echo"}\n'


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    """Have as many files open as the system allows; some start with 1,024."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_most()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def echo(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the arguments."""
    return dict(arguments)


async def answer_at_length(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Answer so many bytes."""
    return {"text": "x" * arguments["size"]}


async def answer_no_text(_: Mapping[str, Any]) -> dict[str, Any]:
    """Answer something that can't be written down."""
    return {"path": "\udcff"}


async def fail(_: Mapping[str, Any]) -> dict[str, Any]:
    """Fail as commands do."""
    raise DowntimerError("the disk is full")


async def fail_for_a_file(_: Mapping[str, Any]) -> dict[str, Any]:
    """Fail for a configuration whose name is no text."""
    raise ConfigError("/etc/\udcff.ini: cannot read the configuration")


async def refuse(_: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse as commands do."""
    raise ControlError("busy", "a run is just being stopped")


async def break_down(_: Mapping[str, Any]) -> dict[str, Any]:
    """Show a defect."""
    raise ZeroDivisionError


HANDLERS = {
    "echo": echo,
    "long": answer_at_length,
    "odd": answer_no_text,
    "fail": fail,
    "misconfigured": fail_for_a_file,
    "refuse": refuse,
    "break": break_down,
}


def connected(path: Path) -> socket.socket:
    """Return a connection."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_S)
    connection.connect(str(path))
    return connection


def read(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes, be it that it has not read all."""
    answer = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def ask(path: Path, *pieces: bytes, then_shut: bool = False) -> bytes:
    """Send raw bytes and return all that comes back."""
    with connected(path) as connection:
        for piece in pieces:
            connection.sendall(piece)
        if then_shut:
            connection.shutdown(socket.SHUT_WR)
        return read(connection)


@contextmanager
def serving(
    path: Path, handlers: Mapping[str, server.Handler] = HANDLERS, group: int | None = None
) -> Iterator[ControlServer]:
    """Serve, in a thread."""
    loop = asyncio.new_event_loop()
    made = ControlServer(str(path), handlers, group)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(made.open(), loop).result()
        try:
            yield made
        finally:
            asyncio.run_coroutine_threadsafe(made.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))  # transports close in the turn after
        loop.close()


def serve_and(path: Path, question: Callable[[], Any]) -> Any:  # noqa: ANN401 - a callable of any result
    """Serve while a question is asked; return what comes of it, or its error."""
    with serving(path):
        try:
            return question()
        except DowntimerError as exc:
            return exc


def test_a_command_is_obeyed_and_its_result_answered(tmp_path: Path) -> None:
    path = tmp_path / "s"
    answer = serve_and(path, lambda: client.request(str(path), "echo", {"a": [1, "ü"]}, timeout_s=5))
    assert answer == {"a": [1, "ü"]}


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("fail", "failed", "the disk is full"),
        ("refuse", "busy", "a run is just being stopped"),
        ("break", "failed", "a defect of downtimer; its log has the traceback"),
        ("odd", "failed", "a defect of downtimer; its log has the traceback"),
        (
            "dance" * 100,
            "unknown-command",
            f"no command '{'dance' * 20}'; there are echo, long, odd, fail, misconfigured, refuse, break",
        ),
    ],
)
def test_a_command_that_fails_is_answered_by_an_error(
    tmp_path: Path, command: str, code: str, message: str
) -> None:
    path = tmp_path / "s"
    error = serve_and(path, lambda: client.request(str(path), command, timeout_s=5))
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
        (b'{"command": "echo", "arguments": {"a": ' + b"[" * 60_000 + b"\n", "bad-request"),
        (b'{"command": "echo", "arguments": ' + b'{"a":' * 12_000 + b"\n", "bad-request"),
        (b'{"command": "echo", "arguments": {"a": ' + b"9" * 60_000 + b"}}\n", "bad-request"),
        (b'{"command": "echo", "arguments": {"a": 1e999}}\n', "bad-request"),
        (b'{"command": "echo", "arguments": {"a": NaN}}\n', "bad-request"),
        (b'{"command": "\\ud800"}\n', "bad-request"),
        (b'{"command": "echo"}\0\n', "bad-request"),
        (b'{"command": "echo"} {"command": "echo"}\n', "bad-request"),
        (b'\xef\xbb\xbf{"command": "echo"}\n', "bad-request"),
        (b'{"command": "echo", "command": 1}\n', "bad-request"),
        (b'{"command": "ec\\u0000ho"}\n', "unknown-command"),
        (b'{"command": "ECHO"}\n', "unknown-command"),
        (b'{"version": true, "command": "echo"}\n', "bad-request"),
        (b'{"version": "1", "command": "echo"}\n', "bad-request"),
        (b'{"version": -1, "command": "echo"}\n', "version"),
        (b'{"version": ' + b"9" * 40 + b', "command": "echo"}\n', "version"),
        (b'{"version": 2, "command": "echo"}\n', "version"),
        (b" " * (protocol.REQUEST_MAX + 10) + b"\n", "too-large"),
    ],
)
def test_what_is_no_request_is_answered_by_an_error_and_counted(
    tmp_path: Path, frame: bytes, code: str
) -> None:
    path = tmp_path / "s"
    with serving(path) as serving_:
        reply = json.loads(ask(path, frame))
        assert (reply["version"], reply["ok"], reply["error"]["code"]) == (1, False, code)
        assert serving_.refused == 1
        assert json.loads(ask(path, REQUEST))["ok"] is True
        assert serving_.refused == 1


def test_a_request_without_an_end_is_too_large_before_it_has_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    reply = json.loads(serve_and(path, lambda: ask(path, b"[" * (protocol.REQUEST_MAX + 3))))
    assert reply["error"]["code"] == "too-large"


def test_the_largest_request_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    frame = REQUEST.rjust(protocol.REQUEST_MAX)
    assert json.loads(serve_and(path, lambda: ask(path, frame)))["ok"] is True


def test_a_truncated_request_is_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serving(path) as serving_:
        assert ask(path, REQUEST[:-1], then_shut=True) == b""
        assert serving_.refused == 1


def test_a_request_in_pieces_by_a_client_that_then_says_no_more_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "s"
    answer = serve_and(path, lambda: ask(path, *(bytes([byte]) for byte in REQUEST), then_shut=True))
    assert json.loads(answer)["ok"] is True


def test_a_second_request_on_a_connection_is_not_obeyed(tmp_path: Path) -> None:
    obeyed: list[Mapping[str, Any]] = []

    async def note(arguments: Mapping[str, Any]) -> dict[str, Any]:
        obeyed.append(arguments)
        return {}

    def frame(number: int) -> bytes:
        return protocol.encode(protocol.Request(command="note", arguments={"number": number}))

    path = tmp_path / "s"
    with serving(path, {"note": note}) as serving_:
        assert ask(path, frame(1) + frame(2)).count(b"\n") == 1
        ask(path, frame(3))
        assert serving_.refused == 0
    assert obeyed == [{"number": 1}, {"number": 3}]


def test_of_a_key_that_is_given_twice_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "s"
    frame = b'{"command": "fail", "command": "echo", "arguments": {"a": 1, "a": 2}}\n'
    assert json.loads(serve_and(path, lambda: ask(path, frame)))["result"] == {"a": 2}


def test_an_answer_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s"
    size = protocol.REPLY_MAX - 100
    answer = serve_and(path, lambda: client.request(str(path), "long", {"size": size}, timeout_s=ANSWER_S))
    assert len(answer["text"]) == size
    error = serve_and(
        path, lambda: client.request(str(path), "long", {"size": size + 100}, timeout_s=ANSWER_S)
    )
    assert (error.code, "the answer has 4194" in str(error)) == ("too-large", True)


def test_an_error_about_what_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s"
    error = serve_and(path, lambda: client.request(str(path), "misconfigured", timeout_s=ANSWER_S))
    assert isinstance(error, ConfigError)
    assert str(error) == r"/etc/\udcff.ini: cannot read the configuration"


def test_a_configuration_whose_name_is_no_text_is_one_line() -> None:
    with pytest.raises(ConfigError, match="the name of the configuration is not UTF-8 text"):
        config.load("/\udcff.ini")


def test_a_client_that_never_asks_holds_up_nobody_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE_S", FOREVER_S)
    path = tmp_path / "s"
    with serving(path), connected(path) as silent:
        silent.sendall(b"{")
        assert client.request(str(path), "echo", {"a": 1}, timeout_s=ANSWER_S) == {"a": 1}


def test_a_client_that_never_asks_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE_S", 0.05)
    path = tmp_path / "s"
    with serving(path) as serving_, connected(path) as silent:
        assert read(silent) == b""
        assert serving_.refused == 1


def test_a_client_that_never_reads_holds_up_nobody_and_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE_S", 0.05)
    path = tmp_path / "s"
    size = 3_000_000
    with serving(path), connected(path) as deaf:
        deaf.sendall(protocol.encode(protocol.Request(command="long", arguments={"size": size})))
        assert client.request(str(path), "echo", {"a": 1}, timeout_s=ANSWER_S) == {"a": 1}
        assert hung_up(deaf)
        assert len(read(deaf)) < size


def hung_up(connection: socket.socket) -> bool:
    """Wait until the other side has closed, without reading from it; False if it does not."""
    for _ in range(1000):
        try:
            connection.sendall(b" ")
        except BrokenPipeError:
            return True
        except TimeoutError:
            return False
        threading.Event().wait(0.02)
    return False


def test_five_hundred_clients_at_once_are_all_served(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serving(path) as serving_, ExitStack() as stack:
        clients = [stack.enter_context(connected(path)) for _ in range(500)]
        for number, one in enumerate(clients):
            frame = protocol.encode(protocol.Request(command="echo", arguments={"number": number}))
            one.sendall(frame)
        numbers = [json.loads(read(one))["result"]["number"] for one in clients]
        assert numbers == list(range(500))
        assert serving_.refused == 0


def test_of_too_many_clients_the_last_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CLIENTS_MAX", 3)
    path = tmp_path / "s"
    with serving(path) as serving_:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connected(path))
            with pytest.raises(ControlError, match="3 clients are here already; try again") as caught:
                client.request(str(path), "echo", timeout_s=ANSWER_S)
            assert caught.value.code == "busy"
        until_answered(path)
        assert serving_.refused >= 4  # one too many, and three that asked for nothing


def until_answered(path: Path) -> None:
    """Ask again as long as too many others are there."""
    for _ in range(1000):
        try:
            client.request(str(path), "echo", timeout_s=ANSWER_S)
        except ControlError:
            threading.Event().wait(0.02)
        else:
            return
    raise TimeoutError


def test_a_client_waits_until_it_is_let_in(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as stack:
        listening.bind(str(path))
        listening.listen(1)
        waiting = fill_queue(path, stack)
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(
            target=lambda: answers.append(client.request(str(path), "echo", timeout_s=ANSWER_S))
        )
        asking.start()
        try:
            for _ in range(waiting):
                listening.accept()[0].close()
            with listening.accept()[0] as last:
                assert last.recv(1000) == protocol.encode(protocol.Request(command="echo"))
                last.sendall(protocol.encode_result({"a": 1}))
        finally:
            asking.join()
    assert answers == [{"a": 1}]


def fill_queue(path: Path, stack: ExitStack) -> int:
    """Connect until no more may wait to be let in; return how many do."""
    count = 0
    while True:
        one = stack.enter_context(socket.socket(socket.AF_UNIX))
        one.setblocking(False)
        try:
            one.connect(str(path))
        except BlockingIOError:
            return count
        count += 1


def test_a_daemon_that_lets_nobody_in_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_S", 0.1)
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as stack:
        listening.bind(str(path))
        listening.listen(1)
        fill_queue(path, stack)
        with pytest.raises(ControlError, match="the daemon has let nobody in for 0 s"):
            client.request(str(path), "echo", timeout_s=1)


@pytest.mark.parametrize(("group", "mode"), [(None, 0o600), (os.getegid(), 0o660)])
def test_only_the_user_and_the_group_may_use_the_socket_whatever_the_umask(
    tmp_path: Path, group: int | None, mode: int
) -> None:
    path = tmp_path / "s"
    old = os.umask(0)
    try:
        with serving(path, group=group):
            found = path.stat()
            assert (stat.S_IMODE(found.st_mode), found.st_gid) == (mode, os.getegid())
            assert json.loads(ask(path, REQUEST))["ok"] is True
    finally:
        os.umask(old)


def test_a_folder_in_which_there_can_be_no_socket_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "s"
    made = ControlServer(str(path), HANDLERS)
    with pytest.raises(ControlError, match=f"cannot listen on {path}: No such file or directory"):
        asyncio.run(made.open())


@pytest.mark.parametrize("group", ["no such group", "-1", str(2**32 - 1), "a\0b"])
def test_a_group_that_there_is_not_is_one_line(group: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(f"[global]\ncontrol_group = {group}\n[static]\nips = 127.0.0.1\n", "/etc/c.ini")
    assert str(caught.value) == f"/etc/c.ini: [global] control_group: there is no group {group!r}"


@pytest.mark.parametrize(("group", "number"), [("root", 0), ("0", 0), ("54321", 54321)])
def test_a_group_has_a_name_or_a_number(group: str, number: int) -> None:
    text = f"[global]\ncontrol_group = {group}\n[static]\nips = 127.0.0.1\n"
    assert config.parse(text, "/etc/c.ini").global_.control_group == number


def test_a_report_that_whoever_may_command_may_not_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DowntimerError, match=f"cannot read {tmp_path}: Is a directory"):
        print_file(str(tmp_path))


def test_nobody_there_is_not_running(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="no daemon is running"):
        client.request(str(tmp_path / "s"), "ping", timeout_s=1)


def test_a_socket_left_behind_is_not_running(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "s"))
    with pytest.raises(NotRunningError):
        client.request(str(tmp_path / "s"), "ping", timeout_s=1)
