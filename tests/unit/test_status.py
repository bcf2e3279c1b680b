"""What `status` answers of a run with many targets, of which many are down."""

import asyncio
import ipaddress
from pathlib import Path
from typing import Any

from downtimer import targets
from downtimer.control import protocol
from downtimer.control.status_text import render
from downtimer.messages import Beat, Counts, Turned
from downtimer.model import ICMP, SECOND_NS, Kind, TargetState
from downtimer.supervisor.bus import Bus
from downtimer.supervisor.measurement import Measurement
from downtimer.supervisor.status import DOWN_MAX, status
from downtimer.supervisor.targets import TargetList
from downtimer.workers.probing import TURNED_MAX
from tests.engines import make_child

DOWN = 3 * TURNED_MAX


def address(number: int) -> TargetState:
    """Return the state of an address."""
    target = targets.address(ipaddress.ip_address("10.0.0.0") + number)
    return TargetState(target=target, discovered_ns=0, listed_ns=0)


def answer(directory: Path, states: list[TargetState]) -> dict[str, Any]:
    """Return what is answered while most of these are down, the later ones for longer."""

    async def ask() -> dict[str, Any]:
        bus = Bus(f"ipc://{directory}/bus")
        try:
            measurement = Measurement(make_child().settings, bus, TargetList(states))
            for first in range(0, DOWN, TURNED_MAX):
                turned = tuple(
                    Turned(state.target.id, ICMP, SECOND_NS * (DOWN - number), "no-reply")
                    for number, state in enumerate(states[first : first + TURNED_MAX], first)
                )
                counts = {Kind.ADDRESS: Counts(up=len(states) - DOWN, down=DOWN)}
                measurement.picture.take("icmp", Beat(counts=counts, turned=turned))
            return status(measurement, 0)
        finally:
            bus.close()

    return asyncio.run(ask())


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
