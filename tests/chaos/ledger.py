"""What the journal has ever held, so that whatever is lost or counted twice shows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise

from downtimer.model import Span, TargetId, Verdict

_Key = tuple[TargetId, str, int]


class Ledger:
    """Spans as they were committed, which is before they are acknowledged.

    Attributes:
        spans: How many spans there are.
        lost: How many spans were there once, and were later not there, or were shorter or had fewer probes.
        probes: By check and verdict, when last looked at.
        twice: How many spans of a check reached into the next one of it, when last looked at.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.twice = 0
        self.probes = Counter[tuple[str, Verdict]]()
        self._known: dict[_Key, tuple[int, int]] = {}  # the last probe's instant, and how many there are

    @property
    def spans(self) -> int:
        """How many spans there are."""
        return len(self._known)

    def note(self, spans: Sequence[Span]) -> None:
        """Hold what a journal has now against what it had before."""
        found = {_key(span): (span.last_sent_ns, span.probes) for span in spans}
        for key, (last_ns, probes) in self._known.items():
            now_ns, now = found.get(key, (-1, -1))
            self.lost += now_ns < last_ns or now < probes
        self._known |= found
        self.twice = _overlaps(spans)
        self.probes = Counter[tuple[str, Verdict]]()
        for span in spans:
            self.probes[span.check, span.verdict] += span.probes


def _key(span: Span) -> _Key:
    return span.target, span.check, span.first_sent_ns


def _overlaps(spans: Iterable[Span]) -> int:
    ordered = sorted(spans, key=_key)
    return sum(
        before.last_sent_ns >= after.first_sent_ns
        for _, some in groupby(ordered, lambda span: (span.target, span.check))
        for before, after in pairwise(some)
    )
