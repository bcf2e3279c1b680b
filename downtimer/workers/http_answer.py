"""The answer to one HTTP request, taken in as its bytes come. No I/O.

llhttp (by way of httptools) parses; here is what a probe wants to know of that, what is taken although llhttp
refuses it, since every client takes it, and what is refused beyond what llhttp refuses: what we never asked
for, and what a server may not send without end. What comes of some bytes is the same however they are cut.
"""

import re
from typing import Final

import httptools

BODY_MAX: Final = 64 * 1024
"""After so much of a body, in bytes, it counts as complete."""

RAW_MAX: Final = 4 * BODY_MAX
"""So many bytes are taken in all, with the head, the framing, and all interim answers."""

_BEGINNING: Final = b"HTTP/"
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_FRAMING: Final = re.compile(
    rb"^(content-length|transfer-encoding|connection)[ \t]*:(.*)\n", re.IGNORECASE | re.MULTILINE
)


class MalformedError(Exception):
    """The bytes are no answer to our request."""


class HttpAnswer:
    """The final answer; interim ones (1xx) are passed over.

    The parser holds this object and this holds the parser, until `let_go`.

    Attributes:
        status: Of its head; None until that is complete.
        size: How much of its body has come, in bytes, without framing.
        body: As much of the body as came, if it is one that is kept.
        room: How many bytes more are to be taken; 0 if it is complete, or has been enough.
        is_complete: It is here to its end, or to where it counts as complete.
        is_kept_alive: It is complete, and the other side keeps the connection.
    """

    __slots__ = (
        "_is_framed",
        "_is_refused",
        "_keeps_body_of",
        "_parser",
        "_raw",
        "_was_coded",
        "body",
        "is_complete",
        "is_kept_alive",
        "room",
        "size",
        "status",
    )

    def __init__(self, keeps_body_of: int | None = None) -> None:
        """`keeps_body_of`: the status of which the body is wanted."""
        self.status: int | None = None
        self.size = 0
        self.body = b""
        self.room = RAW_MAX
        self.is_complete = self.is_kept_alive = False
        self._keeps_body_of = keeps_body_of
        self._raw = b""  # all that came until the status was known
        self._is_refused = False  # llhttp refuses a head of which the end has not come
        self._is_framed = False  # the end is known by other means than the end of the connection
        self._was_coded = False
        self._parser: httptools.HttpResponseParser | None = self._new_parser()

    def take(self, data: bytes) -> None:
        """Take what came next, no more than there is room for.

        Raises:
            MalformedError: That can't be. What is known of the answer by then stands.
        """
        self.room -= len(data)
        if self.status is None:
            self._raw += data
            if not _BEGINNING.startswith(self._raw[: len(_BEGINNING)]):
                raise MalformedError
        try:
            self._parse(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            if not self.is_complete and self.size < BODY_MAX:  # what follows that is none of ours
                raise MalformedError from exc
        if self.size >= BODY_MAX:
            self.is_complete, self.is_kept_alive = True, False  # more of it may be under way
        if self.is_complete:
            self.room = 0
        elif self.status is None and self.room <= 0:
            raise MalformedError

    def end(self) -> bool:
        """The connection has ended; return whether that completes the answer."""
        if self.status is not None and not self._is_framed:
            self.is_complete = True
            self.room = 0
        return self.is_complete

    def let_go(self) -> None:
        """Take no more."""
        self._parser = None

    def _new_parser(self) -> httptools.HttpResponseParser:
        """Return one that refuses nothing which every client takes, as far as llhttp can be told."""
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(
            lenient_headers=True,  # continued on the next line, control characters
            lenient_chunked_length=True,  # a length beside chunks
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        return parser

    def _parse(self, data: bytes) -> None:
        """Have what came parsed, and a head that is refused once more, without what it is refused for."""
        assert self._parser is not None  # noqa: S101 - for the type checker
        if not self._is_refused:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                if self.status is not None:
                    raise
                self._is_refused = True
            else:
                return
        end = _END_OF_HEAD.search(self._raw)
        if end is not None:
            self._is_refused = self._is_framed = self._was_coded = False
            self._parser = self._new_parser()
            self._parser.feed_data(_plain(self._raw[: end.start() + 1]) + self._raw[end.end() :])

    # --- called by the parser; what they raise becomes an error of its own ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of any answer, or of its trailer."""
        name = name.lower()
        if name == b"content-length":
            self._is_framed = True
        elif name == b"transfer-encoding":
            if self._was_coded or value.strip().lower() != b"chunked":
                raise MalformedError  # we have asked for no other
            self._is_framed = self._was_coded = True

    def on_headers_complete(self) -> None:
        """A head is complete."""
        assert self._parser is not None  # noqa: S101 - for the type checker
        status = self._parser.get_status_code()
        if status == 101 or status < 100:
            raise MalformedError  # an upgrade that nobody asked for, or no status at all
        if status >= 200 and self.status is None:
            self.status = status

    def on_body(self, data: bytes) -> None:
        """A part of a body."""
        self.size += len(data)
        if self.status == self._keeps_body_of and not self.is_complete:
            self.body += data[: BODY_MAX - len(self.body)]

    def on_message_complete(self) -> None:
        """An answer is complete; if it is an interim one, another is to come."""
        self._is_framed = self._was_coded = False
        if self.status is not None and not self.is_complete:
            assert self._parser is not None  # noqa: S101 - for the type checker
            self.is_complete, self.is_kept_alive = True, self._parser.should_keep_alive()


def _plain(head: bytes) -> bytes:
    """Return a head with its first line and what frames its answer, each thing once.

    Clients pass over a header that they can make nothing of, and take a length that is told twice.
    """
    first, _, headers = head.partition(b"\n")
    said = dict.fromkeys(
        name.lower() + b": " + value.strip()
        for name, values in _FRAMING.findall(headers)
        for value in values.split(b",")
    )
    return b"\n".join([first, *said, b"", b""])
