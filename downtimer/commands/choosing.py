"""Which run a command is about, as the user names it, and its journal."""

import re
from collections.abc import Sequence
from typing import Final

from downtimer.commands.common import ANSWER_S, run_under_way, warn
from downtimer.config import Config
from downtimer.control import client
from downtimer.errors import ConfigError, DowntimerError
from downtimer.options import hint
from downtimer.store import journal

LATEST: Final = "latest"

_BACK: Final = re.compile(rf"{LATEST}(?:~(?P<back>[0-9]{{1,4}}))?")

_NAMED: Final = 3
"""So many runs are named where several fit."""


def open_journal(config: Config, given: str | None) -> journal.JournalReader:
    """Open a run's journal; if it is under way, with all that was measured up to now.

    Args:
        config: Where to look for it.
        given: As the user names it, see `choose`.

    Raises:
        DowntimerError: There is no such run, or it can't be read.
    """
    under_way = run_under_way(config)
    if under_way is not None and given in (None, LATEST, under_way):
        return _flushed(config)
    found = choose(config, given)
    return _flushed(config) if found.id == under_way else journal.JournalReader(found.path)


def choose(config: Config, given: str | None) -> journal.RunEntry:
    """Return the run that is meant.

    Args:
        config: Where to look for it.
        given: Its id, or how that alone begins; ``latest``, or ``latest~2`` for the last but two. None: the
            latest. What was imported counts as older than all that was measured here.

    Raises:
        ConfigError: Several may be meant.
        DowntimerError: There is no such run.
    """
    entries = journal.list_runs(config.global_.state_dir)
    back = _BACK.fullmatch(LATEST if given is None else given)
    if back is not None:
        return _count_back(config, entries, int(back["back"] or 0))
    fitting = [entry for entry in entries if given and entry.id.startswith(given)]
    found = next((entry for entry in fitting if entry.id == given), fitting[0] if len(fitting) == 1 else None)
    if found is not None:
        if found.error is not None:
            raise DowntimerError(found.error)
        return found
    if fitting:
        names = ", ".join(entry.id for entry in fitting[:_NAMED])
        raise ConfigError(f"{len(fitting)} runs begin with {given}: {names}{', …' * (len(fitting) > _NAMED)}")
    near = hint(given or "", [entry.id for entry in entries])
    where = journal.folder_of(config.global_.state_dir)
    raise DowntimerError(
        f"no run {given!r} in {where}{near}; `downtimer runs` lists them, {LATEST} is one, too"
    )


def _count_back(config: Config, entries: Sequence[journal.RunEntry], back: int) -> journal.RunEntry:
    readable = sorted(
        (entry for entry in entries if entry.error is None),
        key=lambda entry: (not entry.is_imported, entry.start_utc_ns),
        reverse=True,
    )
    if not readable:
        raise DowntimerError(
            next((entry.error for entry in entries if entry.error is not None), None)
            or f"no run in {config.global_.state_dir}; `downtimer start` begins one"
        )
    if back >= len(readable):
        raise DowntimerError(
            f"no run {LATEST}~{back}: there are {len(readable)}; `downtimer runs` lists them"
        )
    for entry in entries:
        if entry.error is not None and entry.id > readable[0].id:  # ids begin with the instant
            warn(f"a later run can't be read: {entry.error}; this is run {readable[back].id}")
    return readable[back]


def _flushed(config: Config) -> journal.JournalReader:
    """Open the journal of the run under way once its daemon has written down what it knows."""
    flushed = client.request(config.control_socket, "report", timeout_s=ANSWER_S)
    if flushed["silent"]:
        warn(f"no answer from {', '.join(flushed['silent'])}: the latest seconds may be missing")
    return journal.JournalReader(flushed["journal"])
