"""What became of an address: when its window ends, and what is said of its outages."""

from dataclasses import replace

import pytest

from downtimer.attribution import label, window_end_ns
from downtimer.model import Power, PowerChange, Span, TargetState
from tests.unit.runs import address, down, ns, slow, unknown, up

FAILED_AT_40 = [up(0, 39.5), down(40, 70)]


def end(state: TargetState, *spans: Span) -> float | None:
    """Return where the window ends, in seconds."""
    end_ns = window_end_ns(state, spans)
    return None if end_ns is None else end_ns / 1e9


@pytest.mark.parametrize(
    ("listed", "ends_at"),
    [
        (39, 39.5),  # the last list that had it was a second before the first failure
        (0, 39.5),
        (-19.9, 39.5),
        (-20, 60),  # a minute: for so long nobody looked
        (40.5, 60),  # a list had it while it failed
        (55, 60),
    ],
)
def test_address_that_failed_after_a_list_and_is_in_none_after_was_taken_away(
    listed: float, ends_at: float
) -> None:
    assert end(address("10.0.0.9", listed=listed, missing=60, retired=65), *FAILED_AT_40) == ends_at


def test_address_that_answers_to_the_end_is_measured_until_the_first_list_without_it() -> None:
    assert end(address("10.0.0.9", listed=30, missing=60, retired=65), up(0, 64)) == 60


def test_failures_before_the_last_good_answer_do_not_matter() -> None:
    spans = [up(0, 10), down(10.5, 20), slow(20.5, 30), unknown(30.5, 35)]
    assert end(address("10.0.0.9", listed=30, missing=60, retired=65), *spans) == 60


def test_address_that_never_answered_and_went_at_once_has_no_window() -> None:
    state = address("10.0.0.9", listed=0, missing=30, retired=35)
    assert end(state, down(0.1, 35)) is None
    assert end(replace(state, listed_ns=ns(29)), down(0.1, 35)) == 30


def powered(*powers: tuple[float, float, Power]) -> TargetState:
    """Return an address whose server was started and stopped, each between two instants."""
    changes = tuple(PowerChange(ns(after), ns(by), power) for after, by, power in powers)
    return replace(address("10.0.0.9"), powers=changes)


STOPPED = powered((30, 60, Power.STOPPED), (90, 120, Power.RUNNING))


@pytest.mark.parametrize(
    ("start", "end", "is_labelled"),
    [(10, 29, False), (10, 30, True), (45, 100, True), (70, 80, True), (120, 130, True), (121, 130, False)],
)
def test_outage_while_nova_reports_the_server_stopped_is_labelled_so(
    start: float, end: float, *, is_labelled: bool
) -> None:
    found = label(STOPPED, ns(start), ns(end), is_ongoing=False)
    assert found == ("Nova reported its server stopped" if is_labelled else None)


def test_a_server_that_is_not_started_again_stays_stopped() -> None:
    state = powered((30, 60, Power.STOPPED), (80, 90, Power.DELETED))
    assert label(state, ns(1000), ns(2000), is_ongoing=True) == (
        "Nova reported its server deleted, or being deleted"
    )
    assert label(state, ns(50), ns(2000), is_ongoing=True) == (
        "Nova reported its server stopped; Nova reported its server deleted, or being deleted"
    )


def test_outage_that_was_not_over_when_the_address_was_retired_is_labelled_so() -> None:
    state = address("10.0.0.9", missing=60, retired=65)
    assert label(state, ns(40), ns(60), is_ongoing=True) == "no longer listed"
    assert label(state, ns(10), ns(20), is_ongoing=False) is None
    assert label(address("10.0.0.9"), ns(10), ns(20), is_ongoing=True) is None
