"""What `status` answers of a run with many targets, of which many are down."""

import asyncio
import ipaddress
from pathlib import Path
from typing import Any

from downtimer import targets
from downtimer.control import protocol
from downtimer.control.status_text import render
from downtimer.messages import Beat, Counts, Standing, Turned
from downtimer.model import ANSWERS, ICMP, SECOND_NS, WORKS, Kind, TargetState, Verdict
from downtimer.supervisor.bus import Bus
from downtimer.supervisor.measurement import Measurement
from downtimer.supervisor.status import DOWN_MAX, status
from downtimer.supervisor.targets import TargetList
from downtimer.workers.probing import TURNED_MAX
from tests.engines import make_child
from tests.unit import status_answers
from tests.unit.status_answers import counts

DOWN = 3 * TURNED_MAX


def address(number: int) -> TargetState:
    """Return the state of an address."""
    target = targets.address(ipaddress.ip_address("10.0.0.0") + number)
    return TargetState(target=target, discovered_ns=0, listed_ns=0)


def service(name: str) -> TargetState:
    """Return the state of a service."""
    return TargetState(target=targets.static_service(name, f"http://{name}/"), discovered_ns=0, listed_ns=0)


def answer_to(directory: Path, states: list[TargetState], *beats: tuple[str, Beat]) -> dict[str, Any]:
    """Return what is answered after these beats, each of a class of process."""

    async def ask() -> dict[str, Any]:
        bus = Bus(f"ipc://{directory}/bus")
        try:
            measurement = Measurement(make_child().settings, bus, TargetList(states))
            for name, beat in beats:
                measurement.picture.take(name, beat)
            return status(measurement, 0)
        finally:
            bus.close()

    return asyncio.run(ask())


def test_what_is_paused_does_not_look_broken() -> None:
    discovery, _, _, writer = status_answers.answer()["processes"]
    paused = status_answers.answer(
        paused="2026-11-26T02:11:10.000000Z",
        processes=[discovery | {"state": "ended", "pid": None, "beat_age_s": None}, writer],
        targets={"service": counts(unseen=8), "address": counts(unseen=20), "agent": counts()},
    )
    lines = "".join(render(paused)).splitlines()
    assert "               probed       up     slow     down  unknown   paused" in lines
    assert [line.split()[:2] for line in lines if line.startswith(("discovery", "writer"))] == [
        ["discovery", "rests"],
        ["writer", "running"],
    ]
    assert not any("unseen" in line or "ended" in line for line in lines)


def test_each_service_is_told_of_and_those_that_are_not_up_come_first(tmp_path: Path) -> None:
    states = [service(name) for name in ("a", "b", "c", "d")]
    a, b, c, d = (state.target.id for state in states)
    standings = (
        Standing(a, Verdict.UP, 3_000_000),
        Standing(b, Verdict.UP, None),
        Standing(c, Verdict.DOWN, 4_000_000),
    )
    turned = (Turned(c, WORKS, 2 * SECOND_NS, "http-503"), Turned(c, ANSWERS, SECOND_NS, "refused"))
    beat = Beat(counts={Kind.SERVICE: Counts(up=2, down=1, unseen=1)}, standings=standings, turned=turned)
    answered = answer_to(tmp_path, states, ("api", beat))
    assert [(one["target"], one["state"], one["latency_s"]) for one in answered["services"]] == [
        (c, "down", 0.004),
        (d, "unseen", None),
        (a, "up", 0.003),
        (b, "up", None),
    ]
    assert [(one["check"], one["cause"]) for one in answered["services"][0]["down"]] == [
        (ANSWERS, "refused"),
        (WORKS, "http-503"),
    ]
    assert answered["starting"] is True


def test_a_beat_that_says_nothing_of_services_one_by_one_leaves_them_as_they_were(tmp_path: Path) -> None:
    one = service("a")
    told = Beat(standings=(Standing(one.target.id, Verdict.SLOW, 1),))
    (found,) = answer_to(tmp_path, [one], ("api", told), ("api", Beat()))["services"]
    assert found["state"] == "slow"


def answer(directory: Path, states: list[TargetState]) -> dict[str, Any]:
    """Return what is answered while most of these are down, the later ones for longer."""
    beats = []
    for first in range(0, DOWN, TURNED_MAX):
        turned = tuple(
            Turned(state.target.id, ICMP, SECOND_NS * (DOWN - number), "no-reply")
            for number, state in enumerate(states[first : first + TURNED_MAX], first)
        )
        counts = {Kind.ADDRESS: Counts(up=len(states) - DOWN, down=DOWN)}
        beats.append(("icmp", Beat(counts=counts, turned=turned)))
    return answer_to(directory, states, *beats)


def test_of_many_that_are_down_the_thousand_that_are_so_for_longest_are_named(tmp_path: Path) -> None:
    states = [address(number) for number in range(DOWN + 10)]
    answered = answer(tmp_path, states)
    assert [item["target"] for item in answered["down"]] == [
        states[number].target.id for number in range(DOWN - 1, DOWN - 1 - DOWN_MAX, -1)
    ]
    assert answered["targets"]["address"]["probed"] == len(states)
    assert answered["targets"]["address"]["down"] == DOWN
    assert answered["more_down"] == DOWN - DOWN_MAX
    text = "".join(render(answered))
    assert text.count("icmp: no-reply, since") == 50
    assert f"  … and {DOWN - 50} more, for less long.\n" in text
    reply = protocol.encode_result(answered)
    assert protocol.decode_reply(reply).result == answered
    assert len(reply) < protocol.REPLY_MAX / 4
