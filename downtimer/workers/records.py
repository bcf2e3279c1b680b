"""What the api worker puts on record in detail, beside the spans.

Of a service each probe, for InfluxDB, and the latencies of a window, for the journal; of an address
the round trips of a window, for InfluxDB.
"""

import statistics
from collections.abc import Sequence
from typing import Protocol

from downtimer.messages import LatencyWindow, Sample
from downtimer.model import TargetId, Verdict
from downtimer.verdicts import verdict_of
from downtimer.workers.outbox import Outbox
from downtimer.workers.talk import Result
from downtimer.workers.windows import RoundTrips


class Record(Protocol):
    """Keeps what a series of the api worker finds."""

    def take(self, targets: Sequence[TargetId], sent_ns: int, result: Result, now_ns: int) -> None:
        """Take a probe that is resolved."""

    def end_window(self, targets: Sequence[TargetId], start_ns: int) -> None:
        """Put on record what was found since `start_ns`."""


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

    def take(self, targets: Sequence[TargetId], sent_ns: int, result: Result, now_ns: int) -> None:
        """Take a probe."""
        if result.cause is None:
            self._latencies.append(now_ns - sent_ns)
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

    def end_window(self, targets: Sequence[TargetId], start_ns: int) -> None:
        """Put the latencies of the good answers since `start_ns` on record."""
        latencies, self._latencies = self._latencies, []
        if not latencies:
            return
        for target in targets:
            self._outbox.latency(
                LatencyWindow(
                    target=target,
                    check=self._check,
                    start_ns=start_ns,
                    answers=len(latencies),
                    min_ns=min(latencies),
                    median_ns=int(statistics.median(latencies)),
                    max_ns=max(latencies),
                )
            )


class AddressRecord:
    """Of an address that is probed by TCP.

    Args:
        outbox: Where it goes.
        is_wanted: There is an InfluxDB.
    """

    def __init__(self, outbox: Outbox, *, is_wanted: bool) -> None:
        self._outbox = outbox
        self._is_wanted = is_wanted
        self._trips = RoundTrips()

    def take(self, targets: Sequence[TargetId], sent_ns: int, result: Result, now_ns: int) -> None:  # noqa: ARG002 - as `Record` has it
        """Take a probe."""
        if result.cause is None:
            self._trips.answered(now_ns - sent_ns)
        elif verdict_of(result.cause) is Verdict.DOWN:
            self._trips.failed()

    def end_window(self, targets: Sequence[TargetId], start_ns: int) -> None:
        """Put the round trips since `start_ns` on record."""
        trips, self._trips = self._trips, RoundTrips()
        if self._is_wanted and trips.sent:
            for target in targets:
                self._outbox.address(trips.message(target, start_ns))
