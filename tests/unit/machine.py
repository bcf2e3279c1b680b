"""A machine whose clocks a test moves."""

from dataclasses import dataclass

from downtimer.model import SECOND_NS

UTC_NS = 1_795_365_425_000_000_000


@dataclass
class Machine:
    """A machine whose clocks a test moves."""

    boot: int = 1_000 * SECOND_NS
    monotonic: int = 1_000 * SECOND_NS
    utc: int = UTC_NS
    cpu: int = 0
    name: str = "first"

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return self.boot

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return self.monotonic

    def utc_ns(self) -> int:
        """CLOCK_REALTIME."""
        return self.utc

    def cpu_ns(self) -> int:
        """CPU time."""
        return self.cpu

    def boot_id(self) -> str:
        """The boot."""
        return self.name

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.pass_ns(round(seconds * SECOND_NS))

    def pass_ns(self, length_ns: int) -> None:
        """Let time pass."""
        self.monotonic += length_ns
        self.boot += length_ns
        self.utc += length_ns
