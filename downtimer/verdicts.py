"""Whose fault is it? The closed list of causes, each with its verdict, and how answers are judged.

Pure. Every probe that is not *up* or *slow* bears one of these causes; a cause that is not in the
table does not exist. What needs another target's spans to be judged (``vantage``, ``keystone``)
is in the table too, but applied by the code that reads spans, never by a worker.

====================  =======  =====================================================================
cause                 verdict  when
====================  =======  =====================================================================
refused               down     the connection was refused
reset                 down     the connection was reset
closed                down     the server closed the connection before its answer was complete
timeout-connect       down     no connection by the deadline
timeout-tls           down     connected, but the TLS handshake was not over by the deadline
timeout-answer        down     asked, but no complete head of an answer by the deadline
timeout-body          down     the head came, but not all of the body by the deadline
no-reply              down     no echo reply by the deadline
unreachable           down     an ICMP error, or EHOSTUNREACH: the neighbour of our host does not answer
tls                   down     the TLS handshake failed: protocol or certificate
dns                   down     the name does not exist (an authoritative no)
http-NNN              down     an answer with that status which is no good one
http-503-keystone     down     503, and it says that it cannot reach Keystone
malformed             down     an answer that is not HTTP
failed                down     it failed, and no more is known; in runs that others measured only
send                  unknown  our host could not send (ENOBUFS, EMFILE, ENOMEM, EPERM, EADDRNOTAVAIL, …)
no-route              unknown  our host has no route (ENETUNREACH, ENETDOWN, EAFNOSUPPORT)
resolver              unknown  the resolver failed, and no earlier address is known
stall                 unknown  our own process was held up
restart               unknown  our own process was being restarted
suspended             unknown  our host was suspended
paused                unknown  the user paused the measurement
unlisted              unknown  no list had the address for a while, so it was not probed; or no list of agents
                               could be had
vantage               unknown  our own link was down (attribution)
keystone              unknown  the fault is Keystone's, measured on its own line (attribution)
token                 unknown  our token, or our password, was not accepted; or we have no token
throttled             unknown  429: the service protects itself from us
pending               unknown  another call to the service hangs, so this one was not made
bug                   unknown  a defect of downtimer; its log has the traceback
====================  =======  =====================================================================
"""

import enum
import errno
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from downtimer.model import LOGIN, MILLISECOND_NS, SECOND_NS, WORKS, Verdict

CAUSES: Final[Mapping[str, Verdict]] = MappingProxyType(
    dict.fromkeys(
        [
            "refused",
            "reset",
            "closed",
            "timeout-connect",
            "timeout-tls",
            "timeout-answer",
            "timeout-body",
            "no-reply",
            "unreachable",
            "tls",
            "dns",
            "malformed",
            "failed",
            "http-503-keystone",
        ],
        Verdict.DOWN,
    )
    | dict.fromkeys(
        [
            "send",
            "no-route",
            "resolver",
            "stall",
            "restart",
            "suspended",
            "paused",
            "unlisted",
            "vantage",
            "keystone",
            "token",
            "throttled",
            "pending",
            "bug",
        ],
        Verdict.UNKNOWN,
    )
)
"""Every cause but the family ``http-NNN``, which is down."""

HELD_UP: Final = "stall"
"""Our own process was held up. Borne by a good answer, too, if that leaves open how soon it came."""

THROTTLED: Final = "throttled"
"""The service protects itself from us, and is not asked fast."""

KEPT: Final = "pending"
"""Another call to the service hangs, and no second one is made."""

TOKEN: Final = "token"  # noqa: S105 - a cause
"""Our token or our password was not accepted."""

UNTOLD: Final = "failed"
"""It failed, and whoever measured it has not told how."""

NO_KEYSTONE: Final = "http-503-keystone"
"""The service says that it can't reach Keystone."""

KEYSTONES: Final = frozenset({TOKEN, NO_KEYSTONE, "http-401"})
"""Causes of a *works* check that are Keystone's fault if Keystone itself was failing then."""


class Family(enum.Enum):
    """Causes that may stand in one span together."""

    NONE = enum.auto()
    KEYSTONES = enum.auto()  # see `KEYSTONES`
    OTHER = enum.auto()


def family_of(cause: str | None) -> Family:
    """Return the family of a cause; None is no cause."""
    if cause is None:
        return Family.NONE
    return Family.KEYSTONES if cause in KEYSTONES else Family.OTHER


BASELINE_ANSWERS: Final = 20
"""The median latency of so many good answers is a check's own normal."""

SLOW_LEAST_NS: Final = 200 * MILLISECOND_NS
"""No good answer that comes sooner is slow."""

SLOW_LEAST_CALL_NS: Final = SECOND_NS
"""Likewise of a call that shows who we are: a worker's first use of a token takes 0.3–0.8 s."""

_SLOW_BASELINES: Final = 5
_HTTP_CAUSE = re.compile(r"http-[1-9]\d\d")

_ERRNO_CAUSES: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.ECONNREFUSED: "refused",
        errno.ECONNRESET: "reset",
        errno.EPIPE: "reset",
        errno.ECONNABORTED: "reset",
        errno.ENOTCONN: "reset",
        errno.EHOSTUNREACH: "unreachable",
        errno.EHOSTDOWN: "unreachable",
        errno.ENETUNREACH: "no-route",
        errno.ENETDOWN: "no-route",
        errno.EAFNOSUPPORT: "no-route",
        errno.ENOBUFS: "send",
        errno.EMFILE: "send",
        errno.ENFILE: "send",
        errno.ENOMEM: "send",
        errno.EPERM: "send",
        errno.EACCES: "send",
        errno.EADDRNOTAVAIL: "send",
        errno.EADDRINUSE: "send",
        errno.EAGAIN: "send",
        errno.EINVAL: "send",
        errno.ENODEV: "send",
    }
)

_REMOTE_CAUSES: Final[Mapping[int, str]] = MappingProxyType(
    dict.fromkeys(
        (errno.ENETUNREACH, errno.EACCES, errno.ENOPROTOOPT, errno.ENONET, errno.EPROTO), "unreachable"
    )
)
"""What the kernel makes of an ICMP error, where it means something else if our own host says it."""


def verdict_of(cause: str) -> Verdict:
    """Return the verdict that `cause` stands for.

    Raises:
        KeyError: `cause` is not in the table.
    """
    if _HTTP_CAUSE.fullmatch(cause):
        return Verdict.DOWN
    return CAUSES[cause]


def slow_after_ns(check: str, baseline_ns: int) -> int:
    """Return the latency beyond which a good answer is slow, by the check's own normal."""
    least_ns = SLOW_LEAST_CALL_NS if check in (WORKS, LOGIN) else SLOW_LEAST_NS
    return max(_SLOW_BASELINES * baseline_ns, least_ns)


def is_hang(cause: str) -> bool:
    """Tell whether a probe with this cause ran into its deadline instead of failing at once."""
    return cause == "no-reply" or cause.startswith("timeout-")


def may_be_ours(cause: str) -> bool:
    """Tell whether a probe may fail like this because our own process was held up meanwhile.

    What runs into a deadline may; so may a connection that the other side gave up while it waited
    for us, also if it said so (408). A refusal, an ICMP error or an answer is the other side's own word.
    """
    return is_hang(cause) or cause in ("reset", "closed", "http-408")


def may_be_our_links(cause: str) -> bool:
    """Tell whether a probe may fail like this because our own link was down meanwhile.

    A silence may, or a connection that was given up, and a neighbour that is not found. All else is the
    other side's word.
    """
    return is_hang(cause) or cause in ("reset", "closed", "unreachable")


def cause_of_errno(number: int | None, *, remote: bool = False) -> str:
    """Return the cause of a failed system call; ``bug`` for one that no probe should meet.

    Args:
        number: The errno.
        remote: The error came later, from the network: ENETUNREACH is a router's word then, which
            is *unreachable*, and not that of our own routing table.
    """
    number = number or 0
    return (_REMOTE_CAUSES.get(number) if remote else None) or _ERRNO_CAUSES.get(number, "bug")


def judge_status(status: int, first_class: int | None) -> str | None:
    """Judge the HTTP status of an answer that came in time.

    Args:
        status: 100–599.
        first_class: Hundreds of this check's first answer below 500, None if this is the first.

    Returns:
        None if the answer is good, else its cause. A 4xx is good only where the run's first
        answer was one too; where that was 2xx or 3xx, the application is gone.
    """
    if status == 429:
        return THROTTLED
    if status >= 500:
        return f"http-{status}"
    if status // 100 == 4 and first_class in (2, 3):
        return f"http-{status}"
    return None


def judge_call(status: int, *, is_sure: bool) -> str | None:
    """Judge the HTTP status of the answer to a call that shows who we are.

    Args:
        status: 100–599.
        is_sure: What we show is certainly good, so that who refuses it is at fault.

    Returns:
        None if the answer is good, which 2xx alone are, else its cause.
    """
    if status // 100 == 2:
        return None
    if status == 429:
        return THROTTLED
    return TOKEN if status == 401 and not is_sure else f"http-{status}"


def is_unfit(status: int) -> bool:
    """Tell whether such an answer, when first seen, means that the call is not for us or not known there."""
    return 300 <= status < 500 and status not in (401, 408, 429)


def names_keystone(body: bytes) -> bool:
    """Tell whether the body of a 503 says that it is for want of Keystone (as keystonemiddleware's does)."""
    return b"keystone" in body.lower()
