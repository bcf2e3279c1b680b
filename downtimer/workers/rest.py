"""Blocking HTTP to the cloud's own APIs, for discovery: bounded in time and size, without surprises.

Runs in discovery's thread. No proxies, no ``.netrc``, no redirects (a token or password would follow
them), no retries, no cookies, no hidden signing in. Every request has 10 s for each step, and all requests
of a listing have one deadline together. What a server sends is counted where it leaves the socket, before
anything is made of it, and is never unpacked: so nothing in it, head, framing or body, can take more memory
than its size. What waits within a step, the loop can `cut`.
"""

import contextlib
import functools
import http.client
import io
import logging
import socket
import ssl
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import keystoneauth1.exceptions
import requests
import urllib3
from keystoneauth1.session import Session
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

import downtimer
from downtimer.account import Trust
from downtimer.certificates import why_unusable
from downtimer.errors import DowntimerError

STEP_S: Final = 10.0
"""For connecting, and for each wait for bytes."""

BODY_MAX: Final = 64 * 1024 * 1024
"""Largest body taken; a page of 1,000 floating IPs has about 1 MB."""

GIVEN_MAX: Final = 8 * 1024 * 1024
"""The same of an answer to what was posted: a token with a catalog of ten thousand endpoints has 3 MB."""

VALUES_MAX: Final = 3_000_000
"""Most values in a body of JSON: lists have one in 30 bytes, and each may take a hundred when decoded."""

_HEAD_MAX: Final = 8 * 1024 * 1024  # more than the hundred lines of 64 KiB that http.client takes
_CHUNK: Final = 64 * 1024
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class AwayError(DowntimerError):
    """A service of the cloud gave no usable answer; the text completes "Keystone at URL …"."""


class CertificateError(DowntimerError):
    """A file of certificates, or of a key, can't be used; the text says which and why."""


class RefusedError(AwayError):
    """It answered with an error; `status` is HTTP's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status = status


class RedirectedError(requests.RequestException):
    """It answered with a redirect, which is not followed."""


class BoundsError(requests.RequestException):
    """A body was too large, or the listing's time was up."""


class _Bounds:
    """What one request may take.

    Attributes:
        deadline: Of all requests of the listing, on time.monotonic().
        body_max: Of the body.
        left: How many bytes more are taken of the answer to the request under way.
    """

    def __init__(self) -> None:
        self.deadline = float("inf")
        self.body_max = self.left = 0

    def begin(self, body_max: int) -> float:
        """Begin a request; return how long each of its steps may take.

        Raises:
            BoundsError: There is no time left.
        """
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise BoundsError("took too long")
        self.body_max = body_max
        self.left = 2 * body_max + _HEAD_MAX  # framing in small chunks takes as much as what it frames
        return min(STEP_S, left_s)

    def take(self, count: int) -> None:
        """Note that so many bytes have come.

        Raises:
            BoundsError: They are too many, or too late.
        """
        self.left -= count
        if self.left < 0:
            raise self.too_large()
        if time.monotonic() > self.deadline:
            raise BoundsError("took too long")

    def too_large(self) -> BoundsError:
        """Return what to raise if an answer is."""
        return BoundsError(f"answered with more than {self.body_max // 1024 // 1024} MiB")


class _Counted(io.RawIOBase):
    """What comes from a socket, within bounds."""

    def __init__(self, raw: io.RawIOBase, bounds: _Bounds) -> None:
        self._raw = raw
        self._bounds = bounds

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as io has it
        """Read what there is."""
        count = self._raw.readinto(buffer)
        self._bounds.take(count or 0)
        return count

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer of which neither head nor framing can be endless."""

    def __init__(self, bounds: _Bounds, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - http.client's
        super().__init__(*arguments, **options)
        self.fp = io.BufferedReader(_Counted(self.fp.detach(), bounds))


class _Watched(urllib3.connection.HTTPConnection):
    """A connection whose socket another thread can shut.

    Attributes:
        live: Every socket in use; those of a subclass made by `_Bounded`.
    """

    live: "weakref.WeakSet[socket.socket]"

    def connect(self) -> None:
        """Connect, and be known."""
        super().connect()
        if self.sock is not None:
            self.live.add(self.sock)


class _WatchedTls(_Watched, urllib3.connection.HTTPSConnection):
    """The same with TLS."""


class _Bounded(HTTPAdapter):
    """Reads the whole body at once, within bounds."""

    def __init__(self) -> None:
        self.bounds = _Bounds()
        self.live: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own
        """Have connections and answers made by our classes."""
        super().init_poolmanager(*arguments, **options)
        schemes = {"http": (HTTPConnectionPool, _Watched), "https": (HTTPSConnectionPool, _WatchedTls)}
        ours = {"live": self.live, "response_class": functools.partial(_Answer, self.bounds)}
        self.poolmanager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": type(made.__name__, (made,), ours)})
            for scheme, (pool, made) in schemes.items()
        }

    def send(  # type: ignore[override]  # arguments are passed through as they come
        self,
        request: requests.PreparedRequest,
        **options: Any,  # noqa: ANN401 - requests' own
    ) -> requests.Response:
        """Send a request and read the answer.

        Raises:
            requests.RequestException: There is no good one.
        """
        options["timeout"] = self.bounds.begin(BODY_MAX if request.method == "GET" else GIVEN_MAX)
        try:
            response = super().send(request, **options)
        except urllib3.exceptions.HTTPError as exc:  # a host that is none; requests lets it pass
            raise requests.exceptions.InvalidURL(exc) from exc
        if response.status_code in _REDIRECTS:
            response.close()
            where = response.headers.get("Location", "nowhere").partition("?")[0]  # that may be anything
            raise RedirectedError(f"redirects to {ascii(where)[:200]}; write where it really is")
        response.raw = io.BytesIO(self._read(response))
        response.encoding = "utf-8"  # as JSON is; else it would be guessed, for minutes if it is long
        return response

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        try:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise BoundsError("answered in a packed form that was not asked for")
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                body += chunk
                if len(body) > self.bounds.body_max:
                    raise self.bounds.too_large()
        except urllib3.exceptions.HTTPError as exc:
            raise requests.ConnectionError(exc) from exc
        finally:
            response.raw.close()  # of a body read whole the connection is back in the pool already
        # A socket that `cut` has shut ends a body like its sender would; urllib3 1.26 takes a short one.
        if time.monotonic() > self.bounds.deadline:
            raise BoundsError("took too long")
        if response.raw.length_remaining:
            raise requests.ConnectionError(ConnectionError("the answer broke off"))
        if body.count(b",") > VALUES_MAX:
            raise BoundsError(f"answered with more than {VALUES_MAX} values")
        return bytes(body)


class Rest:
    """The connection to the cloud. Not for several threads at a time.

    Attributes:
        session: For keystoneauth1's plugins.
    """

    def __init__(self, trust: Trust) -> None:
        """Prepare it.

        Args:
            trust: Whom to believe, and what to show.

        Raises:
            CertificateError: A file of certificates, or of a key, can't be used.
        """
        _silence()
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.cookies = RequestsCookieJar(DefaultCookiePolicy(allowed_domains=[]))  # none is kept
        self._http.headers["Accept-Encoding"] = "identity"
        self._adapter = _Bounded()
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, self._adapter)
        self.session = Session(
            session=self._http,
            verify=_verification(trust),
            cert=(trust.cert, trust.key) if trust.cert and trust.key else trust.cert,
            timeout=STEP_S,
            redirect=False,
            user_agent=f"downtimer/{downtimer.__version__}",
        )

    def begin(self, seconds: float) -> None:
        """Begin a listing, which has so long; connections of the last one are stale by now."""
        self._adapter.close()
        self._adapter.bounds.deadline = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Give the listing so long from now on, unless it has more, or is over."""
        now_s = time.monotonic()
        if self._adapter.bounds.deadline > now_s:
            self._adapter.bounds.deadline = max(self._adapter.bounds.deadline, now_s + seconds)

    def limit(self, seconds: float) -> None:
        """Give the rest of the listing so long, if that is less than it has."""
        self._adapter.bounds.deadline = min(self._adapter.bounds.deadline, time.monotonic() + seconds)

    def cut(self) -> None:
        """End what is under way, and the listing. Called by the loop while the thread is at work."""
        self._adapter.bounds.deadline = float("-inf")
        for live in list(self._adapter.live):
            with contextlib.suppress(OSError):  # closed meanwhile
                socket.socket.shutdown(live, socket.SHUT_RDWR)  # TLS has one of its own, not for two threads

    def close(self) -> None:
        """Let go of every connection."""
        self._http.close()

    def get(
        self,
        url: str,
        token: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the body of a good answer.

        Raises:
            RefusedError: The answer was another.
            AwayError: There was none.
        """
        try:
            response = self.session.get(
                url,
                params=query,
                headers={"X-Auth-Token": token, "Accept": "application/json", **(headers or {})},
                authenticated=False,
                raise_exc=False,
                log=False,
                stream=True,  # it is read already, and would be copied twice
            )
        except (keystoneauth1.exceptions.ClientException, requests.RequestException, UnicodeError) as exc:
            raise AwayError(explain(exc)) from exc
        if response.status_code != 200:
            raise RefusedError(response.status_code)
        content: bytes = response.raw.read()
        return content


def explain(error: BaseException) -> str:
    """Return in a few words why a request failed; they complete "Keystone at URL …"."""
    chain = causes(error)
    for kinds, describe in _EXPLAINED:
        for cause in chain:
            text = describe(cause) if isinstance(cause, kinds) else None
            if text is not None:
                return text
    if any(isinstance(cause, keystoneauth1.exceptions.ConnectionError) for cause in chain):
        return "does not answer as HTTP should"
    return "answered something that makes no sense"


_EXPLAINED: Final[tuple[tuple[tuple[type[BaseException], ...], Callable[[Any], str | None]], ...]] = (
    ((ssl.SSLCertVerificationError,), lambda exc: f"has a certificate that fails: {exc.verify_message}"),
    ((ssl.SSLError,), lambda exc: f"does not speak TLS as it should ({exc.reason or 'handshake failed'})"),
    ((urllib3.exceptions.SSLError,), lambda exc: f"has a certificate that fails: {exc}"),  # by urllib3 1.26
    ((socket.gaierror,), lambda exc: f"cannot be found: its name does not resolve ({exc.strerror})"),
    ((RedirectedError, BoundsError), str),
    ((keystoneauth1.exceptions.HttpError,), lambda exc: f"answered {exc.http_status}"),
    ((ConnectionError,), lambda exc: f"does not answer ({(exc.strerror or 'connection broken').lower()})"),
    # An OSError without a number is one of requests' own, which say little.
    ((OSError,), lambda exc: f"does not answer ({exc.strerror.lower()})" if exc.strerror else None),
    # urllib3 1.26 counts a refused connection among the timeouts.
    (
        (TimeoutError, urllib3.exceptions.TimeoutError, requests.Timeout),
        lambda _: "does not answer (timed out)",
    ),
)
"""How to put an error, by its type; None: look further. The first row with a text for any counts."""


def causes(error: BaseException) -> list[BaseException]:
    """Return the error and all that led to it; libraries hide causes in several places."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        found = waiting.pop(0)
        if any(found is known for known in seen):
            continue
        seen.append(found)
        hidden = (found.__cause__, found.__context__, getattr(found, "reason", None), *found.args)
        waiting += [cause for cause in hidden if isinstance(cause, BaseException)]
    return seen


def _verification(trust: Trust) -> bool | str:
    if (reason := why_unusable(trust)) is not None:
        raise CertificateError(reason)
    return not trust.insecure and (trust.cacert or True)


def _silence() -> None:
    """Keep libraries quiet: they log bodies with tokens at debug, and every outage as a warning."""
    for name in ("keystoneauth", "keystoneauth1", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
