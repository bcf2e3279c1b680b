"""What a store offers for reading: everything a report is made from, and nothing else.

The journal and InfluxDB implement it alike, so a report can not tell which of them it is made
from, but for the notes. A reader sees one consistent state, that of the moment it was opened.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from downtimer.intervals import Interval
from downtimer.model import Event, Latency, Mark, Run, Span, TargetId, TargetState

Stored = Any
"""A target with its spans as a store has them. It can be pickled; only the reader of it can read it."""


class Reader(Protocol):
    """One run, read-only. Each iterator streams; several may be consumed side by side."""

    def run(self) -> Run:
        """Return the run itself."""
        ...

    def targets(self) -> Iterator[TargetState]:
        """Yield every target of the run, ordered by target id."""
        ...

    def with_spans(self, targets: Iterable[TargetId]) -> Iterator[tuple[TargetState, list[Span]]]:
        """Yield some of these targets, each with its spans, in the order asked for.

        Spans are ordered by check and first_sent_ns. Each natural key comes once; an open span has its
        effective last_sent_ns, as extended by the progress of its worker.
        """
        ...

    def stored(self, targets: Iterable[TargetId]) -> Iterator[Stored]:
        """Yield the same, not decoded yet: the part of the work that only this process can do."""
        ...

    def decode(self, stored: Stored) -> tuple[TargetState, list[Span]]:
        """Return one of `stored` as `with_spans` does. Forks of this process may ask as well."""
        ...

    def failing(self, times: Sequence[Interval]) -> list[TargetId]:
        """Return those targets of which failed spans begin within one of these times, ordered by id.

        Args:
            times: In order, none overlapping another.
        """
        ...

    def latencies(self, target: TargetId) -> list[Latency]:
        """Return how soon a service answered, ordered by check and start_ns; nothing for all other targets.

        Windows without a good answer are left out.
        """
        ...

    def marks(self) -> list[Mark]:
        """Return the user's marks, ordered by instant."""
        ...

    def events(self) -> list[Event]:
        """Return the events, ordered by instant."""
        ...

    def through_ns(self) -> int:
        """Return up to when everything is recorded: the largest progress or end of a span.

        For a run in progress this is the instant that its figures count to.
        """
        ...

    def tells_progress(self) -> bool:
        """Tell whether it was ever said up to when everything is recorded; else it is guessed from spans.

        A file that something else wrote need not say so.
        """
        ...

    def notes(self) -> list[str]:
        """Return what is missing from this source, a line each; empty for the journal.

        InfluxDB: points not delivered yet, a run that has not ended.
        """
        ...

    def close(self) -> None:
        """Release the file or connection; the iterators end with it."""
        ...
