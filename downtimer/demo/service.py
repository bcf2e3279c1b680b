"""One simulated service as a process: ``python -m downtimer.demo.service NAME --host H …``.

It writes ``listening EARLIEST LATEST`` and ``answering EARLIEST LATEST`` on its standard output, then
obeys lines on its standard input (``mode 503``, ``keep-alive off``, ``database frozen``, ``delay
0.5``, ``certificate FILE``), answering each with ``done EARLIEST LATEST``: the instants between which it
took effect, CLOCK_BOOTTIME in ns. At the end of its input it ends. As a standby it does nothing until
told to ``listen``, so that a service that was killed can be replaced within milliseconds.
"""

import argparse
import os
import ssl
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from downtimer.demo.agentlists import agent_calls
from downtimer.demo.api import NO_CALLS, Calls, Service
from downtimer.demo.database import Database
from downtimer.demo.httpd import Manners, Server
from downtimer.demo.identity import Identity
from downtimer.demo.resources import Compute, Network
from downtimer.demo.services import PROFILES
from downtimer.demo.tokens import RETRIES, Gate, RemoteGate, SignedGate
from downtimer.demo.truth import Bracket, now_ns
from downtimer.demo.world import WorldFile
from downtimer.parent import die_with_parent


class Control:
    """Obeys the lines on standard input."""

    def __init__(self, manners: Manners, database: Database) -> None:
        self._manners = manners
        self._database = database

    def obey(self, line: str) -> str:
        """Do what one line says; return the answer."""
        before_ns = now_ns()
        try:
            self._apply(*line.split())
        except (TypeError, ValueError) as error:
            return f"error {error}"
        return _stamped("done", Bracket(before_ns, now_ns()))

    def _apply(self, what: str, value: str) -> None:
        if what == "mode":
            self._manners.set_mode(value)
        elif what == "keep-alive":
            self._manners.keep_alive = {"on": True, "off": False}[value]
        elif what == "database":
            self._database.set_state(value)
        elif what == "delay":
            self._manners.delay_s = float(value)
        elif what == "certificate":
            self._manners.tls = load_certificate(value)
        else:
            raise ValueError(f"no such order: {what}")


def load_certificate(path: str) -> ssl.SSLContext:
    """Return what a server with the certificate and key in that file speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def calls_of(name: str, world: WorldFile, gate: Gate) -> Calls:
    """Return what the process of that name really does."""
    calls = NO_CALLS
    if name == "keystone":
        calls = Identity(world, gate).calls
    elif name == "neutron":
        calls = Network(world).calls
    elif name == "nova":
        calls = Compute(world).calls
    return replace(calls, closed={**calls.closed, **agent_calls(name, world)})


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until standard input ends."""
    die_with_parent()
    options = _parse(argv)
    profile = PROFILES[options.name]
    manners = Manners(keep_alive=profile.keep_alive)
    if options.certificate is not None:
        manners.tls = load_certificate(options.certificate)
    database = Database()
    world = WorldFile(options.world)
    gate: Gate = SignedGate(world)
    if options.keystone is not None:
        gate = RemoteGate(options.keystone, retries=options.keystone_retries)
    calls = calls_of(profile.name, world, gate)
    app = Service(profile, gate=gate, database=database, world=world, calls=calls)
    server = Server(app, manners, host=options.host, port=options.port, workers=options.workers)
    if options.standby and not sys.stdin.readline():
        return 0
    _report(_stamped("listening", server.listen()))
    threading.Event().wait(options.warmup)
    before_ns = now_ns()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _report(_stamped("answering", Bracket(before_ns, now_ns())))
    control = Control(manners, database)
    for line in sys.stdin:
        _report(control.obey(line))
    os._exit(0)  # threads may be in the middle of answers; nobody is left to wait for them


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="downtimer.demo.service")
    parser.add_argument("name", choices=PROFILES)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--keystone", help="URL of the Keystone that is asked whose a token is")
    parser.add_argument("--keystone-retries", type=int, default=RETRIES)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--certificate", help="file with certificate and key, to speak TLS")
    parser.add_argument("--standby", action="store_true", help="wait for a line before listening")
    parser.add_argument("--warmup", type=float, default=0.0, help="seconds between listening and answering")
    return parser.parse_args(argv)


def _stamped(word: str, when: Bracket) -> str:
    return f"{word} {when.earliest_ns} {when.latest_ns}"


def _report(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
