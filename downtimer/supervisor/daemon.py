"""The daemon: owns the lock and the control socket, and has at most one measurement under way.

Entry point of the supervisor's process (``python -m downtimer.supervisor.daemon``), which `launch` starts.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import setproctitle

from downtimer import accounts, logs, memory, secrecy
from downtimer.account import Account
from downtimer.config import Config, load
from downtimer.control.server import ControlServer
from downtimer.descriptors import allow_most
from downtimer.errors import ConfigError, ControlError, DowntimerError, ExitCode
from downtimer.model import LABEL_MAX, MARK_MAX
from downtimer.supervisor import life, status
from downtimer.supervisor.launch import Answer, Orders, read_orders
from downtimer.supervisor.lock import check_report_file, make_runtime_dir, make_state_dir, take_locks
from downtimer.supervisor.measurement import Measurement
from downtimer.supervisor.notify import ServiceManager
from downtimer.supervisor.reload import reload

log = logging.getLogger(__name__)

FEEDINGS: Final = 3
"""So often a watchdog is fed in its time."""

NO_RUN: Final = "no run is under way; `downtimer start` begins one, `downtimer stop` ends the daemon"


class Daemon:
    """What lives from the first start to the end of the process.

    Attributes:
        config: That of the latest run.
        ended: Set when the process is to end.
    """

    def __init__(self, orders: Orders, answers: "Answers", manager: ServiceManager) -> None:
        self.config = orders.config
        self.ended = asyncio.Event()
        self._orders = orders
        self._answers = answers
        self._manager = manager
        self._measurement: Measurement | None = None
        self._beginning: asyncio.Task[list[str]] | None = None
        self._resuming: asyncio.Task[int | None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._is_ready = False  # the first start is over, and well
        self._is_stale = False  # the configuration is to be read again
        self._failure: DowntimerError | None = None  # of an end that no command waits for
        self._changing = asyncio.Lock()  # held while a run begins or ends
        self._control = ControlServer(
            self.config.control_socket,
            {
                "ping": self._ping,
                "status": self._status,
                "report": self._report,
                "start": self._start,
                "stop": self._stop,
                "mark": self._mark,
                "pause": self._pause,
                "resume": self._resume,
            },
            self.config.global_.control_group,
        )

    async def run(self) -> None:
        """Measure until stopped.

        Raises:
            DowntimerError: The first measurement could not begin, or the last one ended without a report.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGCHLD, self._on_child)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        stopping = asyncio.create_task(self.ended.wait())
        feeding = asyncio.create_task(self._feed())
        try:
            await self._control.open()  # whoever asks too early hears that a run is just being started
            self._beginning = asyncio.create_task(self._begin(self._orders))
            await asyncio.wait([self._beginning, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not self._beginning.done() or self._beginning.cancelled():
                raise DowntimerError("stopped by a signal before it measured anything")
            *complaints, line = self._beginning.result()
            for complaint in complaints:
                self._answers.warn(complaint)
            self._answers.conclude(line, ExitCode.DONE)
            self._manager.ready(line)
            self._is_ready = True
            if self._is_stale:
                self._on_hangup()
            await stopping
            if self._failure is not None:
                raise self._failure
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # deadly without this loop
            stopping.cancel()
            feeding.cancel()
            await self._control.close()

    async def _begin(self, orders: Orders) -> list[str]:
        """Begin a measurement; return lines about the configuration, and last the one that tells which."""
        async with self._changing:
            begun = life.begin(orders)
            self._measurement = begun.measurement
            if begun.line is not None:
                self._answers.tell(begun.line)
            try:
                await begun.measurement.start()
            except BaseException:
                self._measurement = None
                life.undo(begun)
                raise
            if begun.resumed:
                begun.measurement.note("resume", "the daemon was started again and goes on with the run")
            line = life.describe(begun.measurement)
            log.info("%s%s", line, f" ({orders.label})" if orders.label else "")
            return [*life.complaints(begun.measurement), line]

    # --- signals ---

    def _on_child(self) -> None:
        if self._measurement is not None:
            self._measurement.roster.reap()

    def _on_signal(self, number: int) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        if self._stopping is None:
            self._manager.stopping()
            self._stopping = asyncio.create_task(self._stop_and_end())

    async def _feed(self) -> None:
        """Show the service manager, if it cares, that this loop lives."""
        while self._manager.watchdog_s is not None:
            self._manager.feed()
            await asyncio.sleep(self._manager.watchdog_s / FEEDINGS)

    def _on_hangup(self) -> None:
        self._is_stale = True
        if self._is_ready and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.create_task(self._reload())
            self._reloading.add_done_callback(_tell_of_defect)

    async def _reload(self) -> None:
        """Open the log anew, read the configuration again, and do at once what of it can be done."""
        async with self._changing:
            if self._stopping is not None or self.ended.is_set():
                return
            self._manager.reloading()
            try:
                while self._is_stale:  # a signal that comes meanwhile is another
                    self._is_stale = False
                    await self._reload_once()
            finally:
                self._manager.ready("measuring" if self._measurement is not None else "idle")

    async def _reload_once(self) -> None:
        logs.change(self.config.global_.log_level, self._log_file)
        try:
            found = reload(self.config, self._load())
        except ConfigError as exc:
            log.error("SIGHUP: %s; the log was opened anew, all else stays", exc)  # noqa: TRY400 - says it all
            found = reload(self.config, self.config)
        else:
            log.info("SIGHUP: changed: %s", ", ".join(found.changed) or "nothing; the log was opened anew")
        self.config = found.config
        if found.later:
            log.warning("SIGHUP: to be changed by the next start: %s", ", ".join(found.later))
        logs.set_level(self.config.global_.log_level)
        if self._measurement is not None:
            await self._measurement.reconfigure(found, self._log_file)

    def _load(self) -> Config:
        """Read the configuration again; the account stays, wherever it was found.

        Raises:
            ConfigError: It is wrong.
        """
        found = secrecy.complete(load(self.config.path, may_wait=False))
        found = replace(found, account=self.config.account)
        accounts.check_targets(found)
        life.check_anew(found)
        return found

    @property
    def _log_file(self) -> str | None:
        """The log; None in the foreground, where it is whatever standard error is."""
        return None if self._answers.are_printed else self.config.global_.log_file

    async def _stop_and_end(self) -> None:
        """End whatever is under way: a first start and a resume are given up, a stop is waited for."""
        for task in (self._beginning, self._resuming):
            if task is not None:
                task.cancel()
        async with self._changing:
            try:
                ended = await self._end_run() if self._measurement is not None else None
                if ended is not None and ended["report_error"] is not None:
                    self._failure = DowntimerError(ended["report_error"])
            except DowntimerError as exc:
                self._failure = exc
            finally:
                self.ended.set()

    async def _end_run(self, label: str | None = None) -> dict[str, Any]:
        """End the run under way. Then it is over, even if something about its end has failed."""
        try:
            return await life.end(self._under_way(), label)
        finally:
            self._measurement = None

    # --- commands ---

    async def _ping(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"pid": os.getpid(), "measuring": self._measurement is not None}

    async def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return status.status(self._under_way(), self._control.refused)

    async def _report(self, _: Mapping[str, Any]) -> dict[str, Any]:
        measurement = self._under_way()
        flushed = await measurement.flush()
        settings = measurement.settings
        return {"run": settings.run.id, "journal": settings.journal, **flushed._asdict()}

    async def _start(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._check_unchanging()
        if self._measurement is not None:
            raise ControlError("busy", f"run {self._measurement.settings.run.id} is under way already")
        label = _label(arguments) or ""
        path = arguments.get("config", self.config.path)
        if not isinstance(path, str) or not Path(path).is_absolute() or "\0" in path:
            raise ControlError("bad-request", "config must be the absolute path of a file")
        password = arguments.get("password")
        if not isinstance(password, str | None):
            raise ControlError("bad-request", "password must be a text")
        try:
            account = msgspec.convert(arguments.get("account"), Account | None)
        except msgspec.ValidationError:
            raise ControlError("bad-request", "account must be an account") from None
        config = life.configure_anew(self.config, path, account, password)
        logs.set_level(config.global_.log_level)
        lines = await self._begin(Orders(config=config, label=label, resume=False))
        self.config = config
        return {"lines": lines}

    async def _stop(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._check_unchanging()
        keep, label = arguments.get("keep") is True, _label(arguments)
        if keep:
            self._under_way()
        try:
            async with self._changing:
                return await self._end_run(label) if self._measurement is not None else {"run": None}
        finally:
            if not keep:
                self.ended.set()

    async def _mark(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        text = arguments.get("text")
        if not isinstance(text, str) or not 0 < len(text) <= MARK_MAX:
            raise ControlError("bad-request", f"text must be a text of 1 to {MARK_MAX} characters")
        measurement = self._under_way()
        if measurement.is_ending:
            raise ControlError("busy", self._what_changes())
        at_ns = measurement.mark(text)
        return {"at_ns": at_ns, "at": status.utc(measurement, at_ns)}

    async def _pause(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Answer since when probing rests, and whether it did already."""
        measurement = self._under_way()
        was_paused = measurement.paused_ns is not None
        self._check_unchanging()
        async with self._changing:
            return {"since": status.utc(measurement, await measurement.pause()), "was_paused": was_paused}

    async def _resume(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Answer since when probing has rested; null if it has not."""
        measurement = self._under_way()
        self._check_unchanging()
        async with self._changing:
            self._resuming = asyncio.create_task(measurement.resume())
            try:
                return {"since": status.utc(measurement, await self._resuming)}
            except asyncio.CancelledError:
                raise ControlError("failed", "stopped by a signal before it measured again") from None

    def _under_way(self) -> Measurement:
        if self._measurement is None:
            raise ControlError("not-running", NO_RUN)
        return self._measurement

    def _what_changes(self) -> str:
        if self._measurement is not None and self._measurement.is_ending:
            run = self._measurement.settings.run.id
            return f"run {run} is being ended; `downtimer status` shows how far it is"
        return "a run is just being started, stopped, paused or resumed; try again"

    def _check_unchanging(self) -> None:
        if self._changing.locked() or self.ended.is_set():
            raise ControlError("busy", self._what_changes())


def _label(arguments: Mapping[str, Any]) -> str | None:
    """Return the label that was asked for; None if none was.

    Raises:
        ControlError: It is none.
    """
    label = arguments.get("label")
    if not isinstance(label, str | None) or len(label or "") > LABEL_MAX:
        raise ControlError("bad-request", f"label must be a text of at most {LABEL_MAX} characters")
    return label


class Answers:
    """Lines to whoever started the daemon: over the inherited pipe, or on the terminal."""

    def __init__(self, fd: int | None) -> None:
        self.are_printed = fd is None
        self._fd = fd

    def tell(self, text: str) -> None:
        """Tell how far the start is."""
        self._write(Answer(text=text))

    def warn(self, text: str) -> None:
        """Tell what of the configuration has no effect."""
        self._write(Answer(text=text, is_warning=True))

    def conclude(self, text: str, code: int) -> None:
        """Tell how the start ended, and close."""
        self._write(Answer(text=text, code=code))
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, answer: Answer) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):  # it did not wait for us
                os.write(self._fd, msgspec.json.encode(answer) + b"\n")
        elif answer.is_warning:
            print(f"downtimer: {answer.text}", file=sys.stderr, flush=True)  # noqa: T201 - as below
        elif answer.code is None or answer.code == ExitCode.DONE:
            print(answer.text, flush=True)  # noqa: T201 - in the foreground this is the user's terminal


def _tell_of_defect(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a defect of downtimer", exc_info=error)


def _print_report(config: Config) -> None:
    """In the foreground the report goes to the terminal, too."""
    with contextlib.suppress(OSError), Path(config.global_.report_file).open(encoding="utf-8") as file:
        shutil.copyfileobj(file, sys.stdout)
        sys.stdout.flush()


def main() -> None:
    """Run the daemon; never returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders-fd", type=int, required=True)
    parser.add_argument("--answer-fd", type=int)
    parser.add_argument("--foreground", action="store_true")
    arguments = parser.parse_args()
    os.umask(0o077)
    allow_most()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to be read again
    manager = ServiceManager(os.environ)
    setproctitle.setproctitle("downtimer: supervisor")
    memory.hide()
    orders = read_orders(arguments.orders_fd)
    logs.set_up(orders.config.global_.log_level, "supervisor")
    answers = Answers(arguments.answer_fd)
    try:
        make_runtime_dir(orders.config)
        make_state_dir(orders.config)
        check_report_file(orders.config)
        take_locks(orders.config)
        asyncio.run(_serve(Daemon(orders, answers, manager), foreground=arguments.foreground))
    except DowntimerError as exc:
        log.error("%s", exc)  # noqa: TRY400 - the line says it all
        answers.conclude(str(exc), exc.exit_code)
        sys.exit(exc.exit_code)
    sys.exit(ExitCode.DONE)


async def _serve(daemon: Daemon, *, foreground: bool) -> None:
    await daemon.run()
    if foreground:
        _print_report(daemon.config)


if __name__ == "__main__":
    main()
