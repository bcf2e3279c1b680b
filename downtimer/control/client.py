"""The command line's end of the control socket."""

import contextlib
import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import Any, Final

from downtimer.control import protocol
from downtimer.errors import ConfigError, ControlError, NotRunningError

CONNECT_S: Final = 5.0
_POLL_S: Final = 0.02


class NobodyListensError(NotRunningError):
    """There is no daemon, or it has another socket."""


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
        ControlError: The daemon refused, failed, or did not answer in time, or it is no daemon that listens.
    """
    frame = protocol.encode(protocol.Request(command=command, arguments=arguments or {}))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        _connect(connection, path)
        _check_peer(connection, path)
        try:
            connection.settimeout(timeout_s)
            with contextlib.suppress(BrokenPipeError):  # who answers before all is said may listen no more
                connection.sendall(frame)
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
    deadline = time.monotonic() + CONNECT_S
    connection.setblocking(False)
    while True:
        try:
            connection.connect(path)
        except BlockingIOError as exc:  # so many wait to be let in that no more may
            if time.monotonic() > deadline:
                raise ControlError("failed", f"the daemon has let nobody in for {CONNECT_S:.0f} s") from exc
            time.sleep(_POLL_S)
        except (FileNotFoundError, ConnectionRefusedError) as exc:
            raise NobodyListensError(f"no daemon is running (nobody listens on {path})") from exc
        except OSError as exc:
            raise ControlError("failed", f"{path}: {exc.strerror or exc}") from exc
        else:
            return


def _check_peer(connection: socket.socket, path: str) -> None:
    """Check that who listens is a daemon, as far as that can be told by its user.

    In a folder like /tmp everybody may put something in place of a daemon's own folder before that is there.

    Raises:
        ControlError: Somebody else listens.
    """
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    around = Path(path).parent.parents
    if user not in (os.geteuid(), 0) and any(folder.stat().st_mode & stat.S_IWOTH for folder in around):
        raise ControlError("failed", f"{path}: user {user} listens there, who need not be a daemon's")


def _read_line(connection: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) <= protocol.REPLY_MAX:
        chunk = connection.recv(65536)
        if not chunk:
            break
        line += chunk
    return bytes(line)
