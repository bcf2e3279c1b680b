"""What the api worker puts on record in detail, beside the spans.

Of a service each probe, for InfluxDB, and the latencies of a window, for the journal; of an address
the round trips of a window, for InfluxDB.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from downtimer.messages import LATENCY_WINDOW_NS, LatencyWindow, Sample
from downtimer.model import TargetId, Verdict
from downtimer.verdicts import verdict_of
from downtimer.workers.outbox import Outbox
from downtimer.workers.talk import Result
from downtimer.workers.windows import RoundTrips

WINDOW_NS: Final = LATENCY_WINDOW_NS
"""How long a window of a service is; one of an address is as long, or a few of them."""


class Record(Protocol):
    """Keeps what a series of the api worker finds.

    Attributes:
        latency_ns: Of the last good answer; None before the first.
    """

    latency_ns: int | None

    def take(self, targets: Sequence[TargetId], sent_ns: int, result: Result, now_ns: int) -> None:
        """Take a probe that is resolved."""

    def end_window(self, targets: Sequence[TargetId], start_ns: int, *, is_last: bool = False) -> None:
        """Put on record what was found since `start_ns`; it may wait for more, unless this `is_last`."""


class ServiceRecord:
    """Of one check of a service.

    Args:
        check: Its name.
        outbox: Where it goes.
        wants_samples: There is an InfluxDB, so each probe is told.
    """

    def __init__(self, check: str, outbox: Outbox, *, wants_samples: bool) -> None:
        self._check = check
        self._outbox = outbox
        self._wants_samples = wants_samples
        self._latencies: list[int] = []
        self.latency_ns: int | None = None

    def take(self, targets: Sequence[TargetId], sent_ns: int, result: Result, now_ns: int) -> None:
        """Take a probe."""
        if result.cause is None:
            self.latency_ns = now_ns - sent_ns
            self._latencies.append(self.latency_ns)
        if not self._wants_samples:
            return
        is_unknown = result.cause is not None and verdict_of(result.cause) is Verdict.UNKNOWN
        for target in targets:
            self._outbox.sample(
                Sample(
                    target=target,
                    check=self._check,
                    sent_ns=sent_ns,
                    up=None if is_unknown else result.cause is None,
                    latency_ns=None if result.status is None else now_ns - sent_ns,
                    status=result.status,
                    cause=result.cause,
                )
            )

    def end_window(self, targets: Sequence[TargetId], start_ns: int, *, is_last: bool = False) -> None:  # noqa: ARG002 - as `Record` has it
        """Put the latencies of the good answers since `start_ns` on record."""
        latencies, self._latencies = self._latencies, []
        if not latencies:
            return
        for target in targets:
            self._outbox.latency(LatencyWindow.of(target, self._check, start_ns, latencies))


class AddressRecord:
    """Of an address that is probed by TCP.

    Args:
        outbox: Where it goes.
        length_ns: Tells how long a window is; None: nothing is wanted.
    """

    def __init__(self, outbox: Outbox, length_ns: Callable[[], int | None]) -> None:
        self._outbox = outbox
        self._length_ns = length_ns
        self._trips = RoundTrips()
        self.latency_ns: int | None = None
        self._began_ns: int | None = None  # if a former window was too short to be put on record

    def take(self, targets: Sequence[TargetId], sent_ns: int, result: Result, now_ns: int) -> None:  # noqa: ARG002 - as `Record` has it
        """Take a probe."""
        if result.cause is None:
            self.latency_ns = now_ns - sent_ns
            self._trips.answered(self.latency_ns)
        elif verdict_of(result.cause) is Verdict.DOWN:
            self._trips.failed()

    def end_window(self, targets: Sequence[TargetId], start_ns: int, *, is_last: bool = False) -> None:
        """Put the round trips since `start_ns` on record, unless they wait for more to be a window."""
        began_ns = start_ns if self._began_ns is None else self._began_ns
        length_ns = self._length_ns()
        if length_ns is not None and not is_last and start_ns + WINDOW_NS - began_ns < length_ns:
            self._began_ns = began_ns
            return
        trips, self._trips, self._began_ns = self._trips, RoundTrips(), None
        if length_ns is not None and trips.sent:
            for target in targets:
                self._outbox.address(trips.message(target, began_ns))
