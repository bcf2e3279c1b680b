"""How often to probe: the rate follows the episode, never the last verdict.

Pure; runs in the workers. If the rate followed the last verdict, failures would be sampled at another
density than successes and every share would be biased. So it changes as an episode begins and ends:
fast from its first failed probe, for a minute at most, then at an easy rate until enough good answers
have settled it. What hangs is never made to hang more, for each probe may hold one of a service's few
workers. It shows in two ways:

- *Silence*: nothing that was sent since the last answer is answered. Then at most so many probes are
  out at once as `unanswered` allows, evenly over the timeout. The first answer ends it.
- *Loss*: some probes get no answer while later ones do. Then the whole episode keeps to that same
  distance; otherwise the answered stretches would be sampled fast and the silent ones slowly.

A service that asks for fewer requests gets none that are fast until it answers otherwise.

Some checks are *gentle*: their probes cost the service more than an answer from its root, and one that hangs
holds one of its few workers, whether or not we are still waiting. Of such at most one is out at any time, and
while they hang they are no closer together than otherwise (whoever sends them may wait much longer). Only
failures that are fast are followed fast.

Outside of an episode something may call for an *extra* probe before the next is due: a suspicion (no
answer within a few times the baseline), a late answer, the end of a connection that was kept. And until
it is known what became of a suspected probe, probes are due as in a silence, if that is more often;
answers to others do not end that, for what follows a lost probe would be sampled more densely than what
follows an answered one. What comes too early is a debt, which the next intervals pay back by being a
little longer, so that on average a target that is up is not probed more often than configured.
"""

import math
from typing import Final, NamedTuple, Protocol

from downtimer.model import SECOND_NS

EXTRA_NS: Final = SECOND_NS
"""Least distance between two extra probes that suspicion or late answers call for."""

SETTLE_NS: Final = 5 * SECOND_NS

HEARING_NS: Final = 3 * SECOND_NS
"""So long beyond its timeout a gentle call is heard out: a service tries for 3.5 s to reach a Keystone."""

SELDOM_NS: Final = 5 * SECOND_NS
"""A call that is made no more often than that is not waited for."""

_PAY_BACK: Final = 8
"""An interval grows by this part of it to pay for an extra probe."""

_GAP_LEAST_NS: Final = 2 * SECOND_NS
_GAP_INTERVALS: Final = 3
_NEVER: Final = -(2**62)


class Options(Protocol):
    """What a user may choose for all probes of a kind; seconds. `downtimer.config` explains each."""

    @property
    def interval(self) -> float:
        """Between probes of what is up."""

    @property
    def timeout(self) -> float:
        """When an unanswered probe fails."""

    @property
    def budget(self) -> int:
        """Most probes a second."""

    @property
    def fast_interval(self) -> float:
        """Between probes at the beginning of an episode."""

    @property
    def fast_for(self) -> float:
        """How long that is."""

    @property
    def long_interval(self) -> float:
        """Between probes in the rest of an episode."""

    @property
    def unanswered(self) -> int:
        """Most probes of one check that are out at once while it is silent."""


class Rates(NamedTuple):
    """The intervals in force for all checks of a kind.

    Attributes:
        steady_ns: Between probes of a check that is in no episode.
        timeout_ns: When an unanswered probe fails.
        fast_ns: In the first `fast_for_ns` of an episode, while failures are fast.
        long_ns: In the rest of an episode.
        fast_for_ns: See `fast_ns`.
        unanswered: Most probes of one check that are out at once while it is silent.
        settle_ns: Good answers for this long end an episode.
        is_gentle: At most `unanswered` probes are out at any time, and they are never faster while they hang.
    """

    steady_ns: int
    timeout_ns: int
    fast_ns: int
    long_ns: int
    fast_for_ns: int
    unanswered: int
    settle_ns: int = SETTLE_NS
    is_gentle: bool = False

    @classmethod
    def within(cls, options: Options, *, checks: int, fast: int) -> "Rates":
        """Return the rates that keep within the budget: when it is short, all intervals stretch.

        Args:
            options: As configured.
            checks: How many are probed.
            fast: How many of them are in an episode; they get at most half of the budget.
        """
        wanted_ns, budget = round(options.interval * SECOND_NS), options.budget
        wanted_fast_ns = min(round(options.fast_interval * SECOND_NS), wanted_ns)
        fast_ns = max(wanted_fast_ns, -(-2 * fast * SECOND_NS // budget))
        left = budget - fast * SECOND_NS / fast_ns  # at least half of it
        return cls(
            steady_ns=max(wanted_ns, math.ceil((checks - fast) * SECOND_NS / left)),
            timeout_ns=round(options.timeout * SECOND_NS),
            fast_ns=fast_ns,
            long_ns=max(round(options.long_interval * SECOND_NS), fast_ns),
            fast_for_ns=round(options.fast_for * SECOND_NS),
            unanswered=options.unanswered,
        )

    @classmethod
    def gently(cls, options: Options, *, interval_s: float, least_s: float, checks: int) -> "Rates":
        """Return the rates of gentle checks: together at most a quarter of the budget, while all is well.

        Args:
            options: As configured; of these the timeout, `fast_for` and the budget hold.
            interval_s: Between probes of what is up. A tenth of it while failures are fast, a quarter of it
                in the rest of an episode.
            least_s: Between any two.
            checks: How many are probed.
        """
        interval_ns = max(round(interval_s * SECOND_NS), math.ceil(4 * checks * SECOND_NS / options.budget))
        least_ns = round(least_s * SECOND_NS)
        return cls(
            steady_ns=interval_ns,
            timeout_ns=round(options.timeout * SECOND_NS),
            fast_ns=min(max(interval_ns // 10, least_ns), interval_ns),
            long_ns=min(max(interval_ns // 4, least_ns), interval_ns),
            fast_for_ns=round(options.fast_for * SECOND_NS),
            unanswered=1,
            is_gentle=True,
        )

    @property
    def silent_ns(self) -> int:
        """The least distance of probes that may hang: all that may be out, evenly over the timeout."""
        silent_ns = self.timeout_ns // self.unanswered
        return max(silent_ns, self.steady_ns) if self.is_gentle else silent_ns

    @property
    def longest_ns(self) -> int:
        """The longest interval that any check may have."""
        return max(self.steady_ns, self.long_ns, self.silent_ns)


def max_gap_ns(interval_ns: int) -> int:
    """Return the largest distance of neighbouring probes that counts as observed."""
    return max(_GAP_INTERVALS * interval_ns, _GAP_LEAST_NS)


class Pace:
    """The rate of one check."""

    def __init__(self) -> None:
        self._began_ns: int | None = None  # the first failed probe of the newest episode
        self._good_ns: int | None = None  # the first good answer after its last failed probe
        self._failed_ns = _NEVER  # its last failed probe
        self._answered_ns = _NEVER  # the last probe that was answered, well or badly
        self._resumed_ns = _NEVER  # the probe whose answer ended the last silence
        self._suspect_ns = _NEVER  # the suspected probe; _NEVER when it is resolved
        self._is_silent = False
        self._is_lossy = False
        self._is_throttled = False
        self._extra_ns = _NEVER
        self._debt_ns = 0

    @property
    def is_calm(self) -> bool:
        """Tell whether nothing has ever gone wrong, so that the rate is the steady one. Cheap."""
        is_well = self._began_ns is None and self._extra_ns == self._suspect_ns == _NEVER
        return is_well and not (self._is_silent or self._debt_ns)

    def is_settled(self, now_ns: int, rates: Rates) -> bool:
        """Tell whether nothing is left of what has gone wrong: a new pace would do the same from here on."""
        if self._is_silent or self._is_throttled or self._debt_ns or self._suspect_ns != _NEVER:
            return False
        return now_ns - self._extra_ns >= EXTRA_NS and not self.is_in_episode(now_ns, rates)

    def is_urgent(self, now_ns: int, rates: Rates) -> bool:
        """Tell whether it is failing, or may be."""
        return self._is_silent or self._suspect_ns != _NEVER or self.is_in_episode(now_ns, rates)

    def is_in_episode(self, now_ns: int, rates: Rates) -> bool:
        """Tell whether an episode is under way: one has begun and is not settled."""
        if self._began_ns is None:
            return False
        return self._good_ns is None or now_ns - self._good_ns < rates.settle_ns

    def is_holding(self, unanswered: int, rates: Rates) -> bool:
        """Tell whether so many unanswered probes forbid another one."""
        return unanswered >= rates.unanswered and (rates.is_gentle or self._is_silent or self._is_lossy)

    def good(self, sent_ns: int) -> None:
        """Note a good answer to a probe."""
        self.allay(sent_ns)
        self._is_throttled = False
        self._answer(sent_ns)
        if self._began_ns is not None and self._good_ns is None and sent_ns > self._failed_ns:
            self._good_ns = sent_ns

    def failed(self, sent_ns: int, now_ns: int, rates: Rates, *, hung: bool) -> None:
        """Note a failed probe; `hung`: it ran into its deadline instead of failing at once."""
        self.allay(sent_ns)
        self._is_throttled &= hung
        if not self.is_in_episode(now_ns, rates):
            self._began_ns, self._good_ns, self._is_lossy = sent_ns, None, False
        if self._good_ns is not None and sent_ns > self._good_ns:
            self._good_ns = None
        self._failed_ns = max(self._failed_ns, sent_ns)
        if not hung:
            self._answer(sent_ns)
        else:
            self._miss(sent_ns, is_in_episode=True)

    def throttle(self) -> None:
        """Note that the service asks for fewer probes: until it answers otherwise, none is fast."""
        self._is_throttled = True

    def allay(self, sent_ns: int) -> None:
        """Note that it is known what became of a probe, or that it never will be."""
        if sent_ns == self._suspect_ns:
            self._suspect_ns = _NEVER

    def suspect(self, oldest_ns: int, now_ns: int, patience_ns: int, rates: Rates) -> None:
        """Look at the oldest unanswered probe: one that takes longer than `patience_ns` may be hanging."""
        if now_ns - oldest_ns > patience_ns:
            self._miss(oldest_ns, is_in_episode=self.is_in_episode(now_ns, rates))

    def may_have_extra(self, now_ns: int, rates: Rates) -> bool:
        """Tell whether a suspicion or a late answer may call for an extra probe now."""
        is_paid = self._debt_ns <= rates.steady_ns // _PAY_BACK
        return is_paid and now_ns - self._extra_ns >= EXTRA_NS and not self.is_in_episode(now_ns, rates)

    def note_extra(self, now_ns: int, early_ns: int, suspect_ns: int | None = None) -> None:
        """Note a probe that is sent before it was due, by `early_ns`, maybe since another is suspected."""
        self._extra_ns = now_ns
        self._debt_ns += early_ns
        if suspect_ns is not None:
            self._suspect_ns = suspect_ns

    def next_interval_ns(self, now_ns: int, rates: Rates) -> int:
        """Return the distance to the next probe, and pay a part of the debt with it."""
        interval_ns = self.interval_ns(now_ns, rates)
        if self.is_in_episode(now_ns, rates):
            self._debt_ns = 0
        elif interval_ns < rates.steady_ns:
            self._debt_ns += rates.steady_ns - interval_ns
            return interval_ns
        paid_ns = min(self._debt_ns, interval_ns // _PAY_BACK)
        self._debt_ns -= paid_ns
        return interval_ns + paid_ns

    def interval_ns(self, now_ns: int, rates: Rates) -> int:
        """Return the distance that probes have now."""
        if self._began_ns is None or not self.is_in_episode(now_ns, rates):
            silent_ns = max(rates.fast_ns, rates.silent_ns)
            if self._is_silent:
                return silent_ns
            return rates.steady_ns if self._suspect_ns == _NEVER else min(rates.steady_ns, silent_ns)
        is_young = now_ns - self._began_ns < rates.fast_for_ns
        interval_ns = rates.fast_ns if is_young and not self._is_throttled else rates.long_ns
        return max(interval_ns, rates.silent_ns) if self._is_silent or self._is_lossy else interval_ns

    def _answer(self, sent_ns: int) -> None:
        self._answered_ns = max(self._answered_ns, sent_ns)
        if self._is_silent:
            self._is_silent, self._resumed_ns = False, sent_ns

    def _miss(self, sent_ns: int, *, is_in_episode: bool) -> None:
        """A probe is not answered: silence if none after it was; loss if it is no rest of a silence."""
        if sent_ns > self._answered_ns:
            self._is_silent = True
        elif sent_ns > self._resumed_ns and is_in_episode:
            self._is_lossy = True


class Bucket:
    """The hard cap on all that is sent: a token bucket that holds a tenth of a second's worth."""

    def __init__(self, per_second: int) -> None:
        self._cost_ns = SECOND_NS / per_second
        self._most_ns = max(SECOND_NS / 10, self._cost_ns)
        self._empty_ns = float(_NEVER)  # the instant at which it was, or would have been, empty

    def is_empty(self, now_ns: int) -> bool:
        """Tell whether there is none to take."""
        return self._next_ns(now_ns) > now_ns

    def wait_ns(self, now_ns: int) -> int:
        """Take one and return 0; or take none and return how long until there is one."""
        return 0 if self.take(1, now_ns) else round(self._next_ns(now_ns)) - now_ns + 1

    def take(self, count: int, now_ns: int) -> int:
        """Take as many as there are, at most `count`; return how many."""
        empty_ns = max(self._empty_ns, now_ns - self._most_ns)
        taken = max(min(count, int((now_ns - empty_ns) / self._cost_ns)), 0)
        self._empty_ns = empty_ns + taken * self._cost_ns
        return taken

    def _next_ns(self, now_ns: int) -> float:
        """Return from when on there is one, or has been."""
        return max(self._empty_ns, now_ns - self._most_ns) + self._cost_ns
