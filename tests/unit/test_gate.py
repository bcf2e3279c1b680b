"""When discovery asks a service for a list."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from downtimer.messages import Answering, MayAsk
from downtimer.model import TargetId
from downtimer.workers import gate
from downtimer.workers.gate import Gate
from tests.engines import RecordingBus

NOVA, HEAT = TargetId("service:nova"), TargetId("service:heat")


def with_gate(scenario: Callable[[Gate], Awaitable[None]]) -> list[TargetId]:
    """Run a scenario in which Nova is measured; return of whom was asked."""
    bus = RecordingBus()

    async def run() -> None:
        await scenario(Gate(bus, lambda target: target == NOVA))

    asyncio.run(run())
    return [said.target for said in bus.said if isinstance(said, MayAsk)]


@pytest.mark.parametrize("hangs", [False, True])
def test_all_who_wait_for_a_service_are_told_by_one_answer(*, hangs: bool) -> None:
    async def scenario(gate: Gate) -> None:
        waiting = [asyncio.ensure_future(gate.opens(NOVA)) for _ in range(2)]
        waiting.append(asyncio.ensure_future(asyncio.to_thread(gate.wait, NOVA)))
        await asyncio.sleep(0.1)
        assert not any(one.done() for one in waiting)
        gate.take(Answering(target=HEAT, hangs=not hangs))  # another's
        gate.take(Answering(target=NOVA, hangs=hangs))
        assert await asyncio.gather(*waiting) == 3 * [not hangs]

    assert with_gate(scenario) == [NOVA]


def test_each_time_it_is_asked_anew() -> None:
    async def scenario(gate: Gate) -> None:
        for hangs in (True, False):
            waiting = asyncio.ensure_future(gate.opens(NOVA))
            await asyncio.sleep(0)
            gate.take(Answering(target=NOVA, hangs=hangs))
            assert await waiting is not hangs

    assert with_gate(scenario) == [NOVA, NOVA]


def test_service_that_is_not_measured_is_not_waited_for() -> None:
    async def scenario(gate: Gate) -> None:
        assert await gate.opens(HEAT)

    assert with_gate(scenario) == []


def test_without_an_answer_the_list_is_asked_for_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "WAIT_S", 0.05)

    async def scenario(gate: Gate) -> None:
        assert await gate.opens(NOVA)
        gate.take(Answering(target=NOVA, hangs=True))  # too late, and to no effect
        assert await gate.opens(NOVA)

    assert with_gate(scenario) == [NOVA, NOVA]
