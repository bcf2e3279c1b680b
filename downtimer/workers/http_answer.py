"""The answer to one HTTP request, taken in as its bytes come. No I/O.

llhttp (by way of httptools) parses; here is what a probe wants to know of that, and what is refused beyond
what llhttp refuses: what we never asked for, and what a server may not send without end.
"""

from typing import Final

import httptools

HEAD_MAX: Final = 16 * 1024
"""So many bytes may have come of a head that is not complete."""

_BEGINNING: Final = b"HTTP/"


class MalformedError(Exception):
    """The bytes are no answer to our request."""


class HttpAnswer:
    """The final answer; interim ones (1xx) are passed over.

    The parser holds this object and this holds the parser, until `let_go`.

    Attributes:
        status: Of its head; None until that is complete.
        size: How much of its body has come, in bytes, without framing.
        body: As much of the body as came, if it is one that is kept.
        is_complete: It is here to its end.
        is_kept_alive: It is complete, and the other side keeps the connection.
    """

    __slots__ = (
        "_beginning",
        "_headless",
        "_is_framed",
        "_keeps_body_of",
        "_parser",
        "_was_coded",
        "body",
        "is_complete",
        "is_kept_alive",
        "size",
        "status",
    )

    def __init__(self, keeps_body_of: int | None = None) -> None:
        """`keeps_body_of`: the status of which the body is wanted."""
        self.status: int | None = None
        self.size = 0
        self.body = b""
        self.is_complete = self.is_kept_alive = False
        self._keeps_body_of = keeps_body_of
        self._beginning = b""  # the first bytes that came
        self._headless = 0  # how many came since the last complete head
        self._is_framed = False  # the end is known by other means than the end of the connection
        self._was_coded = False
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # Every client takes heads whose lines end with LF alone.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)

    def take(self, data: bytes) -> None:
        """Take what came next.

        Raises:
            MalformedError: That can't be. What is known of the answer by then stands.
        """
        if len(self._beginning) < len(_BEGINNING):
            self._beginning += data[: len(_BEGINNING)]
            if not self._looks_like_http():
                raise MalformedError
        self._headless += len(data)
        assert self._parser is not None  # noqa: S101 - for the type checker
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            if not self.is_complete:  # what follows a complete answer is none of ours
                raise MalformedError from exc
        if self.status is None and self._headless > HEAD_MAX:
            raise MalformedError

    def end(self) -> bool:
        """The connection has ended; return whether that completes the answer."""
        if self.status is not None and not self._is_framed:
            self.is_complete = True
        return self.is_complete

    def let_go(self) -> None:
        """Take no more."""
        self._parser = None

    def _looks_like_http(self) -> bool:
        return _BEGINNING.startswith(self._beginning[: len(_BEGINNING)])

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
            self.body += data

    def on_message_complete(self) -> None:
        """An answer is complete; if it is an interim one, another is to come."""
        self._headless = 0
        self._is_framed = self._was_coded = False
        if self.status is not None and not self.is_complete:
            assert self._parser is not None  # noqa: S101 - for the type checker
            self.is_complete, self.is_kept_alive = True, self._parser.should_keep_alive()
