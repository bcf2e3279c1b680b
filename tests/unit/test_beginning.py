"""When a measurement has begun, and when it is given up."""

import asyncio

import pytest

from downtimer.supervisor import beginning
from downtimer.supervisor.beginning import LOSSES_MAX, Beginning, StartError


def outcome(made: Beginning) -> str:
    """Return why it failed; empty if it has not."""
    try:
        asyncio.run(made.wait())
    except StartError as exc:
        return str(exc)
    return ""


def test_what_comes_first_decides() -> None:
    made = Beginning()
    made.succeed()
    made.fail(StartError("no permission"))
    assert outcome(made) == ""
    made = Beginning()
    made.fail(StartError("no permission"))
    made.succeed()
    assert outcome(made) == "no permission"


def test_a_process_that_is_lost_again_and_again_ends_it() -> None:
    made = Beginning()
    for _ in range(LOSSES_MAX):
        assert not made.is_over
        made.lost("api", "was killed by signal 9")
    assert outcome(made) == "the api process was killed by signal 9, again and again; the log says why"


def test_it_is_not_waited_for_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "PATIENCE_S", 0.01)
    assert outcome(Beginning()) == "nothing could be measured within 0 s; the log says more"
