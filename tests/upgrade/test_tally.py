"""What the prober's log says, on logs that are made up."""

import pytest

from tests.upgrade.tally import Asked, find_away, read

SECOND_NS = 1_000_000_000


def asked(kind: str, sent_s: float, took_s: float, what: str = "good") -> Asked:
    """Return a request; times in seconds."""
    return Asked(kind, round(sent_s * SECOND_NS), round((sent_s + took_s) * SECOND_NS), what)


def test_lines_are_read_in_order_of_sending() -> None:
    assert read(["root 20 30 timeout", "password 10 40 good"]) == [
        Asked("password", 10, 40, "good"),
        Asked("root", 20, 30, "timeout"),
    ]


def test_failures_with_good_answers_around_them_are_a_bracket() -> None:
    found = [asked("root", at, 0.01, "good" if at in (1, 2, 5) else "refused") for at in range(1, 6)]
    (away,) = find_away([*found, asked("password", 3, 0.1)], "root")
    assert (away.least_s, away.most_s) == (1, 3)
    assert away.causes == {"refused": 2}


def test_late_answer_is_a_failure_until_a_patience_before_it() -> None:
    found = [asked("password", 1, 0.1), asked("password", 2, 10), asked("password", 12, 0.1)]
    (away,) = find_away(found, "password")
    assert (away.first_ns, away.last_ns) == (2 * SECOND_NS, 10 * SECOND_NS)
    assert (away.least_s, away.most_s) == (8, 11)
    assert away.causes == {"late": 1}


def test_good_answer_between_failures_makes_them_two() -> None:
    found = [asked("root", at, 0.01, "good" if at % 2 else "http-500") for at in range(1, 6)]
    assert [away.least_s for away in find_away(found, "root")] == [0, 0]


def test_what_is_failing_at_an_end_has_no_bounds() -> None:
    with pytest.raises(ValueError, match="not good at both ends"):
        find_away([asked("root", 1, 0.01), asked("root", 2, 0.01, "refused")], "root")
