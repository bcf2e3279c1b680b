"""The simulated database behind a service: alive, frozen or dead, as one can make a real one."""

import threading
from typing import Final

ALIVE: Final = "alive"
FROZEN: Final = "frozen"
DEAD: Final = "dead"


class DatabaseDeadError(Exception):
    """The database refuses."""


class Database:
    """What every authenticated call has to go through."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._state = ALIVE

    def set_state(self, state: str) -> None:
        """Change its state; calls that hang go on when it is no longer frozen.

        Raises:
            ValueError: There is no such state.
        """
        if state not in {ALIVE, FROZEN, DEAD}:
            raise ValueError(f"no such state of a database: {state!r}; there are alive, frozen, dead")
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def query(self) -> None:
        """Return at once while it is alive, hang while it is frozen.

        Raises:
            DatabaseDeadError: It is dead.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._state != FROZEN)
            if self._state == DEAD:
                raise DatabaseDeadError
