"""One HTTP request on one fresh connection. Used by the api worker only."""

from collections.abc import Callable, Sequence
from typing import Final

from downtimer.verdicts import NO_KEYSTONE, names_keystone
from downtimer.workers.http_answer import HttpAnswer, MalformedError
from downtimer.workers.http_request import Prepared
from downtimer.workers.names import Endpoint
from downtimer.workers.talk import AGAIN, Conversation, Done, FailureError, Ground, Phase, Talk

_CHUNK: Final = 64 * 1024
_ASKS_WHY_OF: Final = 503

Judge = Callable[[int], str | None]
"""Judges the status of an answer; returns the cause if it is no good one."""


class HttpProbe(Conversation):
    """A request and its answer.

    Args:
        prepared: What is sent.
        judge: Of the answer.
        ground: What it stands on.
        done: What to tell when it has ended.
        asks_why: Whether the body of a 503 is read to tell whether that is for want of Keystone.
    """

    def __init__(
        self, prepared: Prepared, judge: Judge, ground: Ground, done: Done, *, asks_why: bool = False
    ) -> None:
        super().__init__(ground, done)
        self._prepared = prepared
        self._judge = judge
        self._answer: HttpAnswer | None = None
        self._asks_why = asks_why
        self._failed: str | None = None  # the cause that the head alone has told, while the body is read

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
        yield from self._send(self._prepared.content)
        answer = self._answer = HttpAnswer(_ASKS_WHY_OF if self._asks_why else None)
        try:
            yield from self._receive(answer)
        except (FailureError, OSError):
            if self._failed is None:
                raise
        finally:
            answer.let_go()
        if self._failed is not None:
            raise FailureError(self._why(self._failed))
        self.is_kept_alive = answer.is_kept_alive

    def _send(self, data: bytes) -> Talk[None]:
        while data:
            try:
                sent = self._connection.send(data)
            except AGAIN:
                self._watch()
                yield
            else:
                data = data[sent:]

    def _receive(self, answer: HttpAnswer) -> Talk[None]:
        """Read the answer until it is complete, or known to be no good one, or has been enough."""
        connection = self._connection
        if not self._is_watched:
            self._watch_answer()
            yield
        while answer.room:
            try:
                data = connection.recv(min(_CHUNK, answer.room))
            except AGAIN:
                yield
            else:
                self._hear(answer, data)

    def _hear(self, answer: HttpAnswer, data: bytes) -> None:
        """Take what came; nothing, if the other side has closed the connection."""
        try:
            if data:
                answer.take(data)
            is_over = not data and not answer.end()
        except MalformedError as exc:
            self._judge_head(answer.status)
            raise FailureError("malformed") from exc
        self._judge_head(answer.status)
        if is_over:
            raise FailureError("closed")

    def _judge_head(self, status: int | None) -> None:
        """Judge the head, if it has just come."""
        if status is None or self.status is not None:
            return
        self.status = status
        cause = self._judge(status)
        if cause is not None and self._asks_why and status == _ASKS_WHY_OF:
            self._failed = cause
        elif cause is not None:
            raise FailureError(cause)
        self.phase = Phase.BODY

    def _why(self, cause: str) -> str:
        """Return the cause of a 503 by as much of its body as came."""
        body = b"" if self._answer is None else self._answer.body
        return NO_KEYSTONE if names_keystone(body) else cause
