"""Have a real icmp worker probe many addresses for a while; runs in the namespace that they are reached from.

Usage: tests.bench.icmp_load BLOCK COUNT SECONDS DIRECTORY

Prints what it cost, as JSON.
"""

import ipaddress
import json
import mmap
import os
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from docopt import docopt

from downtimer import config, targets
from downtimer.messages import Beat, Targets
from downtimer.model import Kind, TargetState, Verdict
from tests.bench.drain import Drain
from tests.bench.icmp_worker import SIZE, UNIT_NS, VARIABLE, open_counts
from tests.bench.processes import cpu_s, peak_mb
from tests.fake_supervisor import FakeSupervisor

_CONFIG: Final = """
[static]
ips = 127.0.0.1
[icmp]
interval = 1
budget = 200000
"""
_PORTION: Final = 1_000
_SEEN_S: Final = 60.0


def main() -> None:
    """Do it."""
    arguments = docopt(__doc__)
    block, count = ipaddress.ip_network(arguments["BLOCK"]), int(arguments["COUNT"])
    directory, seconds = Path(arguments["DIRECTORY"]), float(arguments["SECONDS"])
    counts_path = directory / "counts"
    counts_path.write_bytes(bytes(SIZE * 8))
    os.environ[VARIABLE] = str(counts_path)
    drain = Drain()
    supervisor = FakeSupervisor(
        "tests.bench.icmp_worker", config.parse(_CONFIG, "bench"), points=drain.address
    )
    with drain, supervisor:
        supervisor.wait_for(Beat)
        now_ns = supervisor.now_ns()
        states = [
            TargetState(target=targets.address(block[1 + n]), discovered_ns=now_ns, listed_ns=now_ns)
            for n in range(count)
        ]
        for serial, first in enumerate(range(0, count, _PORTION), 2):
            portion = tuple(states[first : first + _PORTION])
            supervisor.send(Targets(serial=serial, whole=False, changed=portion))
        supervisor.wait(lambda: _seen(supervisor) == count, "first answers", timeout_s=_SEEN_S)
        counts, pid = open_counts(counts_path, mmap.ACCESS_READ), supervisor.process.pid
        before, before_s, began = counts.copy(), cpu_s(pid), time.monotonic()
        time.sleep(seconds)
        spent_s, lasted_s, sent = cpu_s(pid) - before_s, time.monotonic() - began, counts - before
        peak = peak_mb(pid)
        supervisor.finish()
    late = np.cumsum(sent[1:])
    json.dump(
        {
            "sent": int(sent[0]),
            "rate": int(sent[0]) / lasted_s,
            "cpu_us": 1e6 * spent_s / int(sent[0]),
            "late_p99_ms": float(np.searchsorted(late, 0.99 * late[-1]) + 1) * UNIT_NS / 1e6,
            "peak_mb": peak,
            "lost": drain.probes(Verdict.DOWN),
            "unknown": drain.probes(Verdict.UNKNOWN),
            "probes": drain.probes(Verdict.UP),
        },
        sys.stdout,
    )


def _seen(supervisor: FakeSupervisor) -> int:
    beats = [message for message in supervisor.heard[-3:] if isinstance(message, Beat)]
    counts = beats[-1].counts.get(Kind.ADDRESS) if beats else None
    return 0 if counts is None else counts.up


if __name__ == "__main__":
    main()
