"""One simulated service seen from outside: started, killed, stopped, told to misbehave; all on record."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from downtimer.demo.httpd import NORMAL
from downtimer.demo.obedient import Obedient
from downtimer.demo.processes import DemoError, Spawner
from downtimer.demo.services import Profile
from downtimer.demo.tokens import RETRIES
from downtimer.demo.truth import Bracket, Fault, Truth, now_ns

_START_S = 20.0
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the services of one cloud have in common.

    Attributes:
        spawner: Starts them.
        truth: Keeps the record of their faults.
        world: The file of the cloud's contents.
        inside: Turns a command into one that runs where the services are.
        keystone: URL of the Keystone that is asked whose a token is; None if signatures are checked.
        keystone_retries: How often it is asked again if it does not answer.
        workers: Connections that a service which does not keep them takes at a time; 0 for no limit.
    """

    spawner: Spawner
    truth: Truth
    world: Path
    inside: Callable[[Sequence[str]], list[str]]
    keystone: str | None = None
    keystone_retries: int = RETRIES
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service listens. `certificate`: file with certificate and key, if it speaks TLS."""

    host: str
    port: int
    certificate: Path | None = None


class SimulatedService:
    """A process that can be killed and started again on the same port.

    Every method that makes or ends a fault writes it to the record, for every service of the
    catalog behind this port. One thread at a time may use it.
    """

    def __init__(
        self,
        profile: Profile,
        surroundings: Surroundings,
        place: Place,
        *,
        alias: str | None = None,
    ) -> None:
        """Prepare it.

        Args:
            profile: How it answers.
            surroundings: Of its cloud.
            place: Where it listens.
            alias: Under which its faults are on record, instead of its names in the catalog.
        """
        self.profile = profile
        self.place = place
        self._alias = alias
        self._around = surroundings
        self._lock = threading.RLock()
        self._running: Obedient | None = None
        self._standby: Obedient | None = None

    @property
    def name(self) -> str:
        """Of the process."""
        return self.profile.name

    @property
    def targets(self) -> tuple[str, ...]:
        """Names in the catalog of the services behind this port."""
        if self._alias is not None:
            return (self._alias,)
        return tuple(entry.name for entry in self.profile.entries)

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        place = self.place
        scheme = "http" if place.certificate is None else "https"
        host = f"[{place.host}]" if ":" in place.host else place.host
        return f"{scheme}://{host}:{place.port}"

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._running is None else self._running.process.pid

    def prepare(self) -> None:
        """Have a process ready that can take the place of this one within milliseconds of its `start`."""
        with self._lock:
            if self._standby is None:
                self._standby = self._spawn(0.0, standby=True)

    def start(self, warmup_s: float = 0.0) -> None:
        """Start it and wait until it answers; ends the fault that killing it was.

        Args:
            warmup_s: How long it listens before it answers, as a service under uWSGI does.

        Raises:
            DemoError: It runs already, or did not come up.
        """
        with self._lock:
            if self._running is not None:
                raise DemoError(f"{self.name} runs already")
            listening, answering = self._start(warmup_s)
            up = Bracket(listening.earliest_ns, answering.latest_ns)
            self._end(answering if warmup_s else up, accepting=listening if warmup_s else None)

    def kill(self) -> None:
        """Kill it with SIGKILL and reap it: refused from now on."""
        self._finish(signal.SIGKILL, "kill")

    def terminate(self) -> None:
        """End it with SIGTERM and reap it."""
        self._finish(signal.SIGTERM, "terminate")

    def stop_signal(self) -> None:
        """Stop it with SIGSTOP: connections are taken, requests hang until it is continued."""
        with self._lock:
            sent = self._signal(signal.SIGSTOP)
            stopped = Bracket(sent.earliest_ns, _wait_for_state(self._obedient().process.pid, "T"))
            self._begin("stop", stopped, accepting=stopped)

    def continue_signal(self) -> None:
        """Continue it with SIGCONT: what hung is answered now."""
        with self._lock:
            self._end(self._signal(signal.SIGCONT))

    def set_mode(self, mode: str) -> None:
        """Change how requests are answered: ``normal``, ``503``, ``404``, ``reset``, ``hang``, ``drip``."""
        with self._lock:
            when = self._obedient().order(f"mode {mode}")
            if mode == NORMAL:
                self._end(when)
            else:
                self._begin(f"mode {mode}", when)

    def set_certificate(self, certificate: Path | None) -> None:
        """Speak TLS with another certificate; None for the one it was made with, which ends the fault."""
        with self._lock:
            when = self._obedient().order(f"certificate {certificate or self.place.certificate}")
            if certificate is None:
                self._end(when)
            else:
                self._begin(f"certificate {certificate.stem}", when)

    def set_keep_alive(self, *, on: bool) -> None:
        """Change whether connections are kept. No fault."""
        with self._lock:
            self._obedient().order(f"keep-alive {'on' if on else 'off'}")

    def set_delay(self, delay_s: float) -> None:
        """Change how long every answer takes. No fault; the caller knows what it means."""
        with self._lock:
            self._obedient().order(f"delay {delay_s}")

    def set_database(self, state: str) -> Bracket:
        """Make its database ``alive``, ``frozen`` or ``dead``; return when.

        Not on record as a fault of the service, whose root answers on: which check it concerns is
        for the caller to say.
        """
        with self._lock:
            return self._obedient().order(f"database {state}")

    def close(self) -> None:
        """End it, off the record."""
        with self._lock:
            for process in (self._running, self._standby):
                if process is not None:
                    process.close()
            self._running = self._standby = None

    def _start(self, warmup_s: float) -> tuple[Bracket, Bracket]:
        """Start the process; return when it listened and when it answered."""
        if self._standby is None or warmup_s:
            running = self._spawn(warmup_s)
        else:
            running, self._standby = self._standby, None
            running.tell("listen")
        try:
            listening = running.expect("listening")
            answering = running.expect("answering", _START_S + warmup_s)
        except BaseException:
            running.close()
            raise
        self._running = running
        return listening, answering

    def _spawn(self, warmup_s: float, *, standby: bool = False) -> Obedient:
        argv = [*self._argv(warmup_s), *(["--standby"] if standby else [])]
        return Obedient(self._around.spawner, self._around.inside(argv))

    def _argv(self, warmup_s: float) -> list[str]:
        place = self.place
        argv = [sys.executable, "-m", "downtimer.demo.service", self.name, f"--host={place.host}"]
        argv += [f"--port={place.port}", f"--world={self._around.world}", f"--warmup={warmup_s}"]
        if place.certificate is not None:
            argv.append(f"--certificate={place.certificate}")
        if self._around.keystone is not None:
            argv.append(f"--keystone={self._around.keystone}")
            argv.append(f"--keystone-retries={self._around.keystone_retries}")
        if self._around.workers and not self.profile.keep_alive:
            argv.append(f"--workers={self._around.workers}")
        return argv

    def _obedient(self) -> Obedient:
        if self._running is None:
            raise DemoError(f"{self.name} does not run")
        return self._running

    def _finish(self, number: signal.Signals, what: str) -> None:
        with self._lock:
            process = self._obedient().process
            before_ns = now_ns()
            process.send_signal(number)
            process.wait(_ANSWER_S)
            self._begin(what, Bracket(before_ns, now_ns()))
            self._obedient().close()
            self._running = None

    def _signal(self, number: signal.Signals) -> Bracket:
        before_ns = now_ns()
        os.kill(self._obedient().process.pid, number)
        return Bracket(before_ns, now_ns())

    def _begin(self, what: str, when: Bracket, *, accepting: Bracket | None = None) -> None:
        for target in self.targets:
            self._around.truth.begin(Fault(target=target, what=what, start=when, accepting=accepting))

    def _end(self, when: Bracket, *, accepting: Bracket | None = None) -> None:
        for target in self.targets:
            self._around.truth.end(target, when, accepting=accepting)


def _wait_for_state(pid: int, state: str) -> int:
    """Wait until the kernel shows a process in that state; return when that was seen."""
    deadline_ns = now_ns() + round(_ANSWER_S * 1e9)
    while now_ns() < deadline_ns:
        stat = Path(f"/proc/{pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == state:
            return now_ns()
    raise DemoError(f"process {pid} did not come into state {state}")
