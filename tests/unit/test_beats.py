"""What a worker tells of its checks in beats, and the supervisor's picture of them."""

from downtimer.messages import Turned
from downtimer.model import TargetId
from downtimer.supervisor.measurement import Picture
from downtimer.workers.probing import TURNED_MAX, Findings
from tests.engines import RecordingOutbox, make_child

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
