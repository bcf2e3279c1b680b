"""The upgrade, step by step, as Keystone's documentation has it for one without downtime; and its own log.

With one Keystone, which has to be stopped before its successor can have its place, it cannot be without.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from downtimer.demo.truth import now_ns
from downtimer.model import SECOND_NS
from tests.integration.keystone_install import manage
from tests.upgrade.cloud import Cloud

MOST_S: Final = 600.0
"""So long a step may wait for a lock."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the upgrade.

    Attributes:
        what: What was done.
        start_ns: When it began (CLOCK_BOOTTIME).
        end_ns: When it was done.
    """

    what: str
    start_ns: int
    end_ns: int

    @property
    def length_s(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / SECOND_NS


class Upgrade:
    """From the old Keystone to the new one.

    Attributes:
        steps: Its log.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.steps: list[Step] = []
        self._cloud = cloud

    def expand(self) -> None:
        """Add to the schema what the new one needs, while the old one serves."""
        self._sync("--expand")

    def replace(self) -> None:
        """Stop the old one, and start the new one in its place."""
        with self._step("stop the old Keystone"):
            self._cloud.old.stop()
        self._sync("--migrate")
        with self._step("start the new Keystone, until it answers"):
            self._cloud.new.start()

    def contract(self) -> None:
        """Take from the schema what only the old one needed."""
        self._sync("--contract")

    def _sync(self, phase: str) -> None:
        cloud = self._cloud
        with self._step(f"keystone-manage db_sync {phase}"):
            manage(cloud.installation, cloud.configuration, "db_sync", phase, timeout_s=MOST_S)

    @contextlib.contextmanager
    def _step(self, what: str) -> Iterator[None]:
        start_ns = now_ns()
        yield
        self.steps.append(Step(what, start_ns, now_ns()))
