"""A truth, generated together with the probes that sample it.

Between neighbouring known probes it changes at most once, which is what the figures assume; how often it
is probed, by which incarnation, with what `max_gap`, and which probes are unknown, is left to chance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

from hypothesis import strategies as st

from downtimer.intervals import Interval, unite
from downtimer.model import MILLISECOND_NS, Incarnation, Span, TargetState, Verdict
from downtimer.tracker import Outcome, Tracker
from tests.unit.runs import service

NOVA: Final[TargetState] = service("nova")
CAUSES: Final = {Verdict.DOWN: "refused", Verdict.UNKNOWN: "send"}


@dataclass(frozen=True)
class Probe:
    """A probe, and where between it and its predecessor the truth changed, if it did."""

    sent_ns: int
    verdict: Verdict
    max_gap_ns: int
    life: int
    share: int  # thousandths of the way from the known probe before
    is_cut: bool  # a checkpoint made a span of its own begin here
    is_dated: bool


@dataclass(frozen=True)
class Sampled:
    """One check: its probes, and the time in which it really was down."""

    check: str
    probes: Sequence[Probe]

    def known(self) -> list[Probe]:
        """Return the probes that say something of the target."""
        return [probe for probe in self.probes if probe.verdict is not Verdict.UNKNOWN]

    def truth(self, window: Interval) -> list[Interval]:
        """Return when it was down; unseen time at the rim belongs to an outage, or is good."""
        known = self.known()
        if not known:
            return []
        down: list[Interval] = []
        if is_down(known[0]):
            down.append((between(window[0], known[0].sent_ns, known[0].share), known[0].sent_ns))
        for before, after in pairwise(known):
            change_ns = between(before.sent_ns, after.sent_ns, after.share)
            down.append((before.sent_ns, change_ns) if is_down(before) else (0, 0))
            down.append((change_ns, after.sent_ns) if is_down(after) else (0, 0))
        if is_down(known[-1]):
            down.append((known[-1].sent_ns, between(known[-1].sent_ns, window[1], known[-1].share)))
        return unite(down)

    def true_outages(self, window: Interval) -> list[Interval]:
        """Return the stretches of `truth`, apart where a probe was well answered, if for an instant only."""
        good_ns = [probe.sent_ns for probe in self.known() if not is_down(probe)]
        return [
            part
            for start_ns, end_ns in self.truth(window)
            for part in pairwise([start_ns, *(ns for ns in good_ns if start_ns < ns < end_ns), end_ns])
        ]

    def spans(self, *, cut: bool = False, chance: Random | None = None) -> list[Span]:
        """Return what a tracker makes of the probes.

        Args:
            cut: Let some spans end where a checkpoint is, and others go on from there.
            chance: Lets them resolve out of order; None for each at once.
        """
        told: dict[int, Span] = {}

        def emit(span: Span, *, is_open: bool) -> None:
            assert span.probes == 1 or not is_open
            told[span.first_sent_ns] = span

        tracker, life = Tracker(NOVA.target.id, self.check, _incarnation(0), emit), 0
        pending: list[tuple[int, Outcome]] = []
        for probe, dated_ns in zip(self.probes, self._dates(), strict=True):
            if probe.life != life or (cut and probe.is_cut):
                _resolve(tracker, pending, len(pending), chance)
                tracker.close()
                life = probe.life
                tracker = Tracker(NOVA.target.id, self.check, _incarnation(life), emit)
            tracker.issue(probe.sent_ns)
            cause = CAUSES.get(probe.verdict)
            pending.append((probe.sent_ns, Outcome(probe.verdict, cause, probe.max_gap_ns, dated_ns)))
            _resolve(tracker, pending, chance.randrange(3) if chance else 1, chance)
        _resolve(tracker, pending, len(pending), chance)
        tracker.close()
        return list(told.values())

    def _dates(self) -> Iterator[int | None]:
        """Yield the sharper instant of the change that a probe shows, if it is to have one."""
        known_ns: int | None = None
        before: Probe | None = None
        for probe in self.probes:
            is_edge = before is not None and before.verdict is not probe.verdict
            dated_ns = None
            if probe.is_dated and is_edge and known_ns is not None:
                dated_ns = between(known_ns, probe.sent_ns, probe.share)
            yield dated_ns
            before = probe
            known_ns = known_ns if probe.verdict is Verdict.UNKNOWN else probe.sent_ns


def _resolve(tracker: Tracker, pending: list[tuple[int, Outcome]], count: int, chance: Random | None) -> None:
    """Resolve so many of the probes that are under way."""
    for _ in range(min(count, len(pending))):
        tracker.resolve(*pending.pop(chance.randrange(len(pending)) if chance else 0))


def _incarnation(life: int) -> Incarnation:
    return Incarnation(f"api.{life}")


def is_down(probe: Probe) -> bool:
    """Tell whether it failed."""
    return probe.verdict is Verdict.DOWN


def between(start_ns: int, end_ns: int, share: int) -> int:
    """Return the instant that lies so many thousandths of the way from one to the other."""
    return start_ns + (end_ns - start_ns) * share // 1000


_DISTANCES = st.one_of(
    st.integers(1, 600),
    st.integers(1, 600),
    st.integers(1500, 7000),
    st.sampled_from([59_999, 60_000, 60_001, 90_000]),
)
GOOD: Final = (Verdict.UP, Verdict.SLOW)
_VERDICTS = st.sampled_from(
    [Verdict.UP, Verdict.UP, Verdict.DOWN, Verdict.DOWN, Verdict.SLOW, Verdict.UNKNOWN]
)
_STEPS = st.tuples(
    _DISTANCES,
    _VERDICTS,
    st.sampled_from([2000, 2000, 6000]),
    st.sampled_from([0, 0, 0, 0, 0, 1]),
    st.integers(0, 1000),
    st.booleans(),
    st.booleans(),
)


@st.composite
def samples(draw: st.DrawFn, name: str = "answers") -> Sampled:
    """Draw a check's probes and truth."""
    at_ns, life = draw(st.integers(0, 5000)) * MILLISECOND_NS, 0
    probes = []
    for distance, verdict, max_gap, restarts, share, is_cut, is_dated in draw(
        st.lists(_STEPS, min_size=1, max_size=30)
    ):
        at_ns += distance * MILLISECOND_NS + 1  # + 1: halves of odd lengths
        life += restarts
        probes.append(Probe(at_ns, verdict, max_gap * MILLISECOND_NS, life, share, is_cut, is_dated))
    return Sampled(name, probes)


CHECKS: Final = st.one_of(st.tuples(samples()), st.tuples(samples(), samples("works")))
"""What one or both checks of a service saw."""
