"""A watch whose output is no terminal: a line for each change, until the run has ended."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from downtimer.watch.changes import changes, stamp
from downtimer.watch.daemon import WatchedDaemon, wait_s


def watch(
    daemon: WatchedDaemon, write: Callable[[Iterable[str]], None], has_ended: Callable[[], bool]
) -> None:
    """Write what changes, until the run has ended in good order; one that was cut off is waited for.

    Args:
        daemon: It has answered once.
        write: Writes lines at once.
        has_ended: Tells whether the run that was watched last is over for good.
    """
    before, was_away = None, False
    while True:
        began_s = time.monotonic()
        answer = daemon.answer
        if answer is not None and daemon.why is None:
            write(f"{line}\n" for line in changes(before, answer))
            before = answer
        elif not was_away:
            is_over = has_ended()
            write(_of_absence(daemon, is_over=is_over))
            if is_over:
                return
        was_away = daemon.why is not None
        time.sleep(wait_s(began_s))
        daemon.ask()


def _of_absence(daemon: WatchedDaemon, *, is_over: bool) -> Iterator[str]:
    at = f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M:%S}"
    run = daemon.answer["run"]["id"] if daemon.answer is not None else "?"
    text = f"run {run} has ended" if is_over else f"{daemon.why}; waiting for it"
    yield f"{stamp(at, text)}\n"
