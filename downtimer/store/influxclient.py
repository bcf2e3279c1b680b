"""InfluxDB's HTTP interface, version 1, which 2.x, 3.x and VictoriaMetrics have too; errors become ours here.

One attempt a request, bounded in time and size (`downtimer.store.boundedhttp`). Redirects are not followed:
credentials would go with them. Errors are one line, without credentials.
"""

import base64
import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Any, Final

import msgspec

from downtimer.errors import StoreError
from downtimer.printable import printable
from downtimer.sections import DbSection
from downtimer.store.boundedhttp import Connection

if TYPE_CHECKING:
    from influxdb import InfluxDBClient

REQUEST_S: Final = 10.0
"""For a request, all in all: name, connection, TLS, sending, and the answer."""

QUERY_S: Final = 60.0
"""The same of each piece of the answer to a query."""

ROWS_MAX: Final = 10_000
PIECE_MAX: Final = 64 << 20
"""Rows and bytes in one piece of an answer; they bound the memory of a query."""

ERROR_MAX: Final = 300
RETRY_AFTER_MAX_S: Final = 300.0

_CHUNK: Final = 64 << 10
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_BLAMES_POINTS: Final = re.compile(
    r"partial write|unable to parse|line protocol|field type conflict|dropped=\d"
)
_DROPPED: Final = re.compile(r"dropped=(\d+)")
_NO_DATABASE: Final = re.compile(
    r"database not found|no dbrp mapping found|bucket .*not found|retention policy not found"
)


class InfluxError(StoreError):
    """InfluxDB can't be reached or fails; it may be better later.

    Attributes:
        retry_after_s: When it says that it wants to be asked again; None if it does not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SlowError(InfluxError):
    """InfluxDB did not answer in time; it may yet do what it was asked for."""


class AccessError(InfluxError):
    """InfluxDB rejects the credentials, or lets them do too little."""


class NoDatabaseError(InfluxError):
    """The database does not exist."""


class RejectedError(StoreError):
    """InfluxDB will not take these points, now or ever; at least one of them is to blame.

    Attributes:
        dropped: How many it says that it dropped (the others it took); None if it does not say.
        is_sure: Whether it says that points are to blame. Else it may be the request, or not be InfluxDB that
            speaks: who speaks HTTP to a port that is for https, hears of a bad request, too.
    """

    def __init__(self, message: str, dropped: int | None, *, is_sure: bool) -> None:
        super().__init__(message)
        self.dropped = dropped
        self.is_sure = is_sure


class Client:
    """A connection to the configured database. One thread owns it."""

    def __init__(self, db: DbSection, *, request_s: float = REQUEST_S) -> None:
        self.where = f"InfluxDB at {db.host}:{db.port}"
        self.database = db.name
        self._db = db
        self._request_s = request_s
        self._http = Connection(db.host, db.port, tls=self._make_context if db.ssl else None)
        self._made: InfluxDBClient | None = None

    def write(self, text: str) -> None:
        """Write points, a line each.

        Raises:
            RejectedError: Some of them are not to be had.
            InfluxError: None was written, or nobody knows; write them again later.
        """
        with self._translated():
            self._client().write([text], {"db": self.database, "precision": "ns"}, protocol="line")

    def create_database(self) -> None:
        """Create the database; no harm if it is there.

        Raises:
            InfluxError: It can't be created.
        """
        self._command(f"CREATE DATABASE {_quote(self.database)}", {})

    def delete(self, measurement: str, tag: str, value: str) -> None:
        """Delete the points of a measurement that have a tag with this value; all plain words.

        Raises:
            StoreError: They can't be deleted.
        """
        where = f"{_quote(tag)} = '{value}'"
        self._command(f"DELETE FROM {_quote(measurement)} WHERE {where}", {"db": self.database})  # noqa: S608 - plain words

    def _command(self, statement: str, params: dict[str, str]) -> None:
        with self._translated():
            response = self._client().request("query", "POST", params={"q": statement, **params})
            list(self._series(response.content))

    def query(self, query: str) -> Iterator[dict[str, Any]]:
        """Yield the series of an answer, each in pieces of at most `ROWS_MAX` rows.

        Raises:
            StoreError: There is no answer, or it breaks off.
        """
        chunked = {"epoch": "ns", "chunked": "true", "chunk_size": str(ROWS_MAX)}
        with self._translated():
            params = {"db": self.database, "q": query, **chunked}
            response = self._client().request("query", params=params, stream=True)
            for line in self._lines(response.raw):
                yield from self._series(line)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _client(self) -> "InfluxDBClient":
        """Return the client; its imports take a fifth of a second and 20 MB, so that is put off until now."""
        if self._made is None:
            from downtimer.store.influxtransport import Transport, make_client  # noqa: PLC0415

            transport = Transport(
                self._http,
                within_s=self._request_s,
                credentials=lambda: _authorization(self._db),
                refusal=self._refused,
            )
            self._made = make_client(self._db, transport)
        return self._made

    def _lines(self, answer: HTTPResponse) -> Iterator[bytes]:
        """Yield the lines of a body; each has its own deadline."""
        rest = bytearray()
        while some := answer.read1(_CHUNK):
            rest += some
            if b"\n" in some:
                *lines, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                self._http.deadline.set(self._request_s)
                yield from filter(bytes.strip, lines)
            elif len(rest) > PIECE_MAX:
                raise InfluxError(f"{self.where} answered with more than {PIECE_MAX >> 20} MiB in one piece")
        if answer.length:
            raise IncompleteRead(b"", answer.length)
        if rest.strip():
            yield bytes(rest)

    def _series(self, line: bytes) -> Iterator[dict[str, Any]]:
        answer = msgspec.json.decode(line)
        for result in (answer, *answer.get("results", ())):
            if "error" in result:
                raise self._failed(self._one_line(str(result["error"])))
        for result in answer["results"]:
            yield from result.get("series", ())

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as exc:
            raise SlowError(f"{self.where} does not answer in time") from exc
        except OSError as exc:
            raise InfluxError(f"{self.where}{_reason(exc)}") from exc
        except UnicodeError as exc:
            raise InfluxError(f"{self.where}: that is no name of a host") from exc
        except IncompleteRead as exc:
            raise InfluxError(f"{self.where}: the answer broke off") from exc
        except (
            HTTPException,
            msgspec.DecodeError,
            KeyError,
            AttributeError,
            TypeError,
            RecursionError,
        ) as exc:
            raise InfluxError(f"{self.where} gave an answer that is none of InfluxDB's") from exc

    def _refused(self, answer: HTTPResponse, body: bytes) -> StoreError:
        code, said = answer.status, _message(body) or f"HTTP {answer.status} {answer.reason}"
        message = self._one_line(said)
        text = f"{self.where}: {message}"
        if code in _REDIRECTS:
            return self._redirected(answer.headers.get("Location", "nowhere"))
        if code in (401, 403):
            return AccessError(f"{self.where} rejects the credentials of [db]: {message}")
        if code == 404:
            return self._failed(message)
        if code in (400, 413, 422):
            is_sure = code != 413 and _BLAMES_POINTS.search(message) is not None
            return RejectedError(text, _dropped(body, message), is_sure=is_sure)
        if code >= 500:
            return InfluxError(f"{self.where} failed: {message}", _retry_after_s(answer))
        return InfluxError(f"{text} (HTTP {code})", _retry_after_s(answer))

    def _redirected(self, location: str) -> InfluxError:
        where = self._one_line(printable(location.partition("?")[0]))
        return InfluxError(
            f"{self.where} redirects to {where}, which is not followed; write in [db] where it really is"
        )

    def _failed(self, message: str) -> InfluxError:
        kind = NoDatabaseError if _NO_DATABASE.search(message) else InfluxError
        return kind(f"{self.where}: {message}")

    def _one_line(self, text: str) -> str:
        """Return what it says in one line, without what we showed: it may repeat all of a request."""
        credential = _authorization(self._db).get("Authorization", "").partition(" ")[2]
        return _one_line(text.replace(credential, "…") if credential else text)

    def _make_context(self) -> ssl.SSLContext:
        """Return what certificates are verified with.

        Raises:
            InfluxError: The file that holds them is of no use.
        """
        try:
            context = ssl.create_default_context(cafile=self._db.cacert)
        except OSError as exc:  # also ssl.SSLError
            reason = "holds no certificates" if isinstance(exc, ssl.SSLError) else exc.strerror
            raise InfluxError(f"[db] cacert: {self._db.cacert}: {reason}") from exc
        if not self._db.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _authorization(db: DbSection) -> dict[str, str]:
    """Return the header that shows the credentials; there is none without token and user.

    Raises:
        AccessError: That is no token, or something went wrong with the file that it is from.
    """
    if db.token is not None:
        if not re.fullmatch(r"[!-~]+", db.token):
            raise AccessError("[db] token: has blanks, or letters beyond ASCII, and so can't be one")
        return {"Authorization": f"Token {db.token}"}
    if db.user is None:
        return {}
    pair = f"{db.user}:{db.password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _message(body: bytes) -> str:
    """Return InfluxDB's words out of the body of an error; empty if it has none for people."""
    text = body.decode(errors="replace")
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        found = msgspec.json.decode(body)
        if isinstance(found, dict):
            text = str(found.get("error") or found.get("message") or text)
            first = next(iter(_rejected_lines(found)), {}).get("error_message")
            text = f"{text}: {first}" if first else text
    return "" if text.lstrip().startswith("<") else text


def _rejected_lines(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what 3.x tells of every line that it did not take."""
    data = answer.get("data")
    return data if isinstance(data, list) and all(isinstance(one, dict) for one in data) else []


def _dropped(body: bytes, message: str) -> int | None:
    """Return how many points were dropped: 1.x and 2.x say `dropped=N`, 3.x lists them."""
    found = _DROPPED.findall(message)
    if found:
        return int(found[-1])
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        answer = msgspec.json.decode(body)
        if isinstance(answer, dict):
            return len(_rejected_lines(answer)) or None
    return None


def _retry_after_s(answer: HTTPResponse) -> float | None:
    """Return what the header of that name says in seconds; a date, which it may be too, is passed over."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), RETRY_AFTER_MAX_S) if re.fullmatch(r"\d{1,9}", text) else None


def _reason(exc: OSError) -> str:
    """Return how the sentence goes on that begins with where."""
    match exc:
        case ssl.SSLCertVerificationError():
            remedy = "name its CA in [db] cacert, or set verify_ssl = no"
            return f" has a certificate that fails: {_one_line(exc.verify_message)}; {remedy}"
        case ssl.SSLError():
            reason = (exc.reason or "no handshake").replace("_", " ").lower()
            return f" does not speak TLS as it should ({reason}); is [db] ssl right?"
        case socket.gaierror():
            return f" cannot be found: its name does not resolve ({exc.strerror})"
        case _:
            return f": {exc.strerror or _one_line(str(exc)) or type(exc).__name__}"


def _quote(name: str) -> str:
    """Return an identifier of InfluxQL."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _one_line(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= ERROR_MAX else f"{line[:ERROR_MAX]}…"
