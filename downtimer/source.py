"""Where probes leave from: ``[targets] source``."""

import errno
import ipaddress
import socket


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
