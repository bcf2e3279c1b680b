"""One TCP connection, opened and closed again: how an address is probed that does not answer echoes.

Used by the api worker only. Whether the port accepts or refuses, the address has answered.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from downtimer.model import TCP
from downtimer.workers.names import Endpoint, Resolution
from downtimer.workers.talk import Conversation, Done, FailureError, Ground, Talk


@dataclass(frozen=True, slots=True)
class TcpQuestion:
    """Whether a port of an address answers.

    Attributes:
        address: Its text.
        port: Which.
        ground: What its probes stand on.
    """

    address: str
    port: int
    ground: Ground

    @property
    def check(self) -> str:
        """Name of the check."""
        return TCP

    @property
    def name(self) -> None:
        """Nothing is looked up."""
        return None

    @property
    def hears_out(self) -> bool:
        """No port waits for Keystone."""
        return False

    def resolution(self) -> Resolution:
        """Return where to ask."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return Resolution((Endpoint(family, (self.address, self.port)),), None)

    def conversation(self, first_class: Callable[[], int | None], done: Done) -> "TcpProbe":  # noqa: ARG002 - HTTP's
        """Return a probe that is to be started."""
        return TcpProbe(self.ground, done)

    def is_unfit(self, status: int) -> bool:  # noqa: ARG002 - HTTP's
        """Any answer will do."""
        return False


class TcpProbe(Conversation):
    """A connection to the one endpoint given."""

    def converse(self, endpoints: Sequence[Endpoint]) -> Talk[None]:
        """Connect."""
        (endpoint,) = endpoints
        cause = yield from self._try(endpoint)
        if cause is not None and cause != "refused":
            raise FailureError(cause)
