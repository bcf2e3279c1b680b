"""The exchanges of the ``influxdb`` client, made by our bounded connection instead of urllib3's.

requests lets a session have transports of its own; this is one. What is no good answer is raised here,
before requests or the client make something of it. Import this only where InfluxDB is configured: it costs a
fifth of a second and 20 MB.
"""

import io
from collections.abc import Callable, Mapping
from http.client import HTTPResponse
from typing import Any, Final

import requests
from influxdb import InfluxDBClient
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

import downtimer
from downtimer.errors import StoreError
from downtimer.sections import DbSection
from downtimer.store.boundedhttp import Connection

BODY_MAX: Final = 64 << 10
"""Bytes of an answer that is read at once: an error, or that a database was made."""

_WRITE: Final = "/write?"

Refusal = Callable[[HTTPResponse, bytes], StoreError]
"""Makes an error of an answer that is no good one, and of its body."""


class Transport(BaseAdapter):
    """Makes exchanges over one connection. One thread owns it.

    Args:
        connection: To InfluxDB.
        within_s: The deadline of an exchange.
        credentials: Makes the headers that show who we are.
        refusal: Makes the error of an answer that is no good one.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        within_s: float,
        credentials: Callable[[], Mapping[str, str]],
        refusal: Refusal,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._within_s = within_s
        self._credentials = credentials
        self._refusal = refusal

    def send(  # type: ignore[override]  # of what else requests passes nothing is of use here
        self,
        request: requests.PreparedRequest,
        *,
        stream: bool = False,
        **_: Any,  # noqa: ANN401 - as requests has it
    ) -> requests.Response:
        """Make an exchange. A body that is to be streamed is left in the answer, which is the raw response.

        Raises:
            StoreError: The answer is no good one, or the credentials can't be any.
            OSError: There is none; as of `Connection.ask`, with all else that raises.
        """
        body = request.body or b""
        answer = self._connection.ask(
            request.method or "GET",
            request.path_url,
            within_s=self._within_s,
            headers={**request.headers, **self._credentials()},
            body=body if isinstance(body, bytes) else body.encode(),
        )
        if answer.status != (204 if request.path_url.startswith(_WRITE) else 200):
            raise self._refusal(answer, self._connection.read(answer, BODY_MAX))
        response = requests.Response()
        response.status_code = answer.status
        response.request = request
        response.headers = CaseInsensitiveDict(answer.headers.items())
        response.raw = answer if stream else io.BytesIO(self._connection.read(answer, BODY_MAX))
        return response

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def make_client(db: DbSection, transport: Transport) -> InfluxDBClient:
    """Return a client of the configured database whose exchanges are made by this transport, once each."""
    session = requests.Session()
    session.trust_env = False
    session.headers = CaseInsensitiveDict({"User-Agent": f"downtimer/{downtimer.__version__}"})
    client = InfluxDBClient(
        host=f"[{db.host}]" if ":" in db.host else db.host,
        port=db.port,
        username=None,
        password=None,
        database=db.name,
        ssl=db.ssl,
        retries=1,
        session=session,
        headers={"Accept": "application/json"},
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, transport)
    return client
