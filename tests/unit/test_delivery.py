"""A worker's end of the points connection, where no writer ever answers."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from downtimer import clock
from downtimer.clock import RunClock
from downtimer.errors import DowntimerError
from downtimer.model import Incarnation
from downtimer.workers import delivery
from downtimer.workers.delivery import Delivery
from downtimer.workers.outbox import BATCH_MAX
from tests.unit.test_outbox import span


def test_what_waits_is_bounded_and_given_up_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is to take a part of it for all."""
    reports: list[tuple[str, str]] = []

    async def scenario() -> None:
        context: zmq.Context[Any] = zmq.Context()
        child = SimpleNamespace(
            clock=RunClock(clock.tie()),
            context=context,
            settings=SimpleNamespace(points="inproc://nobody"),
            incarnation=Incarnation("icmp.1"),
            report=lambda *words: reports.append(words),
        )
        made = Delivery(child)  # type: ignore[arg-type]
        try:
            for first_ns in range(BATCH_MAX):
                made.outbox.span(span(first_ns), is_open=False)
            monkeypatch.setattr(delivery, "WAITING_MAX", made.outbox.size)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(made.run(lambda: None), 0.1)
            assert made.outbox.size > BATCH_MAX
            monkeypatch.setattr(delivery, "WAITING_MAX", made.outbox.size - 1)
            with pytest.raises(ExceptionGroup) as raised:
                await made.run(lambda: None)
            assert raised.group_contains(DowntimerError, match="wait for the writer; they are given up")
        finally:
            made.close()
            context.term()

    asyncio.run(scenario())
    assert reports == [("dropped", "more than 0 MiB wait for the writer; they are given up")]
