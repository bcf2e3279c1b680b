"""When discovery asks a service for a list."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from downtimer import config
from downtimer.messages import Answering, MayAsk
from downtimer.model import TargetId
from downtimer.workers.gate import Gate
from tests.engines import RecordingBus

NOVA, HEAT = TargetId("service:nova"), TargetId("service:heat")


def with_gate(scenario: Callable[[Gate], Awaitable[None]]) -> list[TargetId]:
    """Run a scenario in which Nova is measured; return of whom was asked."""
    bus = RecordingBus()

    async def run() -> None:
        section = config.parse("[static]\nips=10.0.0.1\n", "/c").api
        await scenario(Gate(bus, section, lambda target: target == NOVA))

    asyncio.run(run())
    return [said.target for said in bus.said if isinstance(said, MayAsk)]


@pytest.mark.parametrize("hangs", [False, True])
def test_all_who_wait_for_a_service_are_told_by_one_answer(*, hangs: bool) -> None:
    async def scenario(gate: Gate) -> None:
        waiting = [asyncio.ensure_future(gate.opens(NOVA)) for _ in range(2)]
        gate.begin_listing()
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


def test_without_an_answer_the_list_is_asked_for_nevertheless() -> None:
    async def scenario(gate: Gate) -> None:
        assert await gate.opens(NOVA, 0.05)
        gate.take(Answering(target=NOVA, hangs=True))  # too late, and to no effect
        assert await gate.opens(NOVA, 0.05)

    assert with_gate(scenario) == [NOVA, NOVA]


def test_all_waits_of_a_listing_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that only what is known already counts, such as that a call hangs."""
    monkeypatch.setattr("downtimer.workers.gate.LISTING_S", 0.5)

    async def scenario(gate: Gate) -> None:
        gate.begin_listing()
        begun = asyncio.get_running_loop().time()
        for _ in range(3):
            assert await asyncio.to_thread(gate.wait, NOVA)
        assert asyncio.get_running_loop().time() - begun < 0.5 + 2 * 0.2 + 0.5
        waiting = asyncio.ensure_future(asyncio.to_thread(gate.wait, NOVA))
        await asyncio.sleep(0.05)
        gate.take(Answering(target=NOVA, hangs=True))
        assert not await waiting

    assert with_gate(scenario) == 4 * [NOVA]
