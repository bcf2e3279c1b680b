"""What a watch knows of the daemon: its last answer, and since when there is none."""

import time
from datetime import UTC, datetime
from typing import Any, Final

from downtimer.control import client
from downtimer.errors import ControlError, NotRunningError

ANSWER_S: Final = 2.0
"""A daemon that takes longer is as good as silent: keys have to be obeyed meanwhile."""


class WatchedDaemon:
    """The daemon behind a control socket.

    Attributes:
        answer: The last that it gave to `status`; None before the first.
        why: Why there is none now, one line; None while there is.
        away_since: Since when.
    """

    def __init__(self, socket: str) -> None:
        self.answer: dict[str, Any] | None = None
        self.why: str | None = None
        self.away_since: datetime | None = None
        self._socket = socket

    def ask(self, answer_s: float = ANSWER_S) -> None:
        """Ask it once.

        Raises:
            NotRunningError: It has never been there.
            ControlError: It has never answered.
        """
        try:
            self.answer = client.request(self._socket, "status", timeout_s=answer_s)
        except (NotRunningError, ControlError) as exc:
            if self.answer is None:
                raise
            if self.why is None:
                self.away_since = datetime.now(tz=UTC)
            self.why = str(exc)
        else:
            self.why = self.away_since = None


def wait_s(began_s: float, every_s: float = 1.0) -> float:
    """Return how long to wait for the next refresh, if the last began then, on time.monotonic()."""
    return max(began_s + every_s - time.monotonic(), 0.0)
