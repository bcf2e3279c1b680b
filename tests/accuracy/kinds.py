"""The kinds of fault, and what is promised of each. Pure."""

import enum
from dataclasses import dataclass
from typing import Final


class Measure(enum.Enum):
    """What of a fault is compared with the truth."""

    DOWN = enum.auto()  # downtime, from edge to edge
    HANG = enum.auto()  # down and slow time together: who asked shortly before its end was answered late
    SHARE = enum.auto()  # only some requests fail: their share, and the first and the last of them
    QUIET = enum.auto()  # nothing fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: Short, also that of its target.
        title: What is done.
        measure: What is compared.
        timeout_s: A user's patience.
        median_s: The median of the error is promised to be at most this; None for no promise.
        p95_s: Likewise its 95th percentile (of the edges, for `SHARE`).
    """

    name: str
    title: str
    measure: Measure = Measure.DOWN
    timeout_s: float
    median_s: float | None = None
    p95_s: float


def _service(name: str, title: str, *, p95_s: float = 0.3, **more: object) -> Kind:
    return Kind(name=name, title=title, timeout_s=2.0, p95_s=p95_s, **more)  # type: ignore[arg-type]


def _address(name: str, title: str, *, p95_s: float = 0.15, **more: object) -> Kind:
    return Kind(name=name, title=title, timeout_s=1.0, p95_s=p95_s, **more)  # type: ignore[arg-type]


KILLED_KEPT: Final = _service(
    "killed-kept", "killed and restarted, keeps connections", median_s=0.02, p95_s=0.045
)
KILLED_CLOSED: Final = _service("killed-closed", "killed and restarted, closes connections")
HUNG: Final = _service("hung", "hung (SIGSTOP)", measure=Measure.HANG, p95_s=0.45)
DRIPPING: Final = _service("dripping", "a body dripped a byte a second", p95_s=0.45)
RESETTING: Final = _service("resetting", "reset on accept")
BROKEN: Final = _service("broken", "503")
GONE: Final = _service("gone", "404 where 200 was")
EXPIRED: Final = _service("expired", "a certificate that has expired")
PROXIED: Final = _service("proxied", "HAProxy, its only backend killed")
BALANCED: Final = _service("balanced", "HAProxy, one backend of three killed", measure=Measure.SHARE)

DROPPED: Final = _address("dropped", "dropped")
REJECTED: Final = _address("rejected", "rejected by a router")
DELAYED: Final = _address("delayed", "replies 1.3 s late")
MISSENT: Final = _address("missent", "replies from a wrong source")
LOSSY: Final = _address("lossy", "30 % random loss", measure=Measure.SHARE, p95_s=0.3)
DOUBLED: Final = _address("doubled", "duplicated and reordered replies", measure=Measure.QUIET)

SERVICES: Final = (
    KILLED_KEPT,
    KILLED_CLOSED,
    HUNG,
    DRIPPING,
    RESETTING,
    BROKEN,
    GONE,
    EXPIRED,
    PROXIED,
    BALANCED,
)
ADDRESSES: Final = (DROPPED, REJECTED, DELAYED, MISSENT, LOSSY, DOUBLED)

SHARE_POINTS: Final = 3.0
"""So many percentage points the failed share may be off."""
