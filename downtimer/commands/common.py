"""What several commands do: read the configuration, ask for the run under way, print."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from downtimer import config
from downtimer.config import VARIABLE, Config
from downtimer.control import client, progress
from downtimer.errors import ConfigError, ControlError, DowntimerError, NotRunningError, StoreError
from downtimer.given import check_text
from downtimer.model import LABEL_MAX, RunId
from downtimer.printable import printable
from downtimer.store import journal
from downtimer.supervisor.lock import holder
from downtimer.terminal_line import TerminalLine

Arguments = Mapping[str, Any]
Say = Callable[[str], None]

_REMEDY: Final = f"; `downtimer start` begins; another configuration: --config, or {VARIABLE}"

ANSWER_S: Final = 30.0

DEFAULT_CONFIG: Final = f"$DOWNTIMER_CONFIG or {config.DEFAULT_PATH}"
"""What docopt gives as the default, for the help shows it."""


def configuration(arguments: Arguments) -> Config:
    """Return the configuration that was asked for."""
    given = arguments["--config"]
    if not given:
        raise ConfigError("--config: is empty")
    return config.load(None if given == DEFAULT_CONFIG else given)


def configuration_of_daemon(arguments: Arguments) -> Config:
    """Return the same for a command to a daemon that runs; that the file is wrong by now prevents none."""
    try:
        return configuration(arguments)
    except ConfigError as exc:
        given = arguments["--config"]
        try:
            found = config.load_places(None if given == DEFAULT_CONFIG else given)
        except ConfigError:
            raise exc from None
        warn(f"{exc}; for the daemon that runs this is of no matter")
        return found


def ask_daemon(
    arguments: Arguments, command: str, asked: dict[str, Any] | None = None, *, timeout_s: float
) -> dict[str, Any]:
    """Have the daemon do something with the run under way; return its result.

    Raises:
        NotRunningError: There is no run; the line says what became of the last one.
        DowntimerError: It was not done.
    """
    config = configuration_of_daemon(arguments)
    with hinting_of_run(config):
        return client.request(config.control_socket, command, asked, timeout_s=timeout_s)


@contextlib.contextmanager
def hinting_of_run(config: Config) -> Iterator[None]:
    """Say what became of the last run if there is no daemon, or how there may be one."""
    try:
        yield
    except NotRunningError as exc:
        remedy = _REMEDY if isinstance(exc, client.NobodyListensError) else ""
        raise NotRunningError(f"{exc}{_hint_of_run(config) or remedy}") from exc


def label(arguments: Arguments) -> str | None:
    """Return what the run is to be called; None if that was not said.

    Raises:
        ConfigError: It is no label.
    """
    given: str | None = arguments["--label"]
    if given is not None:
        check_text("--label", given, most=LABEL_MAX)
    return given


def _hint_of_run(config: Config) -> str:
    """Return what to do about a run whose daemon does not answer, to end a line with; empty without one."""
    last = _open_run(config)
    if last is None:
        return ""
    pid = holder(config.global_.state_dir)
    if pid is not None:
        return (
            f"; run {last.run.id} is under way in a downtimer (pid {pid}) whose runtime_dir is another, or "
            f"was removed: `kill {pid}` ends it, with a report"
        )
    return f"; run {last.run.id} was cut off: `downtimer start` goes on with it, `downtimer report` shows it"


def has_open_run(config: Config) -> bool:
    """Tell whether the last run has no end yet: it is under way, or was cut off."""
    return _open_run(config) is not None


def _open_run(config: Config) -> journal.LastRun | None:
    """Return the last run if it has no end yet, and its folder can be read."""
    try:
        last = journal.last_run(config.global_.state_dir)
    except StoreError:
        return None
    return last if last is not None and last.run.end_ns is None else None


def run_under_way(config: Config) -> RunId | None:
    """Return which run is being measured; None if none is, or its daemon does not answer."""
    try:
        answer = client.request(config.control_socket, "status", timeout_s=ANSWER_S)
    except (NotRunningError, ControlError):
        return None
    return RunId(answer["run"]["id"])


def run_elsewhere(config: Config) -> RunId | None:
    """Return the run that is measured by a daemon which can't be asked: its runtime_dir is another."""
    last = _open_run(config)
    return last.run.id if last is not None and holder(config.global_.state_dir) is not None else None


def print_text(chunks: Iterable[str]) -> None:
    """Print a text.

    Raises:
        BrokenPipeError: Whoever read our output has enough.
        DowntimerError: It can't be written.
    """
    try:
        sys.stdout.writelines(chunks)
        sys.stdout.flush()
    except OSError as exc:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's end fails, too
        if isinstance(exc, BrokenPipeError):
            raise
        raise DowntimerError(f"cannot write to standard output: {exc.strerror}") from exc


def print_file(path: str) -> None:
    """Print what is in a file.

    Raises:
        BrokenPipeError: Whoever read our output has enough.
        DowntimerError: It can't be read, or not be printed.
    """
    try:
        file = Path(path).open(encoding="utf-8")  # noqa: SIM115 - as what follows has errors of its own
    except OSError as exc:
        raise DowntimerError(f"cannot read {path}: {exc.strerror}") from exc
    with file:
        print_text(iter(lambda: file.read(1 << 16), ""))


@contextlib.contextmanager
def showing_start(config: Config, say: Say) -> Iterator[tuple[Say, Say]]:
    """Show on a terminal how far a start is; give what says lines that stay, as `say` and `warn` do.

    Elsewhere nothing is shown: who reads the output of a start wants its last line.
    """
    line = TerminalLine(sys.stderr)

    def say_aside(text: str) -> None:
        line.aside(lambda: say(text))

    def warn_aside(text: str) -> None:
        line.aside(lambda: warn(text))

    if not line.is_live:
        yield say, warn
        return
    url = None if config.account is None else config.account.url
    with progress.watched(config.control_socket, url, line.show):
        yield say_aside, warn_aside


def tell(line: str) -> None:
    """Print a line about something that goes on even if nobody reads of it."""
    with contextlib.suppress(BrokenPipeError, DowntimerError):
        print_text([line, "\n"])


def warn(line: str) -> None:
    """Say something beside what was asked for."""
    print(f"downtimer: {printable(line)}", file=sys.stderr)
