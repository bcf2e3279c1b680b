"""What downtimer says, held against what the prober saw. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from downtimer.findings import TargetSummary
from downtimer.intervals import measure, unite
from downtimer.model import ANSWERS, LOGIN, SECOND_NS, WORKS
from tests.upgrade.measurement import KEYSTONE, Measured
from tests.upgrade.prober import PASSWORD, RESCOPE, ROOT
from tests.upgrade.tally import Away, find_away

CHECKS: Final = ((ANSWERS, ROOT), (WORKS, RESCOPE), (LOGIN, PASSWORD))
"""Each check, and the prober's kind of request that is the same."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of downtimer, and what the prober saw of the same.

    Attributes:
        what: Is compared: a check, or all of Keystone.
        ours: The figure.
        away: When the prober's requests failed.
    """

    what: str
    ours: TargetSummary
    away: Sequence[Away]

    @property
    def least_s(self) -> float:
        """The least downtime that the prober saw."""
        return measure(unite((one.first_ns, one.last_ns) for one in self.away)) / SECOND_NS

    @property
    def most_s(self) -> float:
        """The most that it may have missed."""
        return measure(unite((one.after_ns, one.by_ns) for one in self.away)) / SECOND_NS

    @property
    def off_s(self) -> float:
        """How far the estimate is from what the prober saw: negative if too short, 0 if within its bounds."""
        ours_s = self.ours.down_ns / SECOND_NS
        return ours_s - min(max(ours_s, self.least_s), self.most_s)

    @property
    def is_consistent(self) -> bool:
        """Whether one truth is within the bounds of both."""
        least_s, most_s = self.ours.down_min_ns / SECOND_NS, self.ours.down_max_ns / SECOND_NS
        return least_s <= self.most_s and self.least_s <= most_s

    @property
    def may_be_missed(self) -> bool:
        """Whether nothing was found, and what there was may have been missed between two good answers."""
        resolutions_ns = [check.resolution_ns or 0 for check in self.ours.checks]
        return not self.ours.down_max_ns and self.least_s * SECOND_NS <= min(resolutions_ns)

    @property
    def is_unseen(self) -> bool:
        """Whether nothing was found, and what there was is no longer than the time that was not observed."""
        return not self.ours.down_max_ns and self.least_s * SECOND_NS <= self.ours.unobserved_ns

    @property
    def verdict(self) -> str:
        """What is to be said of the figure."""
        if self.is_consistent:
            return "yes"
        if self.is_unseen:
            return "not observed"
        return "missed" if self.may_be_missed else "NO"


def compare(run: Measured) -> list[Comparison]:
    """Return the comparison for each check, and for all of Keystone."""
    away = {kind: find_away(run.asked, kind) for _, kind in CHECKS}
    found = [Comparison(check, run.checks[check], away[kind]) for check, kind in CHECKS]
    everything = [one for each in away.values() for one in each]
    return [*found, Comparison(KEYSTONE, run.services[KEYSTONE], everything)]
