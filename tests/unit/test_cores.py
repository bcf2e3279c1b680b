"""One function of many things on all cores: the same as `map`, whatever becomes of the processes."""

import contextlib
import errno
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from downtimer import report
from downtimer.assertions import parse
from downtimer.errors import ConfigError, DowntimerError
from downtimer.report import cores
from downtimer.report.cores import FEW, spread
from downtimer.store.journal import JournalReader
from tests.bench.day import Day, Size

MANY = 5 * FEW + 7


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do as on a machine with three cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})


def children() -> list[int]:
    """Return the processes that this one has started and not waited for."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.mark.parametrize("count", [0, 1, FEW, FEW + 1, MANY])
def test_results_are_those_of_map_in_its_order(count: int) -> None:
    offset = 17  # a function may refer to what is around it
    assert list(spread(lambda thing: thing + offset, range(count))) == list(range(offset, count + offset))
    assert not children()


def test_many_things_are_worked_at_by_all_cores_and_few_by_none_but_this() -> None:
    pids = list(spread(lambda _: os.getpid(), range(MANY)))
    assert set(pids[:FEW]) == {os.getpid()}
    assert os.getpid() not in pids[FEW:]
    assert 1 < len(set(pids[FEW:])) <= 3


def test_on_one_core_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert set(spread(lambda _: os.getpid(), range(MANY))) == {os.getpid()}


def test_things_are_read_only_a_little_ahead() -> None:
    read = 0

    def things() -> Iterator[int]:
        nonlocal read
        for thing in range(20 * FEW):
            read += 1
            yield thing

    for result in spread(lambda thing: thing, things()):
        assert read <= max(result, FEW) + 4 * cores.BATCH
    assert read == 20 * FEW


def test_an_error_of_the_function_is_the_caller_s_and_ends_the_processes() -> None:
    def work(thing: int) -> int:
        if thing == 2 * FEW:
            raise ConfigError("not this one")
        return thing

    results = spread(work, range(MANY))
    with pytest.raises(ConfigError, match="not this one"):
        list(results)
    assert not children()


def test_an_error_in_reading_things_is_the_caller_s_and_ends_the_processes() -> None:
    def things() -> Iterator[int]:
        yield from range(3 * FEW)
        raise DowntimerError("the journal can't be read")

    with pytest.raises(DowntimerError, match="the journal can't be read"):
        list(spread(lambda thing: thing, things()))
    assert not children()


def test_a_process_that_is_killed_is_one_clear_line() -> None:
    def work(thing: tuple[int, bytes]) -> int:
        if thing[0] == 2 * FEW:
            os.kill(os.getpid(), signal.SIGKILL)
        return thing[0]

    with pytest.raises(DowntimerError, match="was it killed"):
        list(spread(work, ((number, bytes(5_000)) for number in range(MANY))))
    assert not children()


def test_without_any_process_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse)
    assert set(spread(lambda _: os.getpid(), range(MANY))) == {os.getpid()}


def test_with_fewer_processes_than_cores_these_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, forks = os.fork, itertools.count(1)

    def refuse_the_second() -> int:
        if next(forks) == 2:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    monkeypatch.setattr(os, "fork", refuse_the_second)
    pids = list(spread(lambda _: os.getpid(), range(MANY)))
    assert len(pids) == MANY
    assert len({*pids[FEW:]} - {os.getpid()}) == 1
    assert not children()


def test_large_things_and_results_travel() -> None:
    """More than a pipe holds, in both directions."""
    results = spread(lambda thing: thing + thing, (bytes(5_000) for _ in range(MANY)))
    assert all(result == bytes(10_000) for result in results)


def test_one_who_stops_listening_leaves_no_process_behind() -> None:
    results = spread(lambda thing: thing, range(MANY))
    for _ in range(FEW + 1):
        next(results)
    assert children()
    with contextlib.closing(results):  # type: ignore[type-var]  # it is a generator
        pass
    assert not children()


@pytest.mark.parametrize("form", report.FORMATS)
def test_a_large_report_is_the_same_on_all_cores_as_on_one(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "day.sqlite"
    Day(Size(addresses=FEW + 500, outages=2 * FEW)).write(journal)

    def render() -> str:
        with contextlib.closing(JournalReader(str(journal))) as reader:
            return "".join(report.render(reader, form, [parse("address:* <= 1%"), parse("zero-downtime")]))

    of_three = render()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert of_three == render()
