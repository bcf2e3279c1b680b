"""Sends echo requests to the addresses of one family, hundreds at a time, and receives what comes back.

Owned by the icmp worker. Knows sockets and packets; what a reply or its absence means is for others to know.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from downtimer.clock import RunClock
from downtimer.workers import packets
from downtimer.workers.addresses import Addresses, Flags, Instants, Nonces, Rows
from downtimer.workers.echo import EchoSocket, EchoSockets
from downtimer.workers.echo_windows import EchoWindows
from downtimer.workers.mmsg import Incoming, Outgoing
from downtimer.workers.packets import ECHO, Family, Quote
from downtimer.workers.stalls import DOUBT_NS

BATCH: Final = 1024
"""Requests, or messages, that are dealt with at once; the kernel takes no more with one call."""

_CALL: Final = 64
"""Requests that leave with one system call, and bear one instant: they take less than half a millisecond."""

_SEQUENCES: Final = np.arange(2**16 + BATCH).astype(np.uint16)
_MESSAGE_MAX: Final = (
    128  # enough for an error, two IP headers with some options, and the request that it quotes
)
_TRIES: Final = 3


class Volley(NamedTuple):
    """Requests that were sent, by index.

    Attributes:
        sent_ns: When each left.
        nonces: Of the cookies that they bear.
        sequences: Their numbers.
        errors: Why some could not be sent.
        held_up: Those of which it is not known well enough when they left.
    """

    sent_ns: Instants
    nonces: Nonces
    sequences: npt.NDArray[np.uint16]
    errors: Sequence[tuple[int, OSError]]
    held_up: Sequence[int]


class Heard(NamedTuple):
    """What came in with one system call, by index.

    Attributes:
        opened: On which socket.
        is_plain: Which are plain replies, with the kernel's stamp.
        rows: In the cookies of those; no matter for others.
        nonces: Likewise.
        stamps_ns: When the kernel received them (CLOCK_REALTIME); -1 where it did not say.
        sources: Where they come from: a row of bytes each, a struct sockaddr.
    """

    opened: EchoSocket
    is_plain: Flags
    rows: npt.NDArray[np.uint64]
    nonces: Nonces
    stamps_ns: Instants
    sources: npt.NDArray[np.uint8]


class _Plain:
    """What comes in, as if all of it were plain replies: columns."""

    def __init__(self, incoming: Incoming, *, has_header: bool) -> None:
        echoes = packets.as_echoes(incoming.data, has_header=has_header)
        self.length = packets.length_of_echo(has_header=has_header)
        self.kinds = echoes["kind"]
        self.rows, self.nonces = echoes["cookie"]["row"], echoes["cookie"]["nonce"]


class Lane:
    """The way to the addresses of one family.

    Attributes:
        family: Which.
        addresses: Its addresses.
        windows: What is put on record of each; None if nobody wants that.
    """

    def __init__(
        self, addresses: Addresses, windows: EchoWindows | None, sockets: EchoSockets, clock: RunClock
    ) -> None:
        self.family: Family = addresses.family
        self.addresses = addresses
        self.windows = windows
        self._sockets = sockets
        self._clock = clock
        self._echoes = np.zeros(BATCH, ECHO)
        self._echoes["kind"] = self.family.request
        # Columns of what is sent: looking one up by its name takes as long as filling it.
        self._identifiers, self._sequences = self._echoes["identifier"], self._echoes["sequence"]
        self._rows, self._nonces = self._echoes["cookie"]["row"], self._echoes["cookie"]["nonce"]
        self._outgoing = Outgoing(self._echoes, self.family.name_length)
        self._incoming = Incoming(BATCH, _MESSAGE_MAX)
        self._plain = {
            has_header: _Plain(self._incoming, has_header=has_header) for has_header in (True, False)
        }
        self._sequence = int.from_bytes(os.urandom(2), "big")
        self._quotes: list[Quote] = []

    def find_room(self) -> int:
        """Return how many may be sent before what comes back must be received; at most `BATCH`."""
        opened = self._sockets.of(self.family) if len(self.addresses.row_of) else None
        return min(BATCH, opened.find_room()) if isinstance(opened, EchoSocket) else BATCH

    # --- sending ---

    def send(self, rows: Rows) -> Volley:
        """Send a request to each of these rows, at most `BATCH`.

        Raises:
            OSError: There is no socket at the moment.
            CannotStartError: Neither kind of socket is permitted.
        """
        opened = self._sockets.of(self.family)
        if isinstance(opened, OSError):
            raise opened
        nonces, sequences = self._prepare(rows, opened)
        sent_ns = np.zeros(len(rows), np.int64)
        errors: list[tuple[int, OSError]] = []
        held_up: list[int] = []
        first, count = 0, len(rows)
        while first < count:
            taken, began_ns, ended_ns, error = self._shoot(opened, first, min(_CALL, count - first))
            next_ = first + taken
            if error is not None:
                errors.append((next_, error))
                next_ += 1
            sent_ns[first:next_] = began_ns
            if ended_ns - began_ns > DOUBT_NS:
                held_up.extend(range(first, next_))
            first = next_
        return Volley(sent_ns, nonces, sequences, errors, held_up)

    def _prepare(self, rows: Rows, opened: EchoSocket) -> tuple[Nonces, npt.NDArray[np.uint16]]:
        """Write the requests; return their nonces and sequence numbers."""
        count = len(rows)
        nonces = np.frombuffer(os.urandom(count * np.uint64().nbytes), np.uint64)
        sequences = _SEQUENCES[self._sequence : self._sequence + count]
        self._sequence = (self._sequence + count) % 2**16
        self._identifiers[:count], self._sequences[:count] = opened.identifier, sequences
        self._rows[:count], self._nonces[:count] = rows, nonces
        if opened.has_header:
            packets.fill_in_checksums(self._echoes[:count])
        self.addresses.names.take(rows, axis=0, out=self._outgoing.names[:count])
        return nonces, sequences

    def _shoot(self, opened: EchoSocket, first: int, count: int) -> tuple[int, int, int, OSError | None]:
        """Send some; return how many left, between which instants, and why the next did not, if that is so.

        On a ping socket the error may be an earlier request's: an ICMP error that was pending. Then
        it is tried again.
        """
        for _ in range(_TRIES):
            taken, error = 0, None
            began_ns = self._clock.now_ns()
            try:
                taken = self._outgoing.send(opened.fileno(), first, count)
            except OSError as exc:
                error = exc
            ended_ns = self._clock.now_ns()
            if error is None:
                break
            quotes = list(opened.read_errors())
            self._quotes += quotes
            if not quotes:
                break
        return taken, began_ns, ended_ns, error

    # --- what comes back ---

    def receive(self) -> Iterator[Heard]:
        """Yield all that has come in; each holds until the next is asked for."""
        for opened in self._sockets.opened(self.family):
            count = BATCH
            while count == BATCH:
                try:
                    count = self._incoming.receive(opened.fileno())
                except OSError:  # an error is pending: reading the queue clears it
                    self._quotes += opened.read_errors()
                    continue
                if count:
                    yield self._heard(opened, count)

    def _heard(self, opened: EchoSocket, count: int) -> Heard:
        stamps_ns, plain = self._incoming.stamps_ns(), self._plain[opened.has_header]
        is_plain = self._incoming.lengths() == plain.length
        is_plain &= plain.kinds[:count] == self.family.reply
        is_plain &= stamps_ns >= 0
        return Heard(
            opened,
            is_plain,
            plain.rows[:count],
            plain.nonces[:count],
            stamps_ns,
            self._incoming.names[:count],
        )

    def message(self, heard: Heard, index: int) -> bytes:
        """Return a message that came in, from its ICMP header on."""
        data = self._incoming.data[index, : self._incoming.lengths()[index]].tobytes()
        return packets.strip_ip(data) if heard.opened.has_header else data

    def source(self, heard: Heard, index: int) -> bytes:
        """Return whom a message came from, as on the wire."""
        return self.family.packed(heard.sources[index]).tobytes()

    def take_quotes(self) -> list[Quote]:
        """Return the requests that have met an ICMP error, as far as the sockets' error queues have told."""
        taken, self._quotes = self._quotes, []
        return taken
