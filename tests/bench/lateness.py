"""An api worker that says at its end how late it sent its probes: ``python -m tests.bench.lateness``."""

import json
import sys

from downtimer.pace import Rates
from downtimer.series import Series
from downtimer.workers import api
from downtimer.workers.worker import Child, main

_late_ns: list[tuple[int, int]] = []  # when a probe was due, and by how much it was late


class _Series(Series):
    """One that keeps when its probes were due."""

    def issue(self, now_ns: int, rates: Rates) -> int:
        """Note how late this one is."""
        due_ns = self.due_ns(rates)
        if due_ns is not None:
            _late_ns.append((due_ns, now_ns - due_ns))
        return super().issue(now_ns, rates)


async def _body(child: Child) -> None:
    await api.body(child)
    sys.stderr.write(json.dumps(_late_ns) + "\n")


if __name__ == "__main__":
    runner_module = sys.modules["downtimer.workers.runner"]
    runner_module.Series = _Series  # type: ignore[attr-defined]
    main("api", _body)
