"""What the api worker asks of services: their roots, and calls that show who we are."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from downtimer.model import Auth, Call
from downtimer.verdicts import TOKEN, is_unfit, judge_call, judge_status
from downtimer.workers.http_probe import HttpProbe
from downtimer.workers.http_request import Prepared, Request, prepare
from downtimer.workers.names import Names, Resolution
from downtimer.workers.talk import Conversation, Done, Ground
from downtimer.workers.tokens import Shown, Tokens

FirstClass = Callable[[], int | None]
"""Tells the hundreds of the status of a check's first good answer; None before that."""


class Question(Protocol):
    """What a series of probes asks, again and again."""

    @property
    def check(self) -> str:
        """Name of the check."""

    @property
    def name(self) -> tuple[str, int] | None:
        """Host and port that are looked up for it; None if none are."""

    @property
    def hears_out(self) -> bool:
        """Whether, while Keystone is away, what comes after its timeout may tell whose fault that is."""

    def resolution(self) -> Resolution | None:
        """Return where to ask; None while that is to be waited for."""

    def conversation(self, first_class: FirstClass, done: Done) -> Conversation:
        """Return a probe that is to be started.

        Args:
            first_class: See there.
            done: What to tell when it has ended.
        """

    def is_unfit(self, status: int) -> bool:
        """Tell whether such an answer, if no good one came before, means that this can't be asked there."""


@dataclass(frozen=True, slots=True)
class HttpSurroundings:
    """What all that is asked over HTTP shares."""

    tls: ssl.SSLContext
    names: Names
    ground: Ground


class RootQuestion:
    """Whether a service's root answers.

    Attributes:
        check: Name of the check.
        name: Host and port.
    """

    hears_out = False

    def __init__(self, check: str, url: str, around: HttpSurroundings) -> None:
        """Prepare it.

        Raises:
            ValueError: The URL is none of HTTP.
        """
        self.check = check
        self._around = around
        self._prepared = prepare(Request(method="GET", url=url), around.tls)
        self.name = (self._prepared.host, self._prepared.port)
        around.names.add(*self.name)

    def resolution(self) -> Resolution | None:
        """Return where to ask."""
        return self._around.names.resolution(*self.name)

    def conversation(self, first_class: FirstClass, done: Done) -> HttpProbe:
        """Return a probe that is to be started."""
        return HttpProbe(
            self._prepared,
            lambda status: judge_status(status, first_class()),
            self._around.ground,
            done,
        )

    def is_unfit(self, status: int) -> bool:  # noqa: ARG002 - as `Question` has it
        """Any answer will do."""
        return False


class CallQuestion:
    """Whether a service does something for us.

    Attributes:
        check: Name of the check.
        name: Host and port.
        hears_out: A service that can't reach Keystone says so late.
    """

    def __init__(self, call: Call, tokens: Tokens, around: HttpSurroundings) -> None:
        """Prepare it.

        Raises:
            ValueError: The URL is none of HTTP.
        """
        self.check = call.check
        self.hears_out = call.auth is Auth.TOKEN
        self._call = call
        self._tokens = tokens
        self._around = around
        prepared = prepare(Request(method=call.method, url=call.url), around.tls)
        self.name = (prepared.host, prepared.port)
        around.names.add(*self.name)
        self._newest: tuple[Shown, Prepared] | None = None
        self._has_refused = False  # something that was certainly good, and has accepted nothing since
        self._is_sure = False  # that what was shown last is good

    def resolution(self) -> Resolution | None:
        """Return where to ask; with nothing to show it can't be, but that time is the restart's at first."""
        if self._tokens.is_awaited(self._call.auth):
            return None
        if not self._tokens.has(self._call.auth):
            return Resolution((), TOKEN)
        return self._around.names.resolution(*self.name)

    def conversation(self, first_class: FirstClass, done: Done) -> HttpProbe:  # noqa: ARG002 - of a call only 2xx is good
        """Return a probe that is to be started."""
        shown = self._tokens.show(self._call.auth)
        is_sure = self._is_sure = self._has_refused or self._tokens.is_sure(shown)

        def judge(status: int) -> str | None:
            if self._tokens.is_unknown(self._call.auth, status):
                status = 401  # what others say of what has expired or was revoked
            cause = judge_call(status, is_sure=is_sure)
            if is_sure and status == 401:
                self._has_refused = True
            elif cause is None:
                self._has_refused = False
            if cause == TOKEN:
                self._tokens.refused(shown)
            return cause

        return HttpProbe(
            self._prepare(shown),
            judge,
            self._around.ground,
            done,
            asks_why=self.hears_out,
        )

    def is_unfit(self, status: int) -> bool:
        """Tell whether the call is not for us, or not known there."""
        may_be_us = self._tokens.is_unknown(self._call.auth, status) and not self._is_sure
        return is_unfit(status) and not may_be_us

    def _prepare(self, shown: Shown) -> Prepared:
        """Return the request, which is the same as long as the token is."""
        if self._newest is None or self._newest[0] != shown:
            call = self._call
            request = Request(method=call.method, url=call.url, headers=shown.headers, body=shown.body)
            self._newest = shown, prepare(request, self._around.tls)
        return self._newest[1]
