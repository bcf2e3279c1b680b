"""An api worker that says at its end how late it sent its probes: ``python -m tests.bench.lateness``."""

import array
import json
import sys

from downtimer.pace import Rates
from downtimer.series import Series
from downtimer.workers import api
from downtimer.workers.worker import Child, main

_late_ns = array.array("q")


class _Series(Series):
    """One that keeps when its probes were due."""

    def issue(self, now_ns: int, rates: Rates) -> int:
        """Note how late this one is."""
        due_ns = self.due_ns(rates)
        if due_ns is not None:
            _late_ns.append(now_ns - due_ns)
        return super().issue(now_ns, rates)


async def _body(child: Child) -> None:
    await api.body(child)
    late_ns = sorted(_late_ns)
    percentiles = [late_ns[len(late_ns) * part // 100] for part in range(100)] if late_ns else []
    sys.stderr.write(json.dumps({"late_ns": percentiles}) + "\n")


if __name__ == "__main__":
    runner_module = sys.modules["downtimer.workers.runner"]
    runner_module.Series = _Series  # type: ignore[attr-defined]
    main("api", _body)
