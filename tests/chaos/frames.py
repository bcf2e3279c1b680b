"""Frames that nobody should send to the control socket. Pure, and the same for the same seed.

None of them is a request that changes anything: such are left out where they come about, see `is_harmless`.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from downtimer.control import protocol
from downtimer.control.protocol import REQUEST_MAX
from downtimer.errors import ControlError

CHUNK: Final = 250
"""So many frames are made of one seed and number."""

DROPPED: Final = "dropped"
OBEYED: Final = "obeyed"

_COMMANDS: Final = ("ping", "status", "report", "start", "stop", "mark")
_ODD_VALUES: Final = (
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"NaN",
    b"1.0",
    b"9" * 400,
    b"-" + b"9" * 30,
    b'""',
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\xff\xfe"',
    b"[]",
    b"{}",
    b'[{"":[]}]',
    b"'x'",
)


class Frame(NamedTuple):
    """What one client sends.

    Attributes:
        data: All of it.
        manner: How: ``whole``; in ``pieces``; ``shut``: then says that no more will come; ``closed`` at once,
            without reading; ``held`` open, without reading or going on.
    """

    data: bytes
    manner: str


def expected(data: bytes) -> str:
    """Return what a frame brings about: the code of an error, `DROPPED` or `OBEYED`."""
    line, newline, _ = data.partition(b"\n")
    if not newline:
        return "too-large" if len(data) > REQUEST_MAX + 2 else DROPPED
    try:
        request = protocol.decode_request(line + newline)
    except ControlError as exc:
        return exc.code
    if request.command not in _COMMANDS:
        return "unknown-command"
    if request.command == "mark" and not isinstance(request.arguments.get("text"), str):
        return "bad-request"
    return OBEYED


def is_harmless(data: bytes) -> bool:
    """Tell whether a frame is no request, or one that changes nothing."""
    if expected(data) != OBEYED:
        return True
    return protocol.decode_request(data.partition(b"\n")[0]).command in ("ping", "status")


def frames(seed: int, number: int) -> Iterator[Frame]:
    """Yield the frames of one chunk, always the same."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - to be repeatable
    maker = _Maker(chance)
    for _ in range(CHUNK):
        data = maker.make()
        while not is_harmless(data):
            data = maker.make()
        (manner,) = chance.choices(("whole", "pieces", "shut", "closed", "held"), (50, 10, 15, 15, 10))
        yield Frame(data, manner)


class _Maker:
    """Makes what a client might send by mistake, by defect, or by design."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def make(self) -> bytes:
        """Return a frame."""
        kinds: Mapping[Callable[[], bytes], int] = {
            self._mutated: 40,
            self._noise: 15,
            self._truncated: 10,
            self._mistyped: 15,
            self._of_another_version: 8,
            self._unknown: 6,
            self._nested: 2,
            self._oversized: 2,
            self._twice: 2,
            self._in_order: 2,
        }
        (maker,) = self._chance.choices(tuple(kinds), tuple(kinds.values()))
        return maker()

    def _request(self, **others: object) -> bytes:
        command = self._chance.choice(_COMMANDS)
        arguments = self._chance.choice(({}, {"keep": True}, {"text": "x"}, {"label": "y", "config": "/z"}))
        return (
            json.dumps({"version": 1, "command": command, "arguments": arguments, **others}).encode() + b"\n"
        )

    def _bytes(self, most: int) -> bytes:
        return self._chance.randbytes(self._chance.randint(1, most))

    def _mutated(self) -> bytes:
        data = bytearray(self._request())
        for _ in range(self._chance.randint(1, 4)):
            at = self._chance.randrange(len(data)) if data else 0
            upto = at + self._chance.randint(0, 8)
            data[at:upto] = self._chance.choice(
                (
                    b"",
                    self._bytes(3),
                    data[at:upto] * 2,
                    bytes(reversed(data[at:upto])),
                    b'"',
                    b"{",
                    b"\0",
                    b"\n",
                )
            )
        return bytes(data)

    def _noise(self) -> bytes:
        return self._bytes(300) + self._chance.choice((b"", b"\n"))

    def _truncated(self) -> bytes:
        data = self._request()
        return data[: self._chance.randrange(len(data))]

    def _mistyped(self) -> bytes:
        name = self._chance.choice((b"version", b"command", b"arguments", b"", b"secret"))
        return self._request()[:-2] + b', "%b": %b}\n' % (name, self._chance.choice(_ODD_VALUES))

    def _of_another_version(self) -> bytes:
        return self._request(version=self._chance.choice((0, 2, -1, 10**18, 10**30)))

    def _unknown(self) -> bytes:
        return self._request(
            command=self._chance.choice(("", "STOP", "stop ", "halt", "x" * 5000, "st\0op", "\n"))
        )

    def _nested(self) -> bytes:
        depth = self._chance.randint(1, 30_000)
        opening, end = self._chance.choice(((b"[", b"]"), (b'{"":', b"}"), (b"[", b"")))
        return (
            b'{"command": "mark", "arguments": {"a": ' + opening * min(depth, 12_000) + end * depth + b"}}\n"
        )

    def _oversized(self) -> bytes:
        size = REQUEST_MAX + self._chance.randint(100, 200_000)
        return self._request().rjust(size) if self._chance.random() < 0.5 else b"[" * size

    def _in_order(self) -> bytes:
        return self._request(command=self._chance.choice(("ping", "status")))

    def _twice(self) -> bytes:
        return self._request()[:-1] + self._chance.choice((b" ", b",", b"")) + self._request()
