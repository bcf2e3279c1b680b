"""What was really done to the simulated cloud, and when: recorded by whoever did it.

Instants are CLOCK_BOOTTIME in ns, so they compare with those of any process on this machine; the
record also ties them to UTC once. An edge is a bracket, for no act is instantaneous.
"""

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from downtimer.model import SECOND_NS


def now_ns() -> int:
    """Return CLOCK_BOOTTIME in ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Bracket:
    """An instant known to lie in [earliest_ns, latest_ns], both CLOCK_BOOTTIME."""

    earliest_ns: int
    latest_ns: int

    @property
    def middle_ns(self) -> int:
        """Its midpoint, for tables."""
        return (self.earliest_ns + self.latest_ns) // 2

    def shifted(self, by_ns: int) -> "Bracket":
        """Return it moved by `by_ns`."""
        return Bracket(self.earliest_ns + by_ns, self.latest_ns + by_ns)

    def or_later(self, other: "Bracket") -> "Bracket":
        """Return the later of two instants."""
        return Bracket(
            max(self.earliest_ns, other.earliest_ns),
            max(self.latest_ns, other.latest_ns),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One injected fault of one target.

    Attributes:
        target: The service's name in the catalog, or the address.
        what: What was done: ``kill``, ``stop``, ``mode 503``, ``drop``, ``reject``, …
        start: When it began.
        end: When it was over; None while it lasts.
        accepting: From when on requests were taken though not yet answered, so that a patient
            client's succeeds; None if there was no such time.
        partial: Whether only some requests fail in it, so that it is no outage from edge to edge.
    """

    target: str
    what: str
    start: Bracket
    end: Bracket | None = None
    accepting: Bracket | None = None
    partial: bool = False

    def down(self, timeout_s: float) -> tuple[Bracket, Bracket] | None:
        """Return the edges of the outage that a client of that patience must see.

        Down at t means that a request issued at t fails. One that hangs succeeds if the answer
        comes within the timeout, so a hang ends for such clients one timeout before it ends.

        Args:
            timeout_s: How long the client waits.

        Returns:
            None if no request failed, or only some did, or the fault still lasts.
        """
        if self.end is None or self.partial:
            return None
        end = self.end
        if self.accepting is not None:
            end = self.accepting.or_later(end.shifted(-round(timeout_s * SECOND_NS)))
        return (self.start, end) if end.latest_ns > self.start.earliest_ns else None

    def seconds(self, timeout_s: float) -> tuple[float, float]:
        """Return the least and the most seconds that `down` allows; zeros if nothing failed."""
        edges = self.down(timeout_s)
        if edges is None:
            return 0.0, 0.0
        start, end = edges
        least = max(0, end.earliest_ns - start.latest_ns)
        return least / SECOND_NS, (end.latest_ns - start.earliest_ns) / SECOND_NS


class Truth:
    """The record of all faults. Any thread may write to it."""

    def __init__(self) -> None:
        before_ns = now_ns()
        self.origin_utc_ns = time.time_ns()
        self.origin_boot_ns = (before_ns + now_ns()) // 2
        self._lock = threading.Lock()
        self._over: list[Fault] = []
        self._open: dict[str, Fault] = {}

    @property
    def faults(self) -> list[Fault]:
        """All faults in order of their beginning, those that last included."""
        with self._lock:
            return sorted([*self._over, *self._open.values()], key=lambda fault: fault.start.earliest_ns)

    @property
    def lasting(self) -> list[Fault]:
        """The faults that are not over."""
        with self._lock:
            return list(self._open.values())

    def begin(self, fault: Fault) -> None:
        """Record that a fault began. One of the same target that lasts is ended by it, at its start."""
        self.end(fault.target, fault.start)
        with self._lock:
            self._open[fault.target] = fault

    def end(self, target: str, end: Bracket, *, accepting: Bracket | None = None) -> None:
        """Record that the fault of `target` is over; nothing if it has none.

        Args:
            target: Whose.
            end: When.
            accepting: From when on requests were taken, if that was earlier than `end`.
        """
        with self._lock:
            fault = self._open.pop(target, None)
            if fault is not None:
                self._over.append(replace(fault, end=end, accepting=accepting or fault.accepting))

    def of(self, target: str) -> list[Fault]:
        """Return the faults of one target."""
        return [fault for fault in self.faults if fault.target == target]

    def down_s(self, target: str, timeout_s: float) -> tuple[float, float]:
        """Return the least and the most seconds for which a client saw `target` down, in all."""
        bounds = [fault.seconds(timeout_s) for fault in self.of(target)]
        return sum(low for low, _ in bounds), sum(high for _, high in bounds)

    def utc(self, boot_ns: int) -> datetime:
        """Return an instant of the record in UTC, by the tie made when the record was begun."""
        utc_ns = self.origin_utc_ns + boot_ns - self.origin_boot_ns
        return datetime.fromtimestamp(utc_ns / SECOND_NS, tz=UTC)

    def to_json(self) -> list[dict[str, object]]:
        """Return the record as JSON has it: instants as pairs of ns, and the middle in UTC."""
        return [
            {
                "target": fault.target,
                "what": fault.what,
                "start_ns": _pair(fault.start),
                "end_ns": _pair(fault.end),
                "accepting_ns": _pair(fault.accepting),
                "partial": fault.partial,
                "start": self.utc(fault.start.middle_ns).isoformat(),
                "end": None if fault.end is None else self.utc(fault.end.middle_ns).isoformat(),
            }
            for fault in self.faults
        ]


def _pair(bracket: Bracket | None) -> tuple[int, int] | None:
    return None if bracket is None else (bracket.earliest_ns, bracket.latest_ns)
