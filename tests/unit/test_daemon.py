"""The daemon's own logic, with a measurement that only waits: how a run begins, and what ends it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from downtimer import config
from downtimer.control import client
from downtimer.errors import ControlError, DowntimerError
from downtimer.supervisor import life
from downtimer.supervisor.daemon import Answers, Daemon
from downtimer.supervisor.launch import Orders
from downtimer.supervisor.notify import ServiceManager

ANSWER_S = 5.0


class Fake:
    """Stands in for `life`: a run begins and ends when the test says so.

    Attributes:
        may_begin, may_end: Set by the test.
        failure: What the end of the run raises.
        report_error: What the end of the run answers.
        undone, ended: What happened.
    """

    def __init__(self) -> None:
        self.may_begin, self.may_end = asyncio.Event(), asyncio.Event()
        self.ending = asyncio.Event()
        self.failure: DowntimerError | None = None
        self.report_error: str | None = None
        self.undone = self.ended = 0

    async def start(self) -> None:
        """Begin to measure."""
        await self.may_begin.wait()

    def begin(self, _: Orders) -> Any:  # noqa: ANN401 - stands in for `Begun`
        """Prepare a run."""
        roster = SimpleNamespace(reap=lambda: None)
        measurement = SimpleNamespace(start=self.start, roster=roster, is_ending=False)
        return SimpleNamespace(measurement=measurement, resumed=False, line="run 1 begins")

    def undo(self, _: object) -> None:
        """Remove a run."""
        self.undone += 1

    async def end(self, _: object, __: str | None) -> dict[str, Any]:
        """End a run."""
        self.ending.set()
        await self.may_end.wait()
        self.ended += 1
        if self.failure is not None:
            raise self.failure
        return {"report_error": self.report_error}


@pytest.fixture
def daemon_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], Daemon]:
    """Make a daemon whose runs are those of a fake."""
    places = f"runtime_dir={tmp_path}\nstate_dir={tmp_path}\nreport_file={tmp_path}/report\n"
    (tmp_path / "conf.ini").write_text(f"[global]\n{places}[static]\nips=127.0.0.1\n")
    orders = Orders(config=config.load(str(tmp_path / "conf.ini")))

    def make(fake: Fake) -> Daemon:
        for name in ("begin", "undo", "end"):
            monkeypatch.setattr(life, name, getattr(fake, name))
        monkeypatch.setattr(life, "describe", lambda _: "measuring")
        monkeypatch.setattr(life, "complaints", lambda _: ["an option is odd"])
        return Daemon(orders, Answers(None), ServiceManager({}))

    return make


async def ask(daemon: Daemon, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a command."""
    path = daemon.config.control_socket
    return await asyncio.to_thread(client.request, path, command, arguments, timeout_s=ANSWER_S)


async def until_listening(daemon: Daemon) -> None:
    """Wait for the control socket."""
    async with asyncio.timeout(ANSWER_S):
        while not Path(daemon.config.control_socket).exists():  # noqa: ASYNC110, ASYNC240 - a file signals nothing
            await asyncio.sleep(0.01)


def test_a_stop_that_fails_is_told_and_leaves_no_daemon(daemon_of: Callable[[Fake], Daemon]) -> None:
    async def scenario() -> None:
        fake = Fake()
        fake.may_begin.set()
        fake.may_end.set()
        fake.failure = DowntimerError("the disk is full")
        daemon = daemon_of(fake)
        running = asyncio.create_task(daemon.run())
        await until_listening(daemon)
        with pytest.raises(ControlError, match="the disk is full"):
            await ask(daemon, "stop")
        await asyncio.wait_for(running, ANSWER_S)

    asyncio.run(scenario())


def test_a_second_signal_does_not_cut_short_the_end_of_a_run(daemon_of: Callable[[Fake], Daemon]) -> None:
    async def scenario() -> None:
        fake = Fake()
        fake.may_begin.set()
        daemon = daemon_of(fake)
        running = asyncio.create_task(daemon.run())
        await until_listening(daemon)
        stop = asyncio.create_task(ask(daemon, "stop"))
        await asyncio.wait_for(fake.ending.wait(), ANSWER_S)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
        done, _ = await asyncio.wait([running], timeout=0.2)
        assert not done
        fake.may_end.set()
        assert await stop == {"report_error": None}
        await asyncio.wait_for(running, ANSWER_S)
        assert fake.ended == 1

    asyncio.run(scenario())


def test_what_is_odd_about_the_configuration_is_told_at_every_start(
    daemon_of: Callable[[Fake], Daemon], capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        fake = Fake()
        fake.may_begin.set()
        fake.may_end.set()
        daemon = daemon_of(fake)
        running = asyncio.create_task(daemon.run())
        await until_listening(daemon)
        await ask(daemon, "stop", {"keep": True})
        assert (await ask(daemon, "start"))["lines"] == ["an option is odd", "measuring"]
        await ask(daemon, "stop")
        await asyncio.wait_for(running, ANSWER_S)

    asyncio.run(scenario())
    said = capsys.readouterr()
    assert (said.err, "\nmeasuring\n" in said.out) == ("downtimer: an option is odd\n", True)


def test_whoever_asks_during_a_start_hears_that_it_is_one(daemon_of: Callable[[Fake], Daemon]) -> None:
    async def scenario() -> None:
        fake = Fake()
        daemon = daemon_of(fake)
        running = asyncio.create_task(daemon.run())
        await until_listening(daemon)
        with pytest.raises(ControlError, match="just being started"):
            await ask(daemon, "stop")
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(DowntimerError, match="before it measured anything"):
            await asyncio.wait_for(running, ANSWER_S)
        assert (fake.undone, fake.ended) == (1, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("with_failure", [True, False])
def test_a_signal_after_which_there_is_no_report_is_a_failure(
    daemon_of: Callable[[Fake], Daemon], *, with_failure: bool
) -> None:
    async def scenario() -> None:
        fake = Fake()
        fake.may_begin.set()
        fake.may_end.set()
        if with_failure:
            fake.failure = DowntimerError("the disk is full")
        else:
            fake.report_error = "the disk is full"
        daemon = daemon_of(fake)
        running = asyncio.create_task(daemon.run())
        await until_listening(daemon)
        assert (await ask(daemon, "ping"))["measuring"] is True
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(DowntimerError, match="the disk is full"):
            await asyncio.wait_for(running, ANSWER_S)

    asyncio.run(scenario())
