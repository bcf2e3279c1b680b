"""How often to probe: the rate follows the episode, never the last verdict.

Pure; runs in the workers. If the rate followed the last verdict, failures would be sampled more densely
than successes and every share would be biased. So it changes only as an episode begins and ends:
fast from its first failed probe, for a minute at most, then at an easy rate until enough good answers
have settled it. Probes that hang are never made more frequent: each may hold one of the service's few
workers.
"""

from dataclasses import dataclass
from typing import Final

from downtimer.model import MILLISECOND_NS, SECOND_NS

UNANSWERED_MAX: Final = 4
"""Most unanswered probes of one check within an episode."""

LATE_EXTRA_NS: Final = SECOND_NS
"""Least distance between two extra probes that late answers trigger."""

_GAP_LEAST_NS: Final = 2 * SECOND_NS
_GAP_INTERVALS: Final = 3


@dataclass(slots=True)
class Rates:
    """The intervals in force for all checks of an engine; stretched evenly when the budget is short.

    Attributes:
        steady_ns: Between probes of a check that is in no episode.
        fast_ns: In the first `fast_for_ns` of an episode, while failures are fast.
        long_ns: In the rest of an episode.
        fast_for_ns: See `fast_ns`.
        settle_ns: Good answers for this long end an episode.
        timeout_ns: When an unanswered probe fails.
    """

    steady_ns: int
    timeout_ns: int
    fast_ns: int = 50 * MILLISECOND_NS
    long_ns: int = 500 * MILLISECOND_NS
    fast_for_ns: int = 60 * SECOND_NS
    settle_ns: int = 5 * SECOND_NS

    @classmethod
    def within(cls, *, interval_s: float, timeout_s: float, budget: int, checks: int, fast: int) -> "Rates":
        """Return the rates that keep within the budget.

        Args:
            interval_s: As configured.
            timeout_s: As configured.
            budget: Most probes a second.
            checks: How many are probed.
            fast: How many of them are in an episode; they get at most half of the budget.
        """
        steady_ns = max(round(interval_s * SECOND_NS), checks * SECOND_NS // budget)
        easiest_ns = fast * 2 * SECOND_NS // budget
        return cls(
            steady_ns=steady_ns,
            timeout_ns=round(timeout_s * SECOND_NS),
            fast_ns=max(min(cls.fast_ns_default(), steady_ns), easiest_ns),
            long_ns=max(500 * MILLISECOND_NS, easiest_ns),
        )

    @staticmethod
    def fast_ns_default() -> int:
        """Return the fast interval of an unhurried budget: 20 a second."""
        return 50 * MILLISECOND_NS

    def max_gap_ns(self, interval_ns: int) -> int:
        """Return the largest distance of neighbouring probes that counts as observed."""
        return max(_GAP_INTERVALS * interval_ns, _GAP_LEAST_NS)


class Pace:
    """The rate of one check."""

    def __init__(self) -> None:
        self._began_ns: int | None = None  # the episode's first failed probe
        self._good_since_ns: int | None = None  # first good answer after its last failed probe
        self._hanging = False
        self._extra_ns = -LATE_EXTRA_NS

    def in_episode(self, now_ns: int, rates: Rates) -> bool:
        """Tell whether an episode is under way; forgets one that has settled."""
        if self._good_since_ns is not None and now_ns - self._good_since_ns >= rates.settle_ns:
            self._began_ns = self._good_since_ns = None
        return self._began_ns is not None

    def good(self, sent_ns: int) -> None:
        """Note a good answer to a probe."""
        self._hanging = False
        if self._began_ns is not None and self._good_since_ns is None:
            self._good_since_ns = sent_ns

    def failed(self, sent_ns: int, *, hung: bool) -> None:
        """Note a failed probe; `hung`: it ran into its deadline instead of failing at once."""
        self._hanging = hung
        self._good_since_ns = None
        if self._began_ns is None:
            self._began_ns = sent_ns

    def wants_extra(self, now_ns: int) -> bool:
        """Tell whether a late answer, seen now, may trigger one extra probe."""
        if now_ns - self._extra_ns < LATE_EXTRA_NS:
            return False
        self._extra_ns = now_ns
        return True

    def interval_ns(self, now_ns: int, rates: Rates) -> int:
        """Return the distance to the next probe."""
        if self._began_ns is None or not self.in_episode(now_ns, rates):
            return rates.steady_ns
        if self._hanging:
            return max(rates.steady_ns, rates.timeout_ns // UNANSWERED_MAX)
        if now_ns - self._began_ns < rates.fast_for_ns:
            return rates.fast_ns
        return rates.long_ns
