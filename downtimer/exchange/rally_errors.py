"""Why an iteration of Rally failed: its error, a type and a message of Python's, as one of our causes. Pure.

Only what the error says is taken for known. Many say nothing of the kind, as that a server has the status
ERROR, or that a connection could not be made; then it `failed`.
"""

import re
from collections.abc import Iterable
from typing import Final

from downtimer.verdicts import UNTOLD

_STATUS: Final = re.compile(r"\b(?:HTTP(?:/\d(?:\.\d)?)?|status(?: code)?)[ :=]*([45]\d\d)\b", re.IGNORECASE)
_SIGNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"Connection refused|ECONNREFUSED|Errno 111\b", "refused"),
        (r"Connection reset|ECONNRESET|Errno 104\b|Broken pipe", "reset"),
        (r"RemoteDisconnected|Remote end closed|BadStatusLine|IncompleteRead", "closed"),
        (r"No route to host|EHOSTUNREACH|Errno 113\b", "unreachable"),
        (r"SSLError|SSLFailure|SSL:|certificate verify failed", "tls"),
        (r"ConnectTimeout|connect timeout", "timeout-connect"),
        (r"time[ -]?out|timed out|tired waiting", "timeout-answer"),
    )
)


def cause_of(texts: Iterable[str]) -> str:
    """Return the cause of an error with these texts: the HTTP status, if they name one, before all else."""
    text = "\n".join(texts)
    status = _STATUS.search(text)
    if status is not None:
        return f"http-{status[1]}"
    return next((cause for sign, cause in _SIGNS if sign.search(text)), UNTOLD)
