"""One HTTP request on one fresh connection. Used by the api worker only."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import h11

from downtimer.source import Source
from downtimer.verdicts import NO_KEYSTONE, names_keystone
from downtimer.workers.http_request import Prepared
from downtimer.workers.names import Endpoint
from downtimer.workers.talk import Conversation, Done, FailureError, Phase, Talk, Want

BODY_MAX: Final = 64 * 1024
"""After so much of a body, in bytes, it counts as complete."""

_CHUNK: Final = 64 * 1024
_RAW_MAX: Final = 4 * BODY_MAX  # with its framing
_EVENTS_MAX: Final = 1_000  # of the parser, each of which takes time in which nothing else is done


Judge = Callable[[int], str | None]
"""Judges the status of an answer; returns the cause if it is no good one."""


class HttpProbe(Conversation):
    """A request and its answer.

    Args:
        prepared: What is sent.
        judge: Of the answer.
        source: Where from.
        done: What to tell when it has ended.
        asks_why: Whether the body of a 503 is read to tell whether that is for want of Keystone.
    """

    def __init__(
        self, prepared: Prepared, judge: Judge, source: Source, done: Done, *, asks_why: bool = False
    ) -> None:
        super().__init__(source, done)
        self._prepared = prepared
        self._judge = judge
        self._asks_why = asks_why
        self._failed: str | None = None  # the cause that the head alone has told, while the body is read
        self._body = b""  # of such an answer
        self._heard = b""  # the first bytes of the answer
        self._raw = 0  # how many came

    @property
    def is_hanging(self) -> bool:
        """Whether an answer is owed to us; one that is known to be no good is none."""
        return super().is_hanging and self._failed is None

    def expire(self) -> None:
        """The deadline has come."""
        if self._failed is None:
            super().expire()
        else:
            self._finish(self._why(self._failed))

    def converse(self, endpoints: Sequence[Endpoint]) -> Talk[None]:
        """Connect, ask, and hear the answer to its end."""
        yield from self._connect(endpoints)
        if self._prepared.tls is not None:
            self.phase = Phase.TLS
            yield from self._shake_hands(self._prepared.tls, self._prepared.host)
        self.phase = Phase.ANSWER
        http = h11.Connection(h11.CLIENT)
        asked = http.send(self._prepared.head) or b""
        if self._prepared.body:
            asked += http.send(h11.Data(self._prepared.body)) or b""
        yield from self._send(asked + (http.send(h11.EndOfMessage()) or b""))
        try:
            yield from self._receive(http)
        except (FailureError, OSError):
            if self._failed is None:
                raise
        if self._failed is not None:
            raise FailureError(self._why(self._failed))
        self.is_kept_alive = http.our_state is h11.DONE and http.their_state is h11.DONE

    def _send(self, data: bytes) -> Talk[None]:
        while data:
            sent = yield from self._patiently(partial(self._connection.send, data), Want.WRITE)
            data = data[sent:]

    def _receive(self, http: h11.Connection) -> Talk[None]:
        """Read the answer until it is complete, or known to be no good one, or has been enough."""
        size = events = 0
        is_over = False
        while size < BODY_MAX and self._raw < _RAW_MAX and events < _EVENTS_MAX:
            events += 1
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as exc:
                raise FailureError(self._cause_of_break(is_over=is_over)) from exc
            if event is h11.NEED_DATA:
                is_over = yield from self._feed(http)
            elif isinstance(event, h11.Response):
                self._take_head(event)
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if self._failed is not None:
                    self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return
            elif not isinstance(event, h11.InformationalResponse):
                raise FailureError("malformed")  # an upgrade that nobody asked for
        if self.status is None:
            raise FailureError("malformed")  # a flood of interim answers

    def _take_head(self, head: h11.Response) -> None:
        self.status = head.status_code
        cause = self._judge(head.status_code)
        if cause is not None and self._asks_why and head.status_code == 503:
            self._failed = cause
        elif cause is not None:
            raise FailureError(cause)
        self.phase = Phase.BODY

    def _why(self, cause: str) -> str:
        """Return the cause of a 503 by as much of its body as came."""
        return NO_KEYSTONE if names_keystone(self._body) else cause

    def _feed(self, http: h11.Connection) -> Talk[bool]:
        """Give the parser what comes next; return whether that was the end."""
        data = yield from self._patiently(partial(self._connection.recv, _CHUNK))
        if len(self._heard) < len(b"HTTP/"):
            self._heard += data[: len(b"HTTP/")]
        self._raw += len(data)
        http.receive_data(data)
        return not data

    def _cause_of_break(self, *, is_over: bool) -> str:
        """Tell an answer that was cut off from one that is not HTTP."""
        looks_like_http = b"HTTP/".startswith(self._heard[: len(b"HTTP/")])
        return "closed" if is_over and looks_like_http else "malformed"
