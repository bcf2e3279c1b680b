"""What the writer has received and not yet committed.

Pure bookkeeping, owned by the writer's loop. Batches wait as they came, and are decoded one at a time as they
are written. One that comes again while it waits is known by its sender and serial, so what workers repeat
while the disk is slow takes no room.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from downtimer import messages
from downtimer.errors import MessageError
from downtimer.messages import Body, Record
from downtimer.model import TargetState
from downtimer.store.facts import Facts

log = logging.getLogger(__name__)

EVENTS_MAX: Final = 10_000
"""Marks and events that wait; they have no sender who would repeat them."""

Sender = tuple[bytes, int]
"""Identity of a worker, and the serial of its batch."""


@dataclass(frozen=True, slots=True)
class Received:
    """A batch. `details`: it holds so many facts that may be given up, and no others."""

    body: bytes
    details: int = 0


_NOTHING: Final = Received(messages.encode(Body()))


class Intake:
    """Batches of workers, and facts of the supervisor's; `size` is what the batches take, in bytes."""

    def __init__(self) -> None:
        self.batches: dict[Sender, Received] = {}
        self.own = Facts()
        self.size = 0

    def add_batch(self, sender: Sender, received: Received) -> None:
        """Take a batch, unless it is here already."""
        if sender not in self.batches:
            self.batches[sender] = received
            self.size += len(received.body)

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
        for sender, received in newer.batches.items():
            self.add_batch(sender, received)
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

    def parts(self) -> Iterator[tuple[Sender | None, Facts]]:
        """Yield the facts of each sender apart, in the order they came; None for the supervisor's."""
        yield None, self.own
        for sender in self.batches:
            yield sender, self._facts(sender)

    def _facts(self, sender: Sender) -> Facts:
        """Return the facts of a batch; of one that is malformed, none."""
        facts = Facts()
        try:
            facts.add(messages.BODY.decode(self.batches[sender].body))
        except MessageError as exc:
            self.batches[sender] = _NOTHING  # so that it is told once, however often it is tried to commit it
            log.warning("points: dropped, from %r: %s", sender, exc)
        return facts

    def drop_details(self) -> int:
        """Give up the details to make room for spans; return how many they were."""
        dropped = 0
        for sender, received in self.batches.items():
            if received.details:
                self.batches[sender] = _NOTHING
                dropped += received.details
        self.size = sum(len(received.body) for received in self.batches.values())
        return dropped
