"""The table of causes: every row of the documentation, every errno, every status."""

import errno
import re

import pytest

from downtimer import verdicts
from downtimer.model import MILLISECOND_NS, Verdict
from downtimer.verdicts import (
    CAUSES,
    cause_of_errno,
    is_hang,
    is_unfit,
    judge_call,
    judge_status,
    names_keystone,
    slow_after_ns,
    verdict_of,
)

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


@pytest.mark.parametrize(
    ("status", "is_sure", "cause"),
    [
        (200, False, None),
        (201, True, None),
        (204, False, None),
        (300, False, "http-300"),
        (401, False, "token"),
        (401, True, "http-401"),
        (403, False, "http-403"),
        (404, True, "http-404"),
        (429, True, "throttled"),
        (500, False, "http-500"),
        (503, True, "http-503"),
    ],
)
def test_status_of_a_call(status: int, *, is_sure: bool, cause: str | None) -> None:
    """Only 2xx is good; a refused token is the service's fault only if it is good for sure."""
    assert judge_call(status, is_sure=is_sure) == cause


@pytest.mark.parametrize(
    ("status", "unfit"), [(200, False), (300, True), (401, False), (403, True), (404, True)]
)
def test_answer_that_means_that_a_call_is_not_for_us(status: int, *, unfit: bool) -> None:
    assert is_unfit(status) is unfit
    assert not any(is_unfit(other) for other in (408, 429, 500, 503))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"The Keystone service is temporarily unavailable.", True),
        (b'{"message": "The Keystone service is temporarily unavailable.", "code": "503"}', True),
        (b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available.\n</body></html>", False),
        (b"", False),
    ],
)
def test_body_that_names_keystone(body: bytes, *, named: bool) -> None:
    assert names_keystone(body) is named


@pytest.mark.parametrize(
    ("check", "baseline_ms", "slow_ms"),
    [
        ("answers", 10, 200),
        ("answers", 100, 500),
        ("works", 10, 1000),
        ("login", 300, 1500),
        ("icmp", 1, 200),
    ],
)
def test_slow_is_five_baselines_and_never_too_soon(check: str, baseline_ms: int, slow_ms: int) -> None:
    assert slow_after_ns(check, baseline_ms * MILLISECOND_NS) == slow_ms * MILLISECOND_NS
