"""Many datagrams with one system call: sendmmsg(2) and recvmmsg(2), through ctypes.

The kernel reads and writes arrays that are made once and live as long as their owner: headers, addresses,
contents. Whoever sends fills in addresses and contents; whoever has received reads them, until the next call.
Used by the icmp worker only; knows nothing of what is in the datagrams.
"""

import ctypes
import errno
import os
import socket
from typing import Any, Final

import numpy as np
import numpy.typing as npt

NAME_SIZE: Final = 32
"""Room for an address of either family (struct sockaddr_in6 needs 28 bytes)."""

CONTROL_SIZE: Final = 32
"""Room for what the kernel says beside a datagram: its stamp."""

Octets = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.uint32]

_IOVEC: Final = np.dtype([("base", np.uintp), ("length", np.uintp)], align=True)
_MSGHDR: Final = np.dtype(
    [
        ("name", np.uintp),
        ("name_length", np.uint32),
        ("iovec", np.uintp),
        ("iovecs", np.uintp),
        ("control", np.uintp),
        ("control_length", np.uintp),
        ("flags", np.int32),
    ],
    align=True,
)
_MMSGHDR: Final = np.dtype([("header", _MSGHDR), ("length", np.uint32)], align=True)
_STAMP: Final = np.dtype(
    [("length", np.uintp), ("level", np.int32), ("kind", np.int32), ("seconds", np.int64), ("ns", np.int64)],
    align=True,
)
"""The only control message that we ask for: it holds a struct timespec."""

_NO_STAMP: Final = -1
_SECOND_NS: Final = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
_libc.recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]


class _Messages:
    """The headers of so many messages, each with an address and contents of its own."""

    def __init__(self, size: int, contents: npt.NDArray[Any]) -> None:
        self.size = size
        self.names: Octets = np.zeros((size, NAME_SIZE), np.uint8)
        self._vectors = np.zeros(size, _IOVEC)
        self._vectors["base"] = _pointers(contents)
        self._vectors["length"] = contents.strides[0]
        self._all = np.zeros(size, _MMSGHDR)
        headers = self._all["header"]
        headers["name"] = _pointers(self.names)
        headers["iovec"] = _pointers(self._vectors)
        headers["iovecs"] = 1
        self._headers = headers
        self._address = self._all.ctypes.data


class Outgoing(_Messages):
    """Messages to be sent.

    Attributes:
        names: Where they go: a row of bytes each, a struct sockaddr.
    """

    def __init__(self, contents: npt.NDArray[Any], name_length: int) -> None:
        """Make room for as many as there are `contents`; all addresses are of the same length."""
        super().__init__(len(contents), contents)
        self._contents = contents  # the kernel reads it, so it must live
        self._headers["name_length"] = name_length

    def send(self, descriptor: int, first: int, count: int) -> int:
        """Send `count` messages from the first; return how many the kernel took, at least one.

        Raises:
            OSError: It did not take the first.
        """
        address = self._address + first * _MMSGHDR.itemsize
        taken = _libc.sendmmsg(descriptor, address, count, socket.MSG_DONTWAIT)
        if taken < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return int(taken)


class Incoming(_Messages):
    """Messages that were received.

    Attributes:
        data: Contents, a row of bytes each.
        names: Where each came from, likewise; a struct sockaddr.
    """

    def __init__(self, size: int, longest: int) -> None:
        """Make room for `size` messages, of which no more than the beginning is kept (`longest` bytes)."""
        self.data: Octets = np.zeros((size, longest), np.uint8)
        super().__init__(size, self.data)
        self._control: Octets = np.zeros((size, CONTROL_SIZE), np.uint8)
        self._headers["control"] = _pointers(self._control)
        self._used = size
        # Columns of the kernel's structures: looking one up by its name takes as long as reading it.
        stamps = np.ndarray(size, _STAMP, self._control, strides=(CONTROL_SIZE,))
        self._seconds, self._ns = stamps["seconds"], stamps["ns"]
        self._lengths: Counts = self._all["length"]
        self._name_lengths, self._control_lengths = (
            self._headers["name_length"],
            self._headers["control_length"],
        )

    def receive(self, descriptor: int) -> int:
        """Receive what there is, as much as there is room for; return how many messages it was.

        Raises:
            OSError: An error is pending on the socket.
        """
        self._name_lengths[: self._used] = NAME_SIZE
        self._control_lengths[: self._used] = CONTROL_SIZE
        taken = _libc.recvmmsg(descriptor, self._address, self.size, socket.MSG_DONTWAIT, None)
        if taken < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EWOULDBLOCK):
                self._used = 0
                return 0
            raise OSError(number, os.strerror(number))
        self._used = int(taken)
        return self._used

    def lengths(self) -> Counts:
        """Return how long the messages are, as far as they were kept."""
        return self._lengths[: self._used]

    def stamps_ns(self) -> npt.NDArray[np.int64]:
        """Return when the kernel received each (CLOCK_REALTIME); -1 where it did not say."""
        found: npt.NDArray[np.int64] = self._seconds[: self._used] * _SECOND_NS
        found += self._ns[: self._used]
        has_none = self._control_lengths[: self._used] < _STAMP.itemsize
        if np.count_nonzero(has_none):
            found[has_none] = _NO_STAMP
        return found


def _pointers(array: npt.NDArray[Any]) -> npt.NDArray[np.uintp]:
    """Return the address of each row of an array."""
    return np.arange(len(array), dtype=np.uintp) * np.uintp(array.strides[0]) + np.uintp(array.ctypes.data)
