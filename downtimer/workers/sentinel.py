"""The sentinel: a connection on which a probe was answered, kept open to learn of its end.

When the process at the other end dies, the kernel closes the connection within a millisecond. That is
no sample, for a server may close what it likes, but a reason to probe at once, and the sharper instant
of the beginning if that probe fails.

Only an answered connection is ever kept: a prefork server gives one of its few workers to each that is
still to ask. A server that closes its connections for other reasons loses its sentinel for a while.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Final

from downtimer.model import SECOND_NS
from downtimer.workers.reactor import Reactor

FALSE_ALARMS: Final = 3
"""So many ends in a row that were followed by an answered probe, and there is no sentinel for a while."""

OFF_NS: Final = 60 * SECOND_NS

_ENOUGH: Final = 4096


class Sentinel:
    """Watches one connection at a time.

    Args:
        reactor: Watches for it.
        on_end: Called when the other side has ended the connection.
    """

    def __init__(self, reactor: Reactor, on_end: Callable[[], None]) -> None:
        self._reactor = reactor
        self._on_end = on_end
        self._connection: socket.socket | None = None
        self._false_alarms = 0
        self._off_until_ns = 0

    def keep(self, connection: socket.socket | None, now_ns: int) -> None:
        """Watch this connection from now on, instead of the one before; None: the server keeps none.

        The reactor watches it already, for whoever had it until now.
        """
        self.drop()
        self._connection = connection
        if connection is None:
            return
        if now_ns < self._off_until_ns:
            self.drop()
        else:
            self._reactor.watch_input(connection.fileno(), self._look)

    def drop(self) -> None:
        """Watch nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._reactor.forget(connection.fileno())
            connection.close()

    def has_ended(self) -> bool:
        """Look whether the other side has just ended the connection; it is dropped then, and not told."""
        if self._connection is None or not _is_over(self._connection):
            return False
        self.drop()
        return True

    def was_right(self) -> None:
        """The probe after an end failed."""
        self._false_alarms = 0

    def was_wrong(self, now_ns: int) -> None:
        """The probe after an end was answered."""
        self._false_alarms += 1
        if self._false_alarms >= FALSE_ALARMS:
            self._false_alarms = 0
            self._off_until_ns = now_ns + OFF_NS
            self.drop()

    def _look(self) -> None:
        if self.has_ended():
            self._on_end()


def _is_over(connection: socket.socket) -> bool:
    """Tell whether it has ended, or broken, or something came that nobody asked for, as before an end."""
    try:
        connection.recv(_ENOUGH)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False  # TLS may have had something to say to itself
    except OSError:
        return True
    return True
