"""How far a start is, from what the daemon answers meanwhile. Runs in a command that waits for it."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from downtimer.control import client
from downtimer.control.wording import SEEN, count
from downtimer.errors import DowntimerError

_POLL_S: Final = 0.2
_ANSWER_S: Final = 1.0


def stage(answer: Mapping[str, Any], keystone: str | None) -> str:
    """Return how far the start is that a `status` answer shows, in a few words; empty if it is over. Pure.

    Args:
        answer: Of the daemon.
        keystone: Where it signs in; None if there is no cloud.
    """
    if not answer["starting"]:
        return ""
    kinds = {kind: answer["targets"][kind] for kind in ("service", "address")}
    if not any(counts["probed"] for counts in kinds.values()):
        return "starting" if keystone is None else f"signing in to {keystone}"
    found = (count(kind, counts["probed"]) for kind, counts in kinds.items())
    seen = (
        f"{sum(counts[column] for column in SEEN)} of {counts['probed']}"
        for counts in kinds.values()
        if counts["probed"]
    )
    return f"{', '.join(found)}; first samples of {' and '.join(seen)}"


@contextlib.contextmanager
def watched(socket: str, keystone: str | None, show: Callable[[str], None]) -> Iterator[None]:
    """Show how far a start is for as long as it takes.

    Args:
        socket: Where the daemon will listen.
        keystone: See `stage`.
        show: Is told it in few words, from another thread; empty words, when it is over.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(socket, keystone, show, ended), daemon=True)
    show("starting")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        show("")


def _watch(socket: str, keystone: str | None, show: Callable[[str], None], ended: threading.Event) -> None:
    while not ended.wait(_POLL_S):
        with contextlib.suppress(DowntimerError):  # not there yet, or no more, or busy
            text = stage(client.request(socket, "status", timeout_s=_ANSWER_S), keystone)
            if text and not ended.is_set():
                show(text)
