"""Where probes leave from: ``[targets] source``."""

import errno
import ipaddress
import socket
from typing import Final

_BIND_ADDRESS_NO_PORT: Final = 24  # of linux/in.h


class Source:
    """Where connections leave from: an address, an interface, or as the routing table has it."""

    def __init__(self, text: str | None) -> None:
        self._device: str | None = None
        self._address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
        if text is not None:
            try:
                self._address = ipaddress.ip_address(text)
            except ValueError:
                self._device = text

    def bind(self, sock: socket.socket) -> None:
        """Let a socket leave from here.

        Raises:
            OSError: The host has no such address or interface now, or we may not use it, or the
                socket is of the other family.
        """
        if self._device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode() + b"\0")
        elif self._address is not None:
            if sock.family != (socket.AF_INET if self._address.version == 4 else socket.AF_INET6):
                raise OSError(errno.EADDRNOTAVAIL, "the source is of the other family")
            if sock.type is socket.SOCK_STREAM:
                # The port is chosen with the connection, and has to be free for that peer only: else some 500
                # connections a second use up all ports, each of which rests for a minute.
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((str(self._address), 0))

    def check(self) -> None:
        """See whether this host has it now.

        Raises:
            OSError: It has not.
        """
        family = (
            socket.AF_INET6 if self._address is not None and self._address.version == 6 else socket.AF_INET
        )
        with socket.socket(family, socket.SOCK_DGRAM) as attempt:
            self.bind(attempt)
