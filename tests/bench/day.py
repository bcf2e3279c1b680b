"""A day that was measured, as a journal, written by the code that writes every journal.

One icmp and one api worker measure a cloud for 24 hours, without a break. Each outage befalls one address, at
any time; most last for seconds, and one of ten is the first of three with little good between them. A tenth
as many times an address is slow. Services fail every few hours, by all of their checks. The reference loses
an echo now and then, so that it has to be asked of everything else whether our own link was down.
"""

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Final, TypeVar
from uuid import UUID

from downtimer import targets
from downtimer.messages import LatencyWindow, Progress, SpanFact
from downtimer.model import (
    ANSWERS,
    ICMP,
    MILLISECOND_NS,
    SECOND_NS,
    WORKS,
    Auth,
    Baseline,
    Call,
    Incarnation,
    Mark,
    Run,
    RunId,
    Span,
    Target,
    TargetId,
    TargetState,
    Verdict,
)
from downtimer.store.journal import Facts, JournalWriter

DAY_NS: Final = 86_400 * SECOND_NS
RUN: Final = Run(
    id=RunId("20261122-163705-0001"),
    label="zed → antelope",
    vantage="deploy01",
    cloud="http://172.29.236.10:5000",
    start_utc_ns=1_795_365_425_123_000_000,
    boot_origin_ns=0,
    boot_id="boot",
)

_COMMIT: Final = 20_000  # facts
_FIRST: Final = int(IPv4Address("10.0.0.1"))
_PORT: Final = 8774
_SERVICES: Final = {
    "barbican": "key-manager",
    "cinder": "volumev3",
    "designate": "dns",
    "glance": "image",
    "heat": "orchestration",
    "keystone": "identity",
    "neutron": "network",
    "nova": "compute",
    "octavia": "load-balancer",
    "placement": "placement",
}
_WINDOW_NS: Final = 10 * SECOND_NS
_FAST_NS: Final = 50 * MILLISECOND_NS
_LATE_NS: Final = 300_000  # is the latest of an echo
_STORM: Final = 3  # outages
_STORMS: Final = 0.1  # of all that befalls addresses
_SLOW: Final = 0.1
_OTHERS: Final = 50  # one of so many failures has another cause than most
_LOST: Final = 8  # echoes of the reference
_OF_SERVICE: Final = 5  # outages of each

_Disturbance = tuple[int, int, Verdict]  # when, for how long, and what probes say meanwhile
_Fact = TypeVar("_Fact", TargetState, SpanFact, LatencyWindow)


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is to report.

    Attributes:
        addresses: How many are measured.
        outages: Of all of them together.
    """

    addresses: int
    outages: int


@dataclass(frozen=True, slots=True)
class _Check:
    """A series of probes.

    Attributes:
        state: Of its target.
        name: Its name.
        worker: Who probes.
        interval_ns: How far probes are apart while all is well.
        cause: Of most of its failures.
    """

    state: TargetState
    name: str
    worker: Incarnation
    interval_ns: int
    cause: str

    def spans(self, disturbances: list[_Disturbance], phase_ns: int) -> Iterator[Span]:
        """Yield its spans, from its first probe on, which is sent at `phase_ns`; the last is still open."""
        at_ns, every_ns = phase_ns, self.interval_ns
        for start_ns, length_ns, verdict in sorted(disturbances):
            earliest_ns = max(start_ns, at_ns + 2 * every_ns)  # not before the last one was over
            first_ns = earliest_ns - (earliest_ns - at_ns) % every_ns
            last_ns = first_ns + length_ns // _FAST_NS * _FAST_NS
            yield self._span(Verdict.UP, at_ns, first_ns - every_ns, every_ns)
            yield self._span(verdict, first_ns, last_ns, _FAST_NS)
            at_ns = last_ns + _FAST_NS
        yield self._span(Verdict.UP, at_ns, at_ns, every_ns)

    def _span(self, verdict: Verdict, first_ns: int, last_ns: int, every_ns: int) -> Span:
        probes = (last_ns - first_ns) // every_ns + 1
        others = probes // _OTHERS if verdict is Verdict.DOWN else 0
        causes = {self.cause: probes - others} if verdict is Verdict.DOWN else {}
        return Span(
            target=self.state.target.id,
            check=self.name,
            verdict=verdict,
            first_sent_ns=first_ns,
            last_sent_ns=last_ns,
            probes=probes,
            widest_ns=every_ns + _LATE_NS if probes > 1 else 0,
            causes=causes | ({"unreachable": others} if others else {}),
            max_gap_ns=max(3 * every_ns, 2 * SECOND_NS),
            incarnation=self.worker,
        )


class Day:
    """What was measured.

    Args:
        size: Of it.
        seed: Of chance.
    """

    def __init__(self, size: Size, seed: int = 1) -> None:
        self._size = size
        self._chance = Random(seed)  # noqa: S311 - nothing is hidden by it
        icmp, api = Incarnation("icmp.fedcba9876543210"), Incarnation("api.0123456789abcdef")
        self._addresses = [
            _Check(state, ICMP, icmp, 200 * MILLISECOND_NS, "no-reply")
            for state in map(_address, range(size.addresses))
        ]
        self._reference = _Check(_reference(), ICMP, icmp, 200 * MILLISECOND_NS, "no-reply")
        services = [_service(name, kind) for name, kind in _SERVICES.items()]
        self._answers = [_Check(each, ANSWERS, api, 500 * MILLISECOND_NS, "refused") for each in services]
        self._works = [_Check(each, WORKS, api, 2 * SECOND_NS, "http-500") for each in services]

    def write(self, path: Path) -> int:
        """Write it as the journal of a run that has ended; return how many spans it has."""
        facts: list[SpanFact] = [
            *(SpanFact(span, is_open=span.last_sent_ns == span.first_sent_ns) for span in self._spans()),
        ]
        facts.sort(key=lambda fact: fact.span.last_sent_ns)
        with contextlib.closing(JournalWriter(str(path), RUN, ships=False)) as writer:
            for states in _batches([check.state for check in self._checks()]):
                writer.apply(Facts(states={state.target.id: state for state in states}))
            for spans in _batches(facts):
                writer.apply(Facts(spans=list(spans)))
            for windows in _batches(list(self._windows())):
                writer.apply(Facts(latencies=windows))
            progress = {(one.incarnation, one.check): one for one in self._progress()}
            writer.apply(Facts(progress=progress, marks=[Mark(at_ns=DAY_NS // 2, text="neutron done")]))
            writer.end_run(DAY_NS)
            rows: int = writer.rows
        return rows

    def _checks(self) -> Iterator[_Check]:
        """Yield a check of each target."""
        yield from (*self._answers, self._reference, *self._addresses)

    def _spans(self) -> Iterator[Span]:
        told = self._befallen()
        for check in self._addresses:
            yield from check.spans(told[check.state.target.id], self._phase_ns())
        lost = [(self._instant_ns(), 0, Verdict.DOWN) for _ in range(_LOST)]
        yield from self._reference.spans(lost, self._phase_ns())
        for answers, works in zip(self._answers, self._works, strict=True):
            outages = [(self._instant_ns(), self._length_ns(), Verdict.DOWN) for _ in range(_OF_SERVICE)]
            yield from answers.spans(outages, self._phase_ns())
            yield from works.spans(outages, self._phase_ns())

    def _befallen(self) -> defaultdict[TargetId, list[_Disturbance]]:
        """Return what befalls each address."""
        found: defaultdict[TargetId, list[_Disturbance]] = defaultdict(list)
        outages = 0
        while outages < self._size.outages:
            befallen = found[self._chance.choice(self._addresses).state.target.id]
            at_ns = self._instant_ns()
            for _ in range(_STORM if self._chance.random() < _STORMS else 1):
                length_ns = self._length_ns()
                befallen.append((at_ns, length_ns, Verdict.DOWN))
                at_ns += length_ns + self._chance.randrange(2, 4) * SECOND_NS
                outages += 1
            if self._chance.random() < _SLOW:
                befallen.append((self._instant_ns(), self._length_ns(), Verdict.SLOW))
        return found

    def _instant_ns(self) -> int:
        return self._chance.randrange(60 * SECOND_NS, DAY_NS - 600 * SECOND_NS)

    def _phase_ns(self) -> int:
        return self._chance.randrange(SECOND_NS)

    def _length_ns(self) -> int:
        """Draw how long something lasts: most for seconds, few for minutes."""
        return round(SECOND_NS * 0.3 * math.pow(400, self._chance.random() ** 2))

    def _windows(self) -> Iterator[LatencyWindow]:
        for check in (*self._answers, *self._works):
            for start_ns in range(0, DAY_NS, _WINDOW_NS):
                yield LatencyWindow(
                    target=check.state.target.id,
                    check=check.name,
                    start_ns=start_ns,
                    answers=_WINDOW_NS // check.interval_ns,
                    min_ns=3_000_000,
                    median_ns=4_000_000,
                    max_ns=9_000_000,
                )

    def _progress(self) -> Iterator[Progress]:
        for check in (self._answers[0], self._works[0], self._reference):
            yield Progress(check.worker, check.name, DAY_NS, check.interval_ns, check.interval_ns + _LATE_NS)


def _batches(facts: list[_Fact]) -> Iterator[list[_Fact]]:
    for i in range(0, len(facts), _COMMIT):
        yield facts[i : i + _COMMIT]


def _address(number: int) -> TargetState:
    project = number // 40
    target = replace(
        targets.address(IPv4Address(_FIRST + number)),
        project_id=f"{project:032x}",
        project=f"project {project}",
        server_id=str(UUID(int=number)),
        server=f"server-{number}",
    )
    return _state(target, ICMP)


def _reference() -> TargetState:
    return _state(targets.reference(IPv4Address("10.255.255.254")), ICMP)


def _service(name: str, kind: str) -> TargetState:
    root = f"http://172.29.236.10:{_PORT}/{name}/"
    endpoint = targets.Endpoint(
        service=name, type=kind, region="RegionOne", interface="public", url=f"{root}v3", root=root
    )
    calls = (Call(WORKS, f"{root}v3?limit=1", Auth.TOKEN, root),)
    return _state(replace(targets.service(endpoint), calls=calls), ANSWERS, WORKS)


def _state(target: Target, *checks: str) -> TargetState:
    return TargetState(
        target=target,
        discovered_ns=0,
        listed_ns=DAY_NS,
        baselines={check: Baseline(latency_ns=4_000_000) for check in checks},
    )
