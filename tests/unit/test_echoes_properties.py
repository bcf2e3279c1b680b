"""Calm addresses, dealt with as columns, come to the same spans as a series of their own for each.

In simulated time: an engine's turns drive `Echoes`, and for each address a `Series` that was never calm is
driven by the same turns, with the same answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from downtimer.clock import Batch
from downtimer.model import ICMP, MILLISECOND_NS, SECOND_NS, Baseline, Incarnation, Span, TargetId
from downtimer.pace import Rates
from downtimer.series import SUSPECT_BASELINES, SUSPECT_LEAST_NS, Answer, Series
from downtimer.workers.addresses import Addresses
from downtimer.workers.echoes import Echoes
from downtimer.workers.lane import Heard, Lane, Volley
from downtimer.workers.packets import COOKIE, ECHO, V4
from downtimer.workers.probing import Findings
from downtimer.workers.schedule import Schedule
from downtimer.workers.stalls import LoopWatch
from tests.engines import RecordingOutbox, make_child
from tests.unit import sections
from tests.unit.machine import Machine
from tests.unit.told import Told

TURN_NS: Final = 4 * MILLISECOND_NS
END_NS: Final = 25 * SECOND_NS
NEVER_NS: Final = 10**18
LAPSE_NS: Final = 12 * SECOND_NS
ADDRESSES: Final = 3


class NeverLate(LoopWatch):
    """A loop that is never held up."""

    def excuse(self, cause: str, sent_ns: int, timeout_ns: int) -> str:  # noqa: ARG002 - of the base
        """Return the cause as it looks."""
        return cause

    def trouble_since(self, at_ns: int, most_ns: int, *, is_busy_trouble: bool = True) -> None:
        """Tell of none."""

    def has_slept_since(self, at_ns: int) -> bool:  # noqa: ARG002 - of the base
        """Tell that it has not."""
        return False


class Quiet(Findings):
    """Tells nobody what is learnt."""

    def learnt(self, target: TargetId, check: str, baseline: Baseline) -> None:
        """Pass over it."""


@dataclass
class Fate:
    """How an address treats what is sent to it, by when that is: answers after so long, or never.

    The same request is asked about twice, so this depends on nothing but the seed and the instant.
    """

    seed: int
    trouble: float

    def latency_ns(self, sent_ns: int) -> int:
        """Return the latency of the answer; `NEVER_NS` for none."""
        of_phase = Random(f"{self.seed} {sent_ns // (700 * MILLISECOND_NS)}")  # noqa: S311 - a plan
        kind = (
            of_phase.choice(["lost", "late", "slow", "some"]) if of_phase.random() < self.trouble else "well"
        )
        chance = Random(f"{self.seed} {sent_ns}")  # noqa: S311 - likewise
        if kind == "lost" or (kind == "some" and chance.random() < 0.4):
            return NEVER_NS
        low_ms, high_ms = {"late": (900, 1400), "slow": (40, 600)}.get(kind, (1, 8))
        return chance.randrange(low_ms * MILLISECOND_NS, high_ms * MILLISECOND_NS)


@dataclass
class Reply:
    """A reply on its way."""

    at_ns: int
    row: int
    nonce: int


class Net:
    """Stands in for a `Lane`: carries requests to their fates, and replies back."""

    def __init__(self, addresses: Addresses, fates: list[Fate], chance: Random) -> None:
        self.family = V4
        self.addresses = addresses
        self.windows = None
        self._fates = fates
        self._chance = chance
        self._replies: list[Reply] = []
        self._echoes = np.zeros(0, ECHO)

    def send(self, rows: list[int], now_ns: int) -> Volley:
        """Send a request to each."""
        nonces = [self._chance.getrandbits(64) for _ in rows]
        for row, nonce in zip(rows, nonces, strict=True):
            at_ns = now_ns + self._fates[row].latency_ns(now_ns)
            copies = 1 + (self._chance.random() < 0.1)
            self._replies += [Reply(at_ns + copy, row, nonce) for copy in range(copies)]
        return Volley(
            sent_ns=np.full(len(rows), now_ns, np.int64),
            nonces=np.array(nonces, np.uint64),
            sequences=np.zeros(len(rows), np.uint16),
            errors=(),
            held_up=(),
        )

    def receive(self, now_ns: int) -> Iterator[Heard]:
        """Yield what has come by now."""
        came = sorted((one for one in self._replies if one.at_ns <= now_ns), key=lambda one: one.at_ns)
        self._replies = [one for one in self._replies if one.at_ns > now_ns]
        if not came:
            return
        cookies = self.bring([(one.row, one.nonce) for one in came])
        yield Heard(
            opened=cast("object", None),  # type: ignore[arg-type]
            is_plain=np.ones(len(came), np.bool_),
            rows=cookies["row"],
            nonces=cookies["nonce"],
            stamps_ns=np.array([one.at_ns for one in came], np.int64),
            sources=self.addresses.names[[one.row for one in came]],
        )

    def bring(self, cookies: list[tuple[int, int]]) -> npt.NDArray[Any]:
        """Bring replies with these cookies, and nothing else; return the cookies."""
        self._echoes = np.zeros(len(cookies), ECHO)
        self._echoes["cookie"] = np.array(cookies, COOKIE)
        found: npt.NDArray[Any] = self._echoes["cookie"]
        return found

    def message(self, _: Heard, index: int) -> bytes:
        """Return a message."""
        return bytes(self._echoes[index].tobytes())

    def source(self, heard: Heard, index: int) -> bytes:
        """Return where it came from."""
        return heard.sources[index, 4:8].tobytes()


@dataclass
class Oracle:
    """One address, followed all the time.

    Attributes:
        is_calm: It need not be followed now. Then a probe of it is suspect a turn later than it might be,
            since nobody looks at it before that.
    """

    series: Series
    fate: Fate
    is_calm: bool = True
    flying: dict[int, int] = field(default_factory=dict)  # when answered, by when sent
    grown: set[int] = field(default_factory=set)
    issued: list[int] = field(default_factory=list)

    def turn(self, now_ns: int, rates: Rates) -> None:
        """Do what the engine does in a turn."""
        due_ns = self.series.due_ns(rates)
        if due_ns is not None and due_ns <= now_ns:
            if self.is_calm and self.flying:
                self.is_calm = False
                self.grown.update(self.flying)  # there is company now
            sent_ns = self.series.issue(now_ns, rates)
            self.issued.append(sent_ns)
            self.flying[sent_ns] = sent_ns + self.fate.latency_ns(sent_ns)
        came = sorted((at_ns, sent_ns) for sent_ns, at_ns in self.flying.items() if at_ns <= now_ns)
        for at_ns, sent_ns in came:
            self.flying[sent_ns] = NEVER_NS
            if at_ns - sent_ns <= rates.timeout_ns:
                self.series.good(sent_ns, Answer(at_ns - sent_ns), now_ns, rates)
                del self.flying[sent_ns]
                self.is_calm = self.series.calm(now_ns, rates) is not None
            else:
                self.series.bad(sent_ns, "no-reply", now_ns, rates)
                self.series.hurry(now_ns, rates)
        for sent_ns in list(self.flying):
            if sent_ns + rates.timeout_ns <= now_ns:
                self.series.bad(sent_ns, "no-reply", now_ns, rates)
                if sent_ns + rates.timeout_ns + SECOND_NS <= now_ns:
                    del self.flying[sent_ns]
        for sent_ns in self.flying:
            if sent_ns + self._patience_ns(rates) <= now_ns and sent_ns not in self.grown:
                self.grown.add(sent_ns)
                self.is_calm = False
                self.series.expect_answer(sent_ns, rates)

    def _patience_ns(self, rates: Rates) -> int:
        """Return how long a probe may be under way until somebody looks whether it is suspect."""
        if not self.is_calm:
            return SUSPECT_LEAST_NS
        latency_ns = self.series.baseline.latency_ns
        return (
            rates.timeout_ns if latency_ns is None else max(SUSPECT_BASELINES * latency_ns, SUSPECT_LEAST_NS)
        )


def turns(lapse_s: float) -> Iterator[int]:
    """Yield when the engine has its turns: at all times but in a lapse."""
    for now_ns in range(0, END_NS, TURN_NS):
        if not LAPSE_NS < now_ns < LAPSE_NS + lapse_s * SECOND_NS:
            yield now_ns


def by_echoes(
    fates: list[Fate], rates: Rates, lapse_s: float, chance: Random
) -> tuple[dict[str, list[Span]], int]:
    """Return the spans by address, and how many turns it was that some were calm, of all."""
    machine = Machine()
    child = make_child(source=machine)
    child.watch = NeverLate(child.clock)
    outbox = RecordingOutbox()
    schedule = Schedule(1_000_000)
    addresses = Addresses(V4, child.incarnation, timeout_ns=rates.timeout_ns)
    net = Net(addresses, fates, chance)
    lane = cast("Lane", net)
    echoes = Echoes(child, Quiet(child, outbox), schedule, rates)
    for row in range(len(fates)):
        assert addresses.add(TargetId(str(row)), bytes([10, 0, 0, row])) == row
        echoes.begin(lane, row, None, missed=None)
    calm_turns = 0
    for now_ns in turns(lapse_s):
        machine.pass_ns(now_ns - child.clock.now_ns())
        followed = schedule.take_first(now_ns, now_ns)
        calm, strays = echoes.strays(lane, addresses.due(now_ns), now_ns)
        followed += strays
        followed += schedule.take_last(now_ns, now_ns, 100)
        rows = [each.row for each in followed] + calm.tolist()
        if rows:
            echoes.sent(followed, calm, lane, net.send(rows, now_ns))
        for heard in net.receive(now_ns):
            echoes.hear(lane, heard, Batch(now_ns, 0, is_sure=True))
        echoes.expire([lane], now_ns)
        calm_turns += bool(addresses.is_calm.any())
    for row in range(len(fates)):
        echoes.end(lane, row)
    assert addresses.oldest_ns() is None
    found: dict[str, list[Span]] = {}
    for span in sorted(outbox.spans.values(), key=lambda span: span.first_sent_ns):
        found.setdefault(span.target, []).append(span)
    return found, calm_turns


def by_series(row: int, fate: Fate, rates: Rates, lapse_s: float) -> list[Span]:
    """Return the spans of an address that is followed all the time."""
    told = Told()
    series = Series(ICMP, Incarnation("test.1"), told)
    series.add(TargetId(str(row)), None, 0, rates)
    oracle = Oracle(series, fate)
    for now_ns in turns(lapse_s):
        oracle.turn(now_ns, rates)
    series.close()
    return sorted(told.spans.values(), key=lambda span: span.first_sent_ns)


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.02, 0.1, 0.4]), st.sampled_from([0.0, 1.0, 2.5]))
@example(686765, 0.4, 1.0)
@example(1554, 0.4, 0.0)
@example(1175425597, 0.4, 1.0)
@settings(max_examples=25, deadline=None)
def test_spans_are_those_of_a_series_for_each(seed: int, trouble: float, lapse_s: float) -> None:
    """To the probe, whatever happens, and whenever an address is calm in between."""
    rates = Rates.within(sections.ICMP, checks=ADDRESSES, fast=0)
    fates = [Fate(seed + row, trouble) for row in range(ADDRESSES)]
    chance = Random(seed)  # noqa: S311 - nonces that can be had again
    found, calm_turns = by_echoes(fates, rates, lapse_s, chance)
    for row, fate in enumerate(fates):
        assert found.get(str(row), []) == by_series(row, fate, rates, lapse_s)
    assert calm_turns > 0
