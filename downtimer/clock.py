"""The run's clock: CLOCK_BOOTTIME, tied to UTC once, when the run starts.

Every process of a run has the same tie and reads the same kernel clock, so instants from different
processes compare. CLOCK_BOOTTIME never steps and counts through a suspend. The wall clock is read
once for the tie, and after that only to notice that it was stepped.

CLOCK_MONOTONIC stands still in a suspend; what the other gains on it is how long the host slept.

The system's clocks come in through `Source`, the seam by which tests step, suspend and reboot.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from downtimer.model import MILLISECOND_NS, SECOND_NS, Run

STEP_NS: Final = MILLISECOND_NS
"""If the wall clock moved by more against the other between two batches of stamps, it was stepped."""

_TRIES: Final = 5
_WAITING_NS: Final = 2 * SECOND_NS  # for so long a message may have waited to be read
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Source(Protocol):
    """Where time comes from."""

    def boot_ns(self) -> int:
        """Return CLOCK_BOOTTIME in ns."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in ns."""

    def utc_ns(self) -> int:
        """Return CLOCK_REALTIME in ns since the epoch."""

    def cpu_ns(self) -> int:
        """Return how long the calling thread has run, in ns."""

    def boot_id(self) -> str:
        """Return what tells one boot of the kernel from another."""


class SystemSource:
    """The kernel's clocks."""

    def boot_ns(self) -> int:
        """Return CLOCK_BOOTTIME in ns."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in ns."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def utc_ns(self) -> int:
        """Return CLOCK_REALTIME in ns since the epoch."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME)

    def cpu_ns(self) -> int:
        """Return CLOCK_THREAD_CPUTIME_ID in ns."""
        return time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID)

    def boot_id(self) -> str:
        """Return the kernel's random id of this boot."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


SYSTEM = SystemSource()


@dataclass(frozen=True, slots=True)
class Anchor:
    """The tie between a run's instants, CLOCK_BOOTTIME and UTC.

    Attributes:
        boot_origin_ns: CLOCK_BOOTTIME at the run's instant 0, in this boot.
        start_utc_ns: UTC at the run's instant 0.
        boot_id: The boot in which `boot_origin_ns` holds.
    """

    boot_origin_ns: int
    start_utc_ns: int
    boot_id: str


def tie(source: Source = SYSTEM) -> Anchor:
    """Tie a new run to UTC: instant 0 is now.

    The wall clock is read between two readings of the other and laid at their middle.
    """
    before = source.boot_ns()
    utc = source.utc_ns()
    after = source.boot_ns()
    return Anchor((before + after) // 2, utc, source.boot_id())


def tie_again(run: Run, last_ns: int, source: Source = SYSTEM) -> Anchor:
    """Return the tie with which a cut-off run goes on.

    In the same boot it is the old one. After a reboot CLOCK_BOOTTIME began anew: the run goes on
    from UTC, yet never before `last_ns`, its last stored instant (the wall clock may be behind).
    """
    now = tie(source)
    if now.boot_id == run.boot_id:
        return Anchor(run.boot_origin_ns, run.start_utc_ns, run.boot_id)
    elapsed_ns = max(now.start_utc_ns - run.start_utc_ns, last_ns)
    return Anchor(now.boot_origin_ns - elapsed_ns, run.start_utc_ns, now.boot_id)


class RunClock:
    """Reads a run's instants."""

    def __init__(self, anchor: Anchor, source: Source = SYSTEM) -> None:
        self.anchor = anchor
        self._source = source
        offset_ns, is_sharp = self._wall_offset_ns()
        self._sharp_offset_ns = offset_ns if is_sharp else None  # of the wall clock, when last asked

    def now_ns(self) -> int:
        """Return the instant: ns since the start of the run."""
        return self._source.boot_ns() - self.anchor.boot_origin_ns

    def slept_ns(self) -> int:
        """Return for how long the host has been suspended, all in all since it was booted.

        The clocks are read again if we were held up between them.
        """
        return _offset_ns(self._source.boot_ns, self._source.monotonic_ns)[0]

    def cpu_ns(self) -> int:
        """Return how long the calling thread has run."""
        return self._source.cpu_ns()

    def wall_step_ns(self) -> int:
        """Return how far the wall clock was stepped since the last call (slewing shows as little).

        The clocks are read again if we were held up between them; if we always were, it is 0.
        """
        offset_ns, is_sharp = self._wall_offset_ns()
        if not is_sharp:
            return 0
        before_ns, self._sharp_offset_ns = self._sharp_offset_ns, offset_ns
        return 0 if before_ns is None else offset_ns - before_ns

    def realtime_zero_ns(self) -> int:
        """Return the instant of CLOCK_REALTIME's zero, as the clocks stand now.

        The clocks are read again if we were held up between them.
        """
        offset_ns, _ = self._wall_offset_ns()
        return -offset_ns - self.anchor.boot_origin_ns

    def _wall_offset_ns(self) -> tuple[int, bool]:
        return _offset_ns(self._source.utc_ns, self._source.boot_ns)


def _offset_ns(one: Callable[[], int], other: Callable[[], int]) -> tuple[int, bool]:
    """Return how far one clock is ahead of another, and whether that is sharp.

    They are read again if we were held up between them; it is not sharp if we always were.
    """
    for _ in range(_TRIES):
        before_ns = other()
        one_ns = one()
        other_ns = other()
        if other_ns - before_ns <= MILLISECOND_NS:
            return one_ns - other_ns, True
    return one_ns - other_ns, False


class Batch(NamedTuple):
    """How the kernel's stamps (CLOCK_REALTIME) of one batch of messages become instants.

    Attributes:
        now_ns: The instant; no stamp is later.
        zero_ns: The instant of CLOCK_REALTIME's zero.
        is_sure: The wall clock was not stepped shortly before; else it is not known which of the
            stamps are from before that.
    """

    now_ns: int
    zero_ns: int
    is_sure: bool

    def instant_ns(self, stamp_ns: int, sent_ns: int) -> int:
        """Return the instant of a stamp on the answer to what was sent at `sent_ns`."""
        at_ns = self.zero_ns + stamp_ns
        if self.is_sure and at_ns <= self.now_ns:
            return at_ns
        return max(min(at_ns, self.now_ns), sent_ns)


class Stamps:
    """Converts the kernel's receive stamps, a batch at a time."""

    def __init__(self, clock: RunClock) -> None:
        self._clock = clock
        self._zero_ns = clock.realtime_zero_ns()
        self._sure_from_ns = 0

    def batch(self) -> Batch:
        """Return how to convert the stamps of messages that were received before this call."""
        before_ns, self._zero_ns = self._zero_ns, self._clock.realtime_zero_ns()
        now_ns = self._clock.now_ns()
        if abs(self._zero_ns - before_ns) > STEP_NS:
            self._sure_from_ns = now_ns + _WAITING_NS
        return Batch(now_ns, self._zero_ns, now_ns >= self._sure_from_ns)


def to_utc(start_utc_ns: int, at_ns: int) -> datetime:
    """Return the UTC of a run's instant, to the nearest microsecond, as reports give it."""
    return _EPOCH + timedelta(microseconds=(start_utc_ns + at_ns + 500) // 1000)


def format_utc(at: datetime) -> str:
    """Return an instant in RFC 3339, UTC, with microseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
