"""What the log is told of outages, and that many at once do not fill it."""

from downtimer.messages import Turned
from downtimer.model import SECOND_NS, TargetId
from downtimer.supervisor.chronicle import LINES_MOST, Chronicle


def turned(number: int, cause: str | None, since_s: int = 0) -> Turned:
    """Return what a worker says of an address."""
    return Turned(TargetId(f"address/10.0.0.{number}"), "icmp", since_s * SECOND_NS, cause)


def make() -> tuple[Chronicle, list[str]]:
    """Return a chronicle, and what it tells."""
    lines: list[str] = []
    return Chronicle(lambda one: one.target.removeprefix("address/"), lines.append), lines


def test_each_outage_has_a_line_when_it_begins_and_when_it_ends() -> None:
    chronicle, lines = make()
    chronicle.take(turned(1, "no-reply", 5), None)
    chronicle.tick()
    chronicle.take(turned(1, None, 8), 5 * SECOND_NS)
    chronicle.take(turned(2, None, 8), None)
    chronicle.tick()
    assert lines == [
        "10.0.0.1, icmp: is down: no-reply",
        "10.0.0.1, icmp: is up again, after 3.0 s",
        "10.0.0.2, icmp: is up",
    ]


def test_of_many_at_once_the_first_are_named_and_the_others_counted() -> None:
    chronicle, lines = make()
    for number in range(LINES_MOST + 30):
        chronicle.take(turned(number, "no-reply"), None)
    for number in range(3):
        chronicle.take(turned(number, None), 0)
    assert len(lines) == LINES_MOST
    chronicle.tick()
    assert lines[LINES_MOST:] == ["and 30 more are down, 3 more are up again"]
    chronicle.tick()
    chronicle.take(turned(1, "no-reply"), None)
    assert len(lines) == LINES_MOST + 2
