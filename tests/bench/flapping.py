"""A day of a cloud in which some addresses flap, as its workers tell the writer, minute by minute. Pure."""

import ipaddress
import random
import uuid
from collections.abc import Iterator
from typing import Final

from downtimer import targets
from downtimer.messages import Body, LatencyWindow, Progress, SpanRow
from downtimer.model import (
    ANSWERS,
    ICMP,
    LOGIN,
    MILLISECOND_NS,
    SECOND_NS,
    WORKS,
    Baseline,
    Incarnation,
    Span,
    TargetId,
    TargetState,
    Verdict,
)

MINUTE_NS: Final = 60 * SECOND_NS
MINUTES: Final = 24 * 60
FLAPS_EVERY: Final = 10  # minutes
CHECKPOINTS_EVERY: Final = 10  # minutes
INTERVAL_NS: Final = SECOND_NS // 5
_DOWN_NS: Final = 30 * SECOND_NS
_WINDOW_NS: Final = 10 * SECOND_NS
_FIRST: Final = ipaddress.IPv4Address("10.0.0.0")
_PROJECTS: Final = 1_000
_ICMP: Final = Incarnation("icmp.0123456789abcdef")
_API: Final = Incarnation("api.0123456789abcdef")
_SERVICES: Final = (
    "keystone",
    "nova",
    "neutron",
    "glance",
    "cinder",
    "heat",
    "swift",
    "ironic",
    "trove",
    "magnum",
)
_ANSWERS: Final = {ANSWERS: 20, WORKS: 5, LOGIN: 1}
"""In a window of ten seconds, by check."""


def addresses(count: int) -> list[TargetState]:
    """Return so many floating IPs with servers, in a thousand projects, each with its baseline."""
    return [
        TargetState(
            target=targets.address(
                _FIRST + number,
                project_id=uuid.UUID(int=number % _PROJECTS << 90).hex,
                project=f"project-{number % _PROJECTS}",
                server_id=str(uuid.UUID(int=number << 90)),
                server=f"server-{number}",
            ),
            discovered_ns=SECOND_NS,
            listed_ns=SECOND_NS,
            baselines={ICMP: Baseline(latency_ns=400_000 + number)},
        )
        for number in range(count)
    ]


def services() -> list[TargetState]:
    """Return ten services."""
    roots = {name: f"http://172.29.236.10/{name}/" for name in _SERVICES}
    return [
        TargetState(
            target=targets.service(
                targets.Endpoint(
                    service=name,
                    type=name,
                    region="RegionOne",
                    interface="public",
                    url=f"{root}v2/",
                    root=root,
                )
            ),
            discovered_ns=0,
            listed_ns=0,
        )
        for name, root in roots.items()
    ]


class Day:
    """What is told of them.

    Args:
        states: Of the addresses; each is up all the time but when it flaps.
        checkpoints_every: So many minutes all open spans are told as they stand.
    """

    def __init__(self, states: list[TargetState], *, checkpoints_every: int = CHECKPOINTS_EVERY) -> None:
        self._began = {state.target.id: SECOND_NS + number * 10_000 for number, state in enumerate(states)}
        self._targets = list(self._began)
        self._checkpoints_every = checkpoints_every
        self._checks = [(state.target.id, check) for state in services() for check in (ANSWERS, WORKS)]
        self._checks.append((self._checks[0][0], LOGIN))
        self._chance = random.Random(5)  # noqa: S311 - a choice that can be repeated
        self._flapping: list[TargetId] = []

    def open_spans(self, at_ns: int) -> Iterator[SpanRow]:
        """Yield the open span of each address: its first word, if that is before it began."""
        for target, first_ns in self._began.items():
            yield _row(target, Verdict.UP, first_ns, max(at_ns - first_ns, 0), is_open=True)

    def minutes(self, count: int) -> Iterator[Body]:
        """Yield what is told in each minute, but for the first words."""
        for minute in range(1, count + 1):
            now_ns = minute * MINUTE_NS
            told = list(self._flaps(minute, now_ns))
            if minute % self._checkpoints_every == self._checkpoints_every // 2:
                told += self.open_spans(now_ns)
            yield Body(
                spans=tuple(told),
                latencies=tuple(self._latencies(now_ns)),
                progress=(
                    Progress(_ICMP, ICMP, now_ns, INTERVAL_NS, INTERVAL_NS),
                    Progress(_API, ANSWERS, now_ns, INTERVAL_NS, INTERVAL_NS),
                ),
            )

    def _flaps(self, minute: int, now_ns: int) -> Iterator[SpanRow]:
        """Yield the ends of the outages of the last minute, and the beginnings of those of this."""
        for target in self._flapping:
            down_ns = now_ns - MINUTE_NS + INTERVAL_NS
            yield _row(target, Verdict.DOWN, down_ns, _DOWN_NS, is_open=False)
            self._began[target] = up_ns = down_ns + _DOWN_NS + INTERVAL_NS
            yield _row(target, Verdict.UP, up_ns, 0, is_open=True)
        self._flapping = []
        if minute % FLAPS_EVERY == 0:
            self._flapping = self._chance.sample(self._targets, max(len(self._targets) // 100, 1))
        for target in self._flapping:
            first_ns = self._began[target]
            yield _row(target, Verdict.UP, first_ns, now_ns - first_ns, is_open=False)
            yield _row(target, Verdict.DOWN, now_ns + INTERVAL_NS, 0, is_open=True)

    def _latencies(self, now_ns: int) -> Iterator[LatencyWindow]:
        for start_ns in range(now_ns - MINUTE_NS, now_ns, _WINDOW_NS):
            for target, check in self._checks:
                median_ns = self._chance.randrange(3 * MILLISECOND_NS, 60 * MILLISECOND_NS)
                yield LatencyWindow(
                    target=target,
                    check=check,
                    start_ns=start_ns + self._chance.randrange(MILLISECOND_NS),
                    answers=_ANSWERS[check],
                    min_ns=median_ns // 2,
                    median_ns=median_ns,
                    max_ns=median_ns * 3,
                )


def _row(target: TargetId, verdict: Verdict, first_ns: int, length_ns: int, *, is_open: bool) -> SpanRow:
    probes = length_ns // INTERVAL_NS + 1
    span = Span(
        target=target,
        check=ICMP,
        verdict=verdict,
        first_sent_ns=first_ns,
        last_sent_ns=first_ns + length_ns,
        probes=probes,
        widest_ns=INTERVAL_NS if length_ns else 0,
        causes={"no-reply": probes} if verdict is Verdict.DOWN else {},
        max_gap_ns=2 * SECOND_NS,
        incarnation=_ICMP,
    )
    return SpanRow.of(span, is_open=is_open)
