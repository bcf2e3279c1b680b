"""Plays all kinds of fault once, and judges what is reported of them."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from downtimer.demo.truth import now_ns
from downtimer.model import SECOND_NS
from tests.accuracy import kinds
from tests.accuracy.judge import Judge, Report, Request, Tally
from tests.accuracy.kinds import Kind, Measure
from tests.accuracy.stage import ADDRESSES, QUIET_SERVICES, UNTOUCHED, Stage
from tests.integration.command import Command

ECHO_BYTES: Final = 24
"""Of downtimer's echoes, which tell them from those of fping: header and cookie."""

_MINUTE_NS: Final = 60 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of it.

    Attributes:
        tallies: One for each kind of fault.
        invented_s: Downtime reported on targets that were left alone.
        requests_a_second: The most that a URL which is up got, averaged over a minute.
    """

    tallies: Sequence[Tally]
    invented_s: float
    requests_a_second: float


def play(directory: Path, *, seed: int, count: int) -> Played:
    """Play so many faults of each kind; return what was made of them.

    Args:
        directory: For everything; keeps the journal.
        seed: Of the plan.
        count: Faults of each kind.
    """
    with Stage(directory) as stage:
        peers = stage.peers()
        stage.measure()
        begun_ns = now_ns()
        stage.play(seed, count)
        ended_ns = now_ns()
        stage.command.ok("stop")
        report = Report(journal_of(stage.command))
        judge = Judge(report, stage.cloud.truth.faults, peers.samples())
        requests = _requests(stage, report)
        tallies = [
            judge.tally(kind, _targets_of(kind), requests) for kind in (*kinds.SERVICES, *kinds.ADDRESSES)
        ]
        return Played(
            tallies=tallies,
            invented_s=judge.invented_s((*QUIET_SERVICES, *UNTOUCHED)),
            requests_a_second=_busiest_minute(stage, begun_ns, ended_ns),
        )


def journal_of(command: Command) -> Path:
    """Return the journal of the only run."""
    (journal,) = (command.state_dir / "runs").glob("*.sqlite")
    return journal


def _targets_of(kind: Kind) -> Sequence[str]:
    return ADDRESSES.get(kind, [kind.name])


def _requests(stage: Stage, report: Report) -> Mapping[str, Sequence[Request]]:
    """Return our own requests to targets where only some fail, by the logs of what failed them."""
    found: dict[str, Sequence[Request]] = {}
    for player in stage.players:
        if player.kind.measure is not Measure.SHARE:
            continue
        if player.target in stage.proxied:
            found[player.target] = [
                Request(one.at_ns - report.origin_ns, one.status >= 500)
                for one in stage.proxy.requests(player.target, stage.cloud.truth)
                if one.agent.startswith("downtimer")
            ]
        else:
            found[player.target] = [
                Request(echo.at_ns - report.origin_ns, not echo.copies)
                for echo in stage.cloud.echoes(player.target)
                if echo.size == ECHO_BYTES
            ]
    return found


def _busiest_minute(stage: Stage, begun_ns: int, ended_ns: int) -> float:
    """Return the most requests a second that a URL got which was up, over a minute, by its proxy's log."""
    *_, untouched = QUIET_SERVICES
    at = [
        one.at_ns
        for one in stage.proxy.requests(untouched, stage.cloud.truth)
        if one.agent.startswith("downtimer") and begun_ns <= one.at_ns <= ended_ns
    ]
    rates = []
    for first, at_ns in enumerate(at):
        last = bisect_left(at, at_ns + _MINUTE_NS)
        if last < len(at):
            rates.append((last - first) * SECOND_NS / (at[last] - at_ns))
    return max(rates)
