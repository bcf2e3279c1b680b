"""Instants as text: RFC 3339 in UTC, to the nanosecond. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from downtimer.model import SECOND_NS

_TEXT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-]\d\d:\d\d))", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str) -> int:
    """Return the instant that a text names, in ns since the epoch.

    Raises:
        ValueError: It is none.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"not an instant like 2026-11-26T19:00:00.5Z: {text!r:.60}")
    date, time, fraction, utc, offset = found.groups()
    try:
        at = datetime.fromisoformat(f"{date}T{time}{'+00:00' if utc else offset}")
    except ValueError as exc:
        raise ValueError(f"no such instant: {text!r:.60}") from exc
    return (at - _EPOCH) // timedelta(seconds=1) * SECOND_NS + int((fraction or "").ljust(9, "0"))


def render(utc_ns: int) -> str:
    """Return an instant as text, with nine decimals."""
    whole_s, fraction_ns = divmod(utc_ns, SECOND_NS)
    return f"{_EPOCH + timedelta(seconds=whole_s):%Y-%m-%dT%H:%M:%S}.{fraction_ns:09d}Z"
