"""Addresses that answer badly: the owner's side of the responder, which runs in the cloud's namespace."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from downtimer.demo.netns import Namespaces
from downtimer.demo.obedient import Obedient
from downtimer.demo.processes import Spawner
from downtimer.demo.responder import Behaviour
from downtimer.demo.truth import Bracket


@dataclass(frozen=True, slots=True)
class Echo:
    """One request that the responder saw.

    Attributes:
        at_ns: When it came, CLOCK_BOOTTIME.
        copies: How many replies it gets.
        identifier: Which it bears.
        size: Of its message, in bytes.
    """

    at_ns: int
    copies: int
    identifier: int
    size: int


class Impairer:
    """Has addresses of the cloud answered by the responder, which it starts.

    Args:
        spawner: Starts it.
        network: Where.
        log: The file to which the responder writes what became of every request.
        seed: Of the losses.
    """

    def __init__(self, spawner: Spawner, network: Namespaces, log: Path, seed: int = 1) -> None:
        self._network = network
        self._log = log
        argv = [sys.executable, "-m", "downtimer.demo.responder", str(log), str(seed)]
        self._responder = Obedient(spawner, network.in_cloud(argv))
        try:
            self._responder.expect("answering")
        except BaseException:
            self.close()
            raise

    def impair(self, addresses: Sequence[str], behaviour: Behaviour) -> Bracket:
        """Let addresses be answered by the responder; return when the kernel ceased to.

        For a moment before that both answer.
        """
        for address in addresses:
            self._responder.order(f"{address} {json.dumps(asdict(behaviour))}")
        return self._network.drop(addresses)

    def forget(self, addresses: Sequence[str]) -> None:
        """Answer for addresses no longer; replies that are under way still come."""
        for address in addresses:
            self._responder.order(f"{address} null")

    def echoes(self, address: str) -> list[Echo]:
        """Return what came of every request to an address that was impaired."""
        lines = (line.split() for line in self._log.read_text().splitlines())
        return [
            Echo(int(at), int(copies), int(identifier), int(size))
            for at, found, copies, identifier, size in lines
            if found == address
        ]

    def close(self) -> None:
        """End the responder."""
        self._responder.close()
