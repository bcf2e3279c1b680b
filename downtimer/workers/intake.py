"""What the writer has received and not yet committed.

Pure bookkeeping, owned by the writer's loop. A batch that comes again while it waits is known by its
sender and serial, so what workers repeat while the disk is slow takes no room.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from downtimer.messages import Batch, Record
from downtimer.model import TargetState
from downtimer.store.facts import Facts

EVENTS_MAX: Final = 10_000
"""Marks and events that wait; they have no sender who would repeat them."""

Sender = tuple[bytes, int]
"""Identity of a worker, and the serial of its batch."""


class Intake:
    """Batches of workers, and facts of the supervisor's."""

    def __init__(self) -> None:
        self.batches: dict[Sender, Batch] = {}
        self.own = Facts()
        self.count = 0

    def add_batch(self, sender: Sender, batch: Batch) -> None:
        """Take a batch, unless it is here already."""
        if sender not in self.batches:
            self.batches[sender] = batch
            self.count += _count(batch)

    def add_states(self, states: Iterable[TargetState]) -> None:
        """Take targets as they stand."""
        self.own.add_states(states)

    def add_record(self, record: Record) -> None:
        """Take marks and events."""
        self.own.marks.extend(record.marks)
        self.own.events.extend(record.events)
        del self.own.events[: -EVENTS_MAX or None]
        del self.own.marks[: -EVENTS_MAX or None]

    def absorb(self, newer: "Intake") -> None:
        """Take what came after."""
        for sender, batch in newer.batches.items():
            self.add_batch(sender, batch)
        own, other = self.own, newer.own
        own.states.update(other.states)
        self.add_record(Record(marks=tuple(other.marks), events=tuple(other.events)))
        own.delivered.through_id = max(own.delivered.through_id, other.delivered.through_id)
        own.delivered.rejected.extend(other.delivered.rejected)

    def is_empty(self) -> bool:
        """Tell whether there is nothing to commit."""
        own = self.own
        delivered = own.delivered
        return not (self.batches or own.count() or delivered.through_id or delivered.rejected)

    def facts(self) -> Facts:
        """Return all of it, for one transaction."""
        facts = Facts(
            states=self.own.states,
            marks=self.own.marks,
            events=self.own.events,
            delivered=self.own.delivered,
        )
        for batch in self.batches.values():
            facts.add_batch(batch)
        return facts

    def parts(self) -> Iterator[tuple[Sender | None, Facts]]:
        """Yield the facts of each sender apart; None for the supervisor's."""
        yield None, self.own
        for sender, batch in self.batches.items():
            facts = Facts()
            facts.add_batch(batch)
            yield sender, facts

    def drop_details(self) -> int:
        """Give up the details to make room for spans; return how many they were."""
        before = self.count
        for sender, batch in self.batches.items():
            self.batches[sender] = msgspec.structs.replace(batch, samples=(), latencies=(), addresses=())
        self.count = sum(map(_count, self.batches.values()))
        return before - self.count


def _count(batch: Batch) -> int:
    return 1 + len(batch.spans) + len(batch.samples) + len(batch.latencies) + len(batch.addresses)
