"""Does InfluxDB take points, and give them back? One of a measurement of its own, which is removed again."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Final

from downtimer.doctor.finding import Finding, fail, ok, warn
from downtimer.errors import StoreError
from downtimer.sections import DbSection
from downtimer.store.influxclient import Client
from downtimer.store.sink import InfluxSink

NAME: Final = "influxdb"
MEASUREMENT: Final = "downtimer_doctor"
_REQUEST_S: Final = 2.5
_TRIES: Final = 3
_AGAIN_S: Final = 0.2


def examine(db: DbSection) -> Iterator[Finding]:
    """Write a point, read it back, remove it.

    Args:
        db: With its secrets.
    """
    word = secrets.token_hex(8)
    with contextlib.closing(InfluxSink(db, request_s=_REQUEST_S)) as sink:
        try:
            sink.write(f"{MEASUREMENT},word={word} value=1i {time.time_ns()}\n")
        except StoreError as exc:
            yield fail(NAME, str(exc), "the measurement goes on without; its points wait in the journal")
            return
    with contextlib.closing(Client(db, request_s=_REQUEST_S)) as client:
        yield _read_back(client, word)
        try:
            client.delete(MEASUREMENT, "word", word)
        except StoreError as exc:
            yield warn(NAME, f"the point of this check stays there, in measurement {MEASUREMENT}: {exc}")


def _read_back(client: Client, word: str) -> Finding:
    """Look for the point; some stores take a moment to show it."""
    query = f'SELECT "value" FROM "{MEASUREMENT}" WHERE "word" = \'{word}\''  # noqa: S608 - all of it is ours
    why = "it is not found"
    for _ in range(_TRIES):
        try:
            if any(series["values"] for series in client.query(query)):
                return ok(
                    NAME, f"{client.where} took a point in database {client.database}, and gave it back"
                )
        except StoreError as exc:
            why = str(exc)
            break
        time.sleep(_AGAIN_S)
    return warn(
        NAME,
        f"{client.where} took a point, but does not give it back: {why}",
        "`report --from influxdb` will not work; reports from the journal do",
    )
