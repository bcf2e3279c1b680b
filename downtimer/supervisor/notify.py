"""What a service manager is told of the daemon: systemd's protocol, sd_notify(3).

A datagram to the socket that it names in the environment; nothing where it names none. The protocol is stable
and a few lines long, see doc/decisions/0050-what-systemd-is-told.rst.
"""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

_USEC_PER_S: Final = 1_000_000


class ServiceManager:
    """Whoever started us as a service, if anybody did.

    Attributes:
        watchdog_s: It wants to be fed within so many seconds, again and again; None if it does not.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Take what is for us out of the environment, so that no child takes it for its own."""
        self._address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_usec = environment.pop("WATCHDOG_USEC", "")
        watched_pid = environment.pop("WATCHDOG_PID", "")
        is_watched = (
            watchdog_usec.isdecimal() and int(watchdog_usec) and watched_pid in ("", str(os.getpid()))
        )
        self.watchdog_s = int(watchdog_usec) / _USEC_PER_S if is_watched else None

    def ready(self, what: str) -> None:
        """It is measured; `what` is shown by `systemctl status`."""
        self._tell(f"READY=1\nSTATUS={what}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` says when that is done."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The run is ended, and then the daemon."""
        self._tell("STOPPING=1\nSTATUS=ending the run")

    def feed(self) -> None:
        """Our loop lives."""
        self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            datagrams.setblocking(False)
            datagrams.sendto(text.encode(), address)
