"""What a worker tells of its checks in beats, and the supervisor's picture of them."""

import asyncio
from collections.abc import Awaitable, Callable

from downtimer.messages import Learnt, Reached, Turned
from downtimer.model import Baseline, TargetId
from downtimer.supervisor.picture import Picture
from downtimer.workers.probing import LEARNT_MAX, LEARNT_MORE_S, TURNED_MAX, Findings
from tests.engines import RecordingBus, RecordingOutbox, make_child

NOVA = TargetId("service:nova")


def told(*turns: tuple[TargetId, str | None]) -> tuple[Picture, Findings]:
    """Return the picture after a first beat in which all of these are to be told."""
    findings, picture = Findings(make_child(""), RecordingOutbox()), Picture()
    for at_ns, (target, cause) in enumerate(turns):
        findings.turned(target, "answers", at_ns, cause)
    picture.take("api", findings.beat({}))
    return picture, findings


def test_check_that_came_back_within_one_beat_is_up() -> None:
    picture, _ = told((NOVA, "refused"), (NOVA, None))
    assert not picture.is_down(NOVA, "answers")


def test_check_that_failed_again_within_one_beat_is_down() -> None:
    picture, _ = told((NOVA, "refused"), (NOVA, None), (NOVA, "reset"))
    assert list(picture.down()) == [Turned(NOVA, "answers", 2, "reset")]


def test_what_is_too_much_for_one_beat_comes_with_the_next_as_it_stands_then() -> None:
    many = [TargetId(f"address:{i}") for i in range(TURNED_MAX + 2)]
    picture, findings = told(*((target, "no-reply") for target in many))
    assert len(list(picture.down())) == TURNED_MAX
    findings.turned(many[0], "answers", 1, None)
    findings.turned(many[-1], "answers", 1, None)
    picture.take("api", findings.beat({}))
    assert {turned.target for turned in picture.down()} == set(many[1:-1])


def learn(number: int, then: Callable[[Findings], Awaitable[None]]) -> list[Learnt]:
    """Return what is said of so many baselines that are learnt in one turn of the loop."""
    child = make_child("")
    assert isinstance(child.bus, RecordingBus)

    async def scenario() -> None:
        findings = Findings(child, RecordingOutbox())
        for i in range(number):
            findings.learnt(TargetId(f"address:{i}"), "icmp", Baseline(latency_ns=i))
        await then(findings)

    asyncio.run(scenario())
    return [message for message in child.bus.said if isinstance(message, Learnt)]


def test_what_is_learnt_is_collected_and_told_in_messages_of_bounded_size() -> None:
    async def wait(findings: Findings) -> None:
        while findings.has_learnt():  # noqa: ASYNC110 - timers of its own tell it
            await asyncio.sleep(LEARNT_MORE_S)

    said = learn(2 * LEARNT_MAX + 1, wait)
    assert [len(learnt.normals) for learnt in said] == [LEARNT_MAX, LEARNT_MAX, 1]
    told = [each.target for learnt in said for each in learnt.normals]
    assert told == [TargetId(f"address:{i}") for i in range(2 * LEARNT_MAX + 1)]


def test_what_is_learnt_of_several_kinds_leaves_together_at_a_flush_and_once() -> None:
    async def flush(findings: Findings) -> None:
        findings.silent(NOVA)
        findings.reached(NOVA, "tcp-22")
        findings.tell_learnt()
        findings.tell_learnt()

    (said,) = learn(1, flush)
    assert (len(said.normals), said.silent, said.reached) == (1, (NOVA,), (Reached(NOVA, "tcp-22"),))
