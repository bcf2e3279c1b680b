"""What the journal takes in one transaction."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from downtimer.messages import AddressWindow, Body, LatencyWindow, Progress, Sample, SpanFact, SpanRow
from downtimer.model import Event, Incarnation, Mark, TargetId, TargetState


@dataclass(slots=True)
class Delivered:
    """What the shipping to InfluxDB has done since the last commit.

    Attributes:
        through_id: Rows of the outbox up to this one are no longer needed.
        points: How many those were, the rejected ones included.
        rejected: Points that InfluxDB will never take, each with its reason.
    """

    through_id: int = 0
    points: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)  # (error, line)


@dataclass(slots=True)
class Facts:
    """Whole facts with natural keys, in the order they arose; spans as they are at hand, or as they came.

    Samples and address windows are details for InfluxDB alone; the journal keeps none of them but
    in its outbox.
    """

    states: dict[TargetId, TargetState] = field(default_factory=dict)
    spans: list[SpanFact | SpanRow] = field(default_factory=list)
    progress: dict[tuple[Incarnation, str], Progress] = field(default_factory=dict)  # by worker and check
    latencies: list[LatencyWindow] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    addresses: list[AddressWindow] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    delivered: Delivered = field(default_factory=Delivered)

    def add(self, body: Body) -> None:
        """Add what a worker sent."""
        self.spans.extend(body.spans)
        self.latencies.extend(body.latencies)
        self.samples.extend(body.samples)
        self.addresses.extend(body.addresses)
        for progress in body.progress:
            key = (progress.incarnation, progress.check)
            known = self.progress.get(key)
            if known is None or known.through_ns <= progress.through_ns:
                self.progress[key] = progress

    def add_states(self, states: Iterable[TargetState]) -> None:
        """Add targets as they stand now."""
        self.states.update((state.target.id, state) for state in states)

    def count(self) -> int:
        """Return how many facts these are, progress and deliveries aside."""
        return (
            len(self.states)
            + len(self.spans)
            + len(self.latencies)
            + len(self.samples)
            + len(self.addresses)
            + len(self.marks)
            + len(self.events)
        )
