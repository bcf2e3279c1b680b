"""The command line's end of the control socket."""

import socket
from typing import Any, Final

from downtimer.control import protocol
from downtimer.errors import ConfigError, ControlError, NotRunningError

CONNECT_S: Final = 5.0


def request(
    path: str, command: str, arguments: dict[str, Any] | None = None, *, timeout_s: float
) -> dict[str, Any]:
    """Ask the daemon for something and return its result.

    Args:
        path: Of the control socket.
        command: What to do.
        arguments: Of the command.
        timeout_s: How long to wait for the answer.

    Raises:
        NotRunningError: Nobody listens, or the daemon was left without a run.
        ConfigError: The daemon refuses the configuration.
        ControlError: The daemon refused, failed, or did not answer in time.
    """
    asked = protocol.Request(command=command, arguments=arguments or {})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        _connect(connection, path)
        try:
            connection.settimeout(timeout_s)
            connection.sendall(protocol.encode(asked))
            line = _read_line(connection)
        except TimeoutError as exc:
            raise ControlError("failed", f"the daemon did not answer within {timeout_s:.0f} s") from exc
        except OSError as exc:
            raise ControlError("failed", f"the daemon went away: {exc.strerror}") from exc
    if not line:
        raise ControlError("failed", "the daemon ended before it answered; its log says why")
    reply = protocol.decode_reply(line)
    if reply.error is not None:
        if reply.error.code == "not-running":
            raise NotRunningError(reply.error.message)
        if reply.error.code == "configuration":
            raise ConfigError(reply.error.message)
        raise ControlError(reply.error.code, reply.error.message)
    return reply.result or {}


def _connect(connection: socket.socket, path: str) -> None:
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise NotRunningError(f"downtimer is not running (nobody listens on {path})") from exc
    except OSError as exc:
        raise ControlError("failed", f"{path}: {exc.strerror or exc}") from exc


def _read_line(connection: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) <= protocol.REPLY_MAX:
        chunk = connection.recv(65536)
        if not chunk:
            break
        line += chunk
    return bytes(line)
