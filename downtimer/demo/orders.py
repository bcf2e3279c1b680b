r"""Orders to a simulated cloud from other processes: its services are restarted, its addresses dropped.

The cloud listens on a Unix socket in its own folder; ``python -m downtimer.demo.orders SOCKET WORDS…`` is the
other end. One order at a time is obeyed, from a thread of the cloud's process::

    client                                       cloud
      │  ["restart", "nova", "3"]\n                │
      │ ─────────────────────────────────────────► │
      │  {"code": 0, "text": "nova is back; …"}\n   │
      │ ◄───────────────────────────────────────── │
"""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.processes import DemoError
from downtimer.demo.serviceprocess import SimulatedService
from downtimer.errors import ExitCode
from downtimer.printable import printable

RESTART_S: Final = 2.0
RESTART_MOST_S: Final = 3600.0
_LONGEST: Final = 65_536

USAGE: Final = """
restart SERVICE [SECONDS]   kill it, and start it again after so long (2 if not given)
stop SERVICE                kill it
start SERVICE               start it again
drop ADDRESS                make a floating IP silent
restore ADDRESS             have it answer again
list                        what there is
help                        this text""".strip()

_NEEDS: Final = {
    "restart": "a SERVICE, and may have SECONDS",
    "stop": "a SERVICE",
    "start": "a SERVICE",
    "drop": "an ADDRESS",
    "restore": "an ADDRESS",
}
"""What has to follow these, and nothing else."""


class Reply(msgspec.Struct, frozen=True):
    """What came of an order: an exit code, and lines for whoever gave it."""

    code: int
    text: str


class Orders:
    """Obeys orders, from entering to leaving.

    Attributes:
        path: Of the socket.
    """

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.path = cloud.directory / "orders"
        self._cloud = cloud
        self._socket = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._serve, name="orders")

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            DemoError: There can be no socket there: its path may be too long.
        """
        try:
            self._socket.bind(str(self.path))
        except OSError as exc:
            self._socket.close()
            reason = exc.strerror or str(exc)
            raise DemoError(
                f"cannot listen on {self.path}: {reason}; let TMPDIR name another folder"
            ) from exc
        self._socket.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # which `accept` returns from
        self._thread.join()
        self._socket.close()
        self.path.unlink()

    def obey(self, words: Sequence[str]) -> Reply:
        """Do what is ordered; return what came of it."""
        try:
            return Reply(ExitCode.DONE, self._done(words))
        except DemoError as error:
            return Reply(ExitCode.FAILED, str(error))

    def _done(self, words: Sequence[str]) -> str:
        match words:
            case [] | ["help"]:
                return USAGE
            case ["restart", name, *seconds] if len(seconds) <= 1:
                return self._restart(name, _seconds(*seconds))
            case ["stop" | "start" as order, name]:
                service = self._service(name)
                (service.kill if order == "stop" else service.start)()
                return f"{self._served(name)} is {'down' if order == 'stop' else 'back'}"
            case ["drop" | "restore" as order, address]:
                known = self._address(address)
                (self._cloud.drop if order == "drop" else self._cloud.restore)(known)
                return f"{address} {'is silent' if order == 'drop' else 'answers'}"
            case ["list"]:
                return self._listed()
            case [order, *_] if order in _NEEDS:
                raise DemoError(f"{order} needs {_NEEDS[order]}")
        raise DemoError(f"no such order: {' '.join(words)}; `cloud help` tells which there are")

    def _listed(self) -> str:
        """Return a line for each process, and one for each address."""
        lines = []
        for name, service in self._cloud.services.items():
            others = ", ".join(target for target in service.targets if target != name)
            lines.append(f"{name} (serves {others}, too)" if others else name)
        return "\n".join([*lines, *self._cloud.addresses])

    def _restart(self, name: str, seconds: float) -> str:
        service = self._service(name)
        service.kill()
        time.sleep(seconds)
        service.start()
        return f"{self._served(name)} is back, after {seconds:g} s"

    def _service(self, name: str) -> SimulatedService:
        return self._cloud.services.get(name) or self._cloud.service(name)

    def _served(self, name: str) -> str:
        """Return the subject of a sentence: a service of the catalog need not have a process of its own."""
        if name in self._cloud.services:
            return name
        return f"{name} is served by {self._cloud.service(name).name}, which"

    def _address(self, address: str) -> str:
        if address not in self._cloud.addresses:
            raise DemoError(f"the simulated cloud has no address {address}")
        return address

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # whoever went away wants no answer
                connection.settimeout(RESTART_S)
                words = msgspec.json.decode(connection.recv(_LONGEST), type=list[str])
                connection.sendall(msgspec.json.encode(self.obey(words)))


def _seconds(text: str = str(RESTART_S)) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= RESTART_MOST_S:
            return float(text)
    raise DemoError(f"{text}: seconds are a number from 0 to {RESTART_MOST_S:g}")


def main() -> int:
    """Give an order, and show what came of it."""
    path, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(msgspec.json.encode(words))
            reply = msgspec.json.decode(connection.recv(_LONGEST), type=Reply)
        except (OSError, msgspec.DecodeError):
            reply = Reply(ExitCode.FAILED, f"no simulated cloud answers ({Path(path).parent})")
    out = sys.stdout if reply.code == ExitCode.DONE else sys.stderr
    for line in reply.text.splitlines():
        out.write(f"{printable(line)}\n")
    return reply.code


if __name__ == "__main__":
    sys.exit(main())
