"""The table of causes: every row of the documentation, every errno, every status."""

import errno
import re

import pytest

from downtimer import verdicts
from downtimer.model import Verdict
from downtimer.verdicts import CAUSES, cause_of_errno, is_hang, judge_status, verdict_of

ROWS = re.findall(r"^([a-zN0-9-]+) +(down|unknown) +\S", verdicts.__doc__ or "", re.MULTILINE)


def test_documentation_lists_every_cause_and_no_other() -> None:
    """The table that readers see is the table that is in force."""
    documented = {cause: Verdict(verdict) for cause, verdict in ROWS}
    assert documented.pop("http-NNN") is Verdict.DOWN
    assert documented == dict(CAUSES)


@pytest.mark.parametrize(("cause", "verdict"), ROWS)
def test_row_of_the_table(cause: str, verdict: str) -> None:
    """Each row, as documented."""
    assert verdict_of(cause.replace("NNN", "503")) == verdict


@pytest.mark.parametrize("cause", ["", "http-", "http-99", "http-0404", "http-5xx", "timeout", "up"])
def test_what_is_not_in_the_table_does_not_exist(cause: str) -> None:
    """A cause is never made up."""
    with pytest.raises(KeyError):
        verdict_of(cause)


@pytest.mark.parametrize(
    ("number", "own", "remote"),
    [
        (errno.ECONNREFUSED, "refused", "refused"),
        (errno.ECONNRESET, "reset", "reset"),
        (errno.EPIPE, "reset", "reset"),
        (errno.EHOSTUNREACH, "unreachable", "unreachable"),
        (errno.ENETUNREACH, "no-route", "unreachable"),
        (errno.EACCES, "send", "unreachable"),
        (errno.ENETDOWN, "no-route", "no-route"),
        (errno.EAFNOSUPPORT, "no-route", "no-route"),
        (errno.ENOBUFS, "send", "send"),
        (errno.EMFILE, "send", "send"),
        (errno.ENOMEM, "send", "send"),
        (errno.EPERM, "send", "send"),
        (errno.EADDRNOTAVAIL, "send", "send"),
        (errno.EISDIR, "bug", "bug"),
        (None, "bug", "bug"),
    ],
)
def test_errno(number: int | None, own: str, remote: str) -> None:
    """The same errno may be our own host's word or a router's."""
    assert cause_of_errno(number) == own
    assert cause_of_errno(number, remote=True) == remote


@pytest.mark.parametrize(
    ("status", "first_class", "cause"),
    [
        (200, None, None),
        (300, 2, None),
        (204, 4, None),
        (401, None, None),
        (404, 4, None),
        (404, 2, "http-404"),
        (401, 3, "http-401"),
        (429, None, "throttled"),
        (429, 2, "throttled"),
        (500, None, "http-500"),
        (503, 4, "http-503"),
    ],
)
def test_status(status: int, first_class: int | None, cause: str | None) -> None:
    """A 4xx is good only where the run's first answer was one, too."""
    assert judge_status(status, first_class) == cause


def test_hangs_are_the_timeouts() -> None:
    """What ran into its deadline, and nothing else, is a hang."""
    hangs = {cause for cause in CAUSES if is_hang(cause)}
    assert hangs == {"timeout-connect", "timeout-tls", "timeout-answer", "timeout-body", "no-reply"}
