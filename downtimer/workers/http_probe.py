"""One HTTP request on one fresh connection. Used by the api worker only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import h11

from downtimer.source import Source
from downtimer.workers.http_request import Prepared
from downtimer.workers.names import Endpoint, Names, Resolution
from downtimer.workers.talk import Conversation, Done, FailureError, Phase, Talk, Want

BODY_MAX: Final = 64 * 1024
"""After so much of a body, in bytes, it counts as complete."""

_CHUNK: Final = 64 * 1024
_RAW_MAX: Final = 4 * BODY_MAX  # with its framing
_EVENTS_MAX: Final = 1_000  # of the parser, each of which takes time in which nothing else is done


FirstClass = Callable[[], int | None]
"""Tells the hundreds of the status of a check's first good answer; None before that."""


class Judge(Protocol):
    """Judges the status of an answer; returns the cause if it is no good one."""

    def __call__(self, status: int, first_class: int | None) -> str | None:
        """Judge it, by the class of the check's first good answer."""


@dataclass(frozen=True, slots=True)
class HttpQuestion:
    """What a check asks of a service, again and again.

    Attributes:
        check: Its name.
        prepared: What is sent.
        judge: Of the answers.
        names: Knows where to.
        source: Where from.
    """

    check: str
    prepared: Prepared
    judge: Judge
    names: Names
    source: Source

    @property
    def name(self) -> tuple[str, int]:
        """Host and port that are looked up for it."""
        return self.prepared.host, self.prepared.port

    def resolution(self) -> Resolution | None:
        """Return where to ask; None while that is to be waited for."""
        return self.names.resolution(*self.name)

    def conversation(self, first_class: FirstClass, done: Done) -> "HttpProbe":
        """Return a probe that is to be started."""
        return HttpProbe(self, first_class, done)


class HttpProbe(Conversation):
    """A request and its answer."""

    def __init__(self, question: HttpQuestion, first_class: FirstClass, done: Done) -> None:
        super().__init__(question.source, done)
        self._prepared = question.prepared
        self._judge = question.judge
        self._first_class = first_class
        self._heard = b""  # the first bytes of the answer
        self._raw = 0  # how many came

    def converse(self, endpoints: Sequence[Endpoint]) -> Talk[None]:
        """Connect, ask, and hear the answer to its end."""
        yield from self._connect(endpoints)
        if self._prepared.tls is not None:
            self.phase = Phase.TLS
            yield from self._shake_hands(self._prepared.tls, self._prepared.host)
        self.phase = Phase.ANSWER
        http = h11.Connection(h11.CLIENT)
        asked = http.send(self._prepared.head) or b""
        yield from self._send(asked + (http.send(h11.EndOfMessage()) or b""))
        yield from self._receive(http)
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
            elif isinstance(event, h11.EndOfMessage):
                return
            elif not isinstance(event, h11.InformationalResponse):
                raise FailureError("malformed")  # an upgrade that nobody asked for
        if self.status is None:
            raise FailureError("malformed")  # a flood of interim answers

    def _take_head(self, head: h11.Response) -> None:
        self.status = head.status_code
        cause = self._judge(head.status_code, self._first_class())
        if cause is not None:
            raise FailureError(cause)
        self.phase = Phase.BODY

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
