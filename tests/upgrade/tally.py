"""What the prober's log says: when each kind of request failed, as brackets. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from downtimer.model import SECOND_NS
from tests.upgrade.prober import GOOD, PATIENCE_S

PATIENCE_NS: Final = round(PATIENCE_S * SECOND_NS)


class Asked(NamedTuple):
    """A request that is over.

    Attributes:
        kind: Of request.
        sent_ns: When it was sent (CLOCK_BOOTTIME).
        over_ns: When it was over.
        what: What came of it.
    """

    kind: str
    sent_ns: int
    over_ns: int
    what: str

    @property
    def is_good(self) -> bool:
        """Whether the answer came within a user's patience."""
        return self.what == GOOD and self.over_ns - self.sent_ns <= PATIENCE_NS

    @property
    def failing_ns(self) -> int:
        """Until when requests failed, if this one did.

        One that was answered late tells more than its own instant: who asked after it had no answer before it
        had, so that all failed which were sent more than a user's patience before that.
        """
        return max(self.sent_ns, self.over_ns - PATIENCE_NS) if self.what == GOOD else self.sent_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """A time in which requests of one kind failed.

    Attributes:
        after_ns: The last good one before it was sent.
        first_ns: The first failed one was.
        last_ns: Until then they failed.
        by_ns: The first good one after it was sent.
        causes: What came of them.
    """

    after_ns: int
    first_ns: int
    last_ns: int
    by_ns: int
    causes: Mapping[str, int]

    @property
    def least_s(self) -> float:
        """The shortest that it can have been."""
        return (self.last_ns - self.first_ns) / SECOND_NS

    @property
    def most_s(self) -> float:
        """The longest that it can have been."""
        return (self.by_ns - self.after_ns) / SECOND_NS


def read(lines: Iterable[str]) -> list[Asked]:
    """Return what was asked, in order of sending."""
    found = []
    for line in lines:
        kind, sent, over, what = line.split()
        found.append(Asked(kind, int(sent), int(over), what))
    return sorted(found, key=lambda asked: asked.sent_ns)


def find_away(asked: Sequence[Asked], kind: str) -> list[Away]:
    """Return when requests of a kind failed, in order.

    Raises:
        ValueError: The first one failed, or the last one, so that it is not known how long.
    """
    mine = [one for one in asked if one.kind == kind]
    if not mine or not mine[0].is_good or not mine[-1].is_good:
        raise ValueError(f"{kind}: not good at both ends")
    away, after, failed = [], mine[0], list[Asked]()
    for one in mine:
        if not one.is_good:
            failed.append(one)
            continue
        if failed:
            away.append(
                Away(
                    after_ns=after.sent_ns,
                    first_ns=failed[0].sent_ns,
                    last_ns=max(each.failing_ns for each in failed),
                    by_ns=one.sent_ns,
                    causes=Counter("late" if each.what == GOOD else each.what for each in failed),
                )
            )
            failed = []
        after = one
    return away
