"""An outbox on its way to an InfluxDB that is played: what is shipped again, halved, and set apart."""

from collections.abc import Callable, Sequence

import pytest

from downtimer.store.influxclient import REQUEST_S, AccessError, InfluxError, RejectedError, SlowError
from downtimer.store.outbox import Load, Row
from downtimer.store.sink import ACCESS_RETRY_S, REFUSALS_MAX, RETRY_MAX_S, Shipper, retry_s


class Played:
    """An outbox, and an InfluxDB that takes the lines that `judge` does not raise for."""

    def __init__(self, rows: Sequence[Sequence[str]], judge: Callable[[list[str]], None]) -> None:
        self.taken: list[str] = []
        self.requests: list[list[str]] = []
        self.rows = [Row(len(lines), "\n".join(lines)) for lines in rows]
        self.judge = judge
        self.now_s = 0.0
        self.cost_s = 0.0
        """Of a point."""

        self.shipper = Shipper(self._next, self, lambda: self.now_s)

    def _next(self, after_id: int) -> Load | None:
        rows = self.rows[after_id:]
        return Load(len(self.rows), tuple(rows)) if rows else None

    def write(self, text: str) -> None:
        """Take points."""
        lines = text.split("\n")
        self.requests.append(lines)
        self.now_s += self.cost_s * len(lines)
        self.judge(lines)
        self.taken += lines

    def ship(self) -> None:
        """Ship all there is."""
        while self.shipper.step():
            pass


def points(number: int) -> list[str]:
    """Return so many points."""
    return [f"p{i}" for i in range(number)]


def refusing(
    *bad: str, message: str = "partial write: no", is_sure: bool = True
) -> Callable[[list[str]], None]:
    """Return what refuses a request that has any of these points, all of it."""

    def judge(lines: list[str]) -> None:
        if set(bad) & set(lines):
            raise RejectedError(message, None, is_sure=is_sure)

    return judge


def larger_than(most: int, error: Exception) -> Callable[[list[str]], None]:
    """Return what fails for more points than so many."""

    def judge(lines: list[str]) -> None:
        if len(lines) > most:
            raise error

    return judge


def test_bad_points_are_found_and_set_apart_and_the_others_arrive_in_order() -> None:
    played = Played([points(100)], refusing("p3", "p77"))
    played.ship()
    assert played.taken == [point for point in points(100) if point not in {"p3", "p77"}]
    delivered = played.shipper.take_delivered()
    assert delivered.rejected == [("partial write: no", "p3"), ("partial write: no", "p77")]
    assert (delivered.through_id, delivered.points, played.shipper.shipped) == (1, 100, 98)
    assert played.shipper.rejection == "partial write: no"


def test_a_load_of_which_all_was_dropped_is_not_halved() -> None:
    def judge(lines: list[str]) -> None:
        raise RejectedError("partial write: dropped=50", len(lines), is_sure=True)

    played = Played([points(50)], judge)
    played.ship()
    assert len(played.requests) == 1
    assert len(played.shipper.take_delivered().rejected) == 50


def test_what_is_too_large_is_halved_until_it_is_not() -> None:
    played = Played([points(100)], larger_than(30, RejectedError("413", None, is_sure=False)))
    played.ship()
    assert played.taken == points(100)
    assert max(map(len, played.requests[1:])) == 50
    assert played.shipper.take_delivered().rejected == []


@pytest.mark.parametrize("number", [1, 5, 5_000])
def test_a_refusal_of_everything_that_blames_no_points_sets_none_apart(number: int) -> None:
    played = Played([points(number)], refusing(*points(number), message="HTTPS only", is_sure=False))
    for _ in range(3):
        with pytest.raises(InfluxError, match="HTTPS only"):
            played.ship()
    assert len(played.requests) <= 3 * REFUSALS_MAX
    assert played.shipper.take_delivered().through_id == 0
    assert not played.shipper.is_in_doubt
    played.judge = refusing()
    played.ship()
    assert played.taken == points(number)


def test_it_is_in_doubt_from_the_first_refusal_to_the_first_point_taken() -> None:
    played = Played([points(4)], refusing("p3", is_sure=False))
    doubts = []
    while played.shipper.step():
        doubts.append(played.shipper.is_in_doubt)
    assert doubts == [True, False, True, False, True, False]
    assert played.requests[-1] == ["p2"]  # once more, to see that it is still taken


def test_a_refusal_that_blames_no_points_sets_some_apart_if_others_are_taken() -> None:
    played = Played([points(64)], refusing("p0", is_sure=False))
    played.ship()
    assert set(played.taken) == set(points(64)[1:])
    assert [line for _, line in played.shipper.take_delivered().rejected] == ["p0"]


def test_what_refuses_everything_from_some_point_on_sets_nothing_apart() -> None:
    """One point is to blame; then somebody in between refuses whatever comes."""
    played = Played([points(5_000)], refusing("p10"))
    while len(played.taken) < 2_000:
        played.shipper.step()
    before = len(played.requests)
    played.judge = refusing(*points(5_000), message="no", is_sure=False)
    with pytest.raises(InfluxError, match="no"):
        played.ship()
    assert len(played.requests) - before <= REFUSALS_MAX + 1
    assert played.shipper.take_delivered().through_id == 0
    played.judge = refusing("p10")
    played.ship()
    assert [line for _, line in played.shipper.take_delivered().rejected] == ["p10"]
    assert set(played.taken) == set(points(5_000)) - {"p10"}


def test_very_many_points_that_are_refused_without_blame_are_set_apart_if_others_are_taken() -> None:
    bad = points(200)[20:180]
    played = Played([points(200)], refusing(*bad, is_sure=False))
    played.ship()
    assert {line for _, line in played.shipper.take_delivered().rejected} == set(bad)
    assert set(played.taken) == set(points(200)) - set(bad)


def test_what_takes_too_long_is_halved_and_nothing_is_skipped() -> None:
    played = Played([points(100)], larger_than(20, SlowError("slow")))
    played.cost_s = REQUEST_S / 20
    for _ in range(3):
        with pytest.raises(SlowError):
            played.ship()
    played.ship()
    assert list(map(len, played.requests)) == [100, 50, 25, *8 * [12], 4]
    assert played.taken == points(100)
    assert played.shipper.take_delivered().points == 100


def test_after_a_long_silence_few_requests_catch_up() -> None:
    played = Played([points(5_000)], larger_than(0, SlowError("slow")))
    for _ in range(50):
        with pytest.raises(SlowError):
            played.ship()
    before = len(played.requests)
    played.judge = refusing()
    played.ship()
    assert played.taken == points(5_000)
    assert len(played.requests) - before < 20


def test_a_failure_leaves_all_as_it_is() -> None:
    def fail(_: list[str]) -> None:
        raise InfluxError("away")

    played = Played([points(3), ["q"]], fail)
    with pytest.raises(InfluxError):
        played.ship()
    assert played.shipper.delivered_points == 0
    played.judge = refusing()
    played.ship()
    assert played.taken == [*points(3), "q"]
    assert played.shipper.delivered_points == 4


def test_a_point_with_a_line_break_is_one() -> None:
    refused = 'marks text="a\nb"'

    def judge(lines: list[str]) -> None:
        if "\n".join(lines) == refused:
            raise RejectedError("unable to parse", None, is_sure=True)

    played = Played([["a"]], judge)
    played.rows = [Row(1, refused)]
    played.ship()
    assert played.shipper.take_delivered().rejected == [("unable to parse", refused)]


def test_pauses_grow_to_a_limit_and_are_as_long_as_influxdb_asks_for() -> None:
    error = InfluxError("away")
    assert [retry_s(error, n) for n in (1, 2, 3, 4, 100)] == [1, 2, 4, 8, RETRY_MAX_S]
    assert retry_s(InfluxError("busy", 45.0), 1) == 45.0
    assert retry_s(InfluxError("busy", 0.0), 3) == 4.0
    assert retry_s(AccessError("no"), 1) == ACCESS_RETRY_S
