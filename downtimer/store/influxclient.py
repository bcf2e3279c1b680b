"""InfluxDB's HTTP interface, version 1, through its client; what it raises becomes ours here.

The client makes one attempt a request and nothing on its own account: no proxy and no .netrc from
the environment. Errors are one line, without credentials. Import this only where InfluxDB is
configured: the client's imports cost a fifth of a second and 20 MB.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import requests
from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError, InfluxDBServerError

from downtimer.config import DbSection
from downtimer.errors import StoreError

CONNECT_S: Final = 4.0
ANSWER_S: Final = 6.0
"""With the former, ten seconds for a request."""

QUERY_S: Final = 60.0
ROWS_MAX: Final = 10_000
"""In one piece of an answer; bounds the memory of a query."""

ERROR_MAX: Final = 300
_JSON: Final = {"Accept": "application/json"}  # msgpack, the client's default, is not taken in pieces


class InfluxError(StoreError):
    """InfluxDB can't be reached or fails; it may be better later."""


class AccessError(InfluxError):
    """InfluxDB rejects the credentials, or lets them do too little."""


class NoDatabaseError(InfluxError):
    """The database does not exist."""


class RejectedError(StoreError):
    """InfluxDB will not take these points, now or ever; at least one of them is to blame.

    Attributes:
        dropped: How many it says that it dropped (the others it took); None if it does not say.
    """

    def __init__(self, message: str, dropped: int | None) -> None:
        super().__init__(message)
        self.dropped = dropped


class Client:
    """A connection to the configured database. One thread owns it."""

    def __init__(self, db: DbSection, *, answer_s: float = ANSWER_S) -> None:
        self.where = f"InfluxDB at {db.host}:{db.port}"
        self.database = db.name
        session = requests.Session()
        session.trust_env = False
        self._client = InfluxDBClient(
            host=f"[{db.host}]" if ":" in db.host else db.host,
            port=db.port,
            username=db.user,
            password=None if db.user is None else db.password or "",
            database=db.name,
            ssl=db.ssl,
            verify_ssl=db.verify_ssl,
            timeout=(CONNECT_S, answer_s),
            retries=1,
            session=session,
        )

    def write(self, text: str) -> None:
        """Write points, a line each.

        Raises:
            RejectedError: Some of them are not to be had.
            InfluxError: None was written, or nobody knows; write them again later.
        """
        with self._translated():
            self._client.write([text], {"db": self.database, "precision": "ns"}, protocol="line")

    def create_database(self) -> None:
        """Create the database; no harm if it is there.

        Raises:
            InfluxError: It can't be created.
        """
        with self._translated():
            self._client.create_database(self.database)

    def query(self, query: str) -> Iterator[dict[str, Any]]:
        """Yield the series of an answer, each in pieces of at most `ROWS_MAX` rows.

        Raises:
            InfluxError: There is no answer, or it breaks off.
        """
        params = {"db": self.database, "q": query, "epoch": "ns", "chunked": "true", "chunk_size": ROWS_MAX}
        with self._translated():
            response = self._client.request("query", params=params, stream=True, headers=_JSON)
            with contextlib.closing(response):
                for line in response.iter_lines(chunk_size=1 << 16):
                    if line:
                        yield from self._series(line)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _series(self, line: bytes) -> Iterator[dict[str, Any]]:
        answer = msgspec.json.decode(line)
        for result in (answer, *answer.get("results", ())):
            if "error" in result:
                raise self._failed(str(result["error"]))
        for result in answer["results"]:
            yield from result.get("series", ())

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except requests.exceptions.Timeout as exc:
            raise InfluxError(f"{self.where} does not answer in time") from exc
        except (requests.exceptions.RequestException, OSError) as exc:
            raise InfluxError(f"{self.where}: {_reason(exc)}") from exc
        except InfluxDBServerError as exc:
            raise InfluxError(f"{self.where} failed: {_one_line(str(exc))}") from exc
        except InfluxDBClientError as exc:
            raise self._refused(exc.code, _message(exc.content)) from exc
        except (msgspec.DecodeError, KeyError, AttributeError) as exc:
            raise InfluxError(f"{self.where} gave an answer that is none of InfluxDB's") from exc

    def _refused(self, code: int | None, message: str) -> StoreError:
        text = f"{self.where}: {message}"
        if code in (401, 403):
            return AccessError(f"{self.where} rejects the credentials of [db]: {message}")
        if code == 404:
            return self._failed(message)
        if code in (400, 413, 422):
            return RejectedError(text, _dropped(message))
        return InfluxError(f"{text} (HTTP {code})")

    def _failed(self, message: str) -> InfluxError:
        kind = NoDatabaseError if "database not found" in message else InfluxError
        return kind(f"{self.where}: {message}")


def _message(content: object) -> str:
    """Return InfluxDB's words out of the body of an error."""
    text = str(content)
    with contextlib.suppress(msgspec.DecodeError):
        body = msgspec.json.decode(text)
        if isinstance(body, dict):
            text = str(body.get("error") or body.get("message") or text)
    return _one_line(text)


def _dropped(message: str) -> int | None:
    """Return the number that `partial write: … dropped=N` ends with."""
    _, found, number = message.rpartition("dropped=")
    return int(number) if found and number.isdecimal() else None


def _reason(exc: BaseException) -> str:
    """Return the operating system's word for it, which is the deepest in a chain of library errors."""
    seen: BaseException | None = exc
    reason = type(exc).__name__
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            reason = seen.strerror
        seen = seen.__cause__ or seen.__context__
    return _one_line(reason)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= ERROR_MAX else f"{line[:ERROR_MAX]}…"
