r"""The control protocol: one JSON object each way, each on one line, over a Unix socket.

::

    client                                            daemon
      │  {"version": 1, "command": "status", "arguments": {}}\n  │
      │ ────────────────────────────────────────────────────────► │
      │  {"version": 1, "ok": true, "result": {...}}\n           │
      │ ◄──────────────────────────────────────────────────────── │
      │                                    then the daemon closes │

A request that can't be obeyed is answered by ``{"version": 1, "ok": false, "error": {"code": …,
"message": …}}``. A request is at most 64 KiB; a reply may be larger (1,000 targets may be down). Of a key
that is given twice the last counts. What follows a request on the same connection is never read.
"""

from typing import Any, Final

import msgspec

from downtimer.errors import ControlError

VERSION: Final = 1
REQUEST_MAX: Final = 64 * 1024
REPLY_MAX: Final = 4 * 1024 * 1024


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for."""

    version: int = VERSION
    command: str
    arguments: dict[str, Any] = {}


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not obeyed."""

    code: str
    message: str


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the daemon answers: a result or an error."""

    version: int
    ok: bool
    result: dict[str, Any] | None = None
    error: ErrorReply | None = None


_REQUESTS: Final = msgspec.json.Decoder(Request)
_REPLIES: Final = msgspec.json.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """Return the line of a request or reply."""
    return msgspec.json.encode(message) + b"\n"


def encode_result(value: dict[str, Any]) -> bytes:
    """Return the line of the reply that bears a result.

    Raises:
        ControlError: ``too-large``: no client would take it.
    """
    line = encode(Reply(version=VERSION, ok=True, result=value))
    if len(line) > REPLY_MAX:
        raise ControlError("too-large", f"the answer has {len(line)} bytes; at most {REPLY_MAX} can be sent")
    return line


def decode_request(line: bytes) -> Request:
    """Return the request on a line.

    Raises:
        ControlError: ``too-large``, ``bad-request`` or ``version``.
    """
    if len(line) > REQUEST_MAX:
        raise ControlError("too-large", f"a request is at most {REQUEST_MAX} bytes")
    try:
        request = _REQUESTS.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ControlError("bad-request", f"not a request: {exc}") from exc
    if request.version != VERSION:
        raise ControlError("version", f"this daemon speaks version {VERSION}, not {request.version}")
    return request


def decode_reply(line: bytes) -> Reply:
    """Return the reply on a line.

    Raises:
        ControlError: ``bad-request``: it is none.
    """
    try:
        return _REPLIES.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ControlError("bad-request", f"the daemon's answer makes no sense: {exc}") from exc


def error(code: str, message: str) -> Reply:
    """Return the reply that bears an error."""
    text = message.encode("utf-8", "backslashreplace").decode()  # the name of a file may be no text
    return Reply(version=VERSION, ok=False, error=ErrorReply(code=code, message=text))
