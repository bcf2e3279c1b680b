"""What is put on record of each address and window, for InfluxDB."""

from dataclasses import dataclass

from downtimer.messages import AddressWindow
from downtimer.model import TargetId


@dataclass(slots=True)
class RoundTrips:
    """What came of an address's probes since the window began."""

    sent: int = 0
    lost: int = 0
    rtt_min_ns: int = 0
    rtt_sum_ns: int = 0
    rtt_max_ns: int = 0

    def failed(self) -> None:
        """Count a probe that was not answered."""
        self.sent += 1
        self.lost += 1

    def answered(self, rtt_ns: int) -> None:
        """Count an answer."""
        if self.sent == self.lost or rtt_ns < self.rtt_min_ns:
            self.rtt_min_ns = rtt_ns
        self.rtt_max_ns = max(self.rtt_max_ns, rtt_ns)
        self.rtt_sum_ns += rtt_ns
        self.sent += 1

    def message(self, target: TargetId, start_ns: int) -> AddressWindow:
        """Return it for the writer."""
        came = self.sent - self.lost
        if not came:
            return AddressWindow(target=target, start_ns=start_ns, sent=self.sent, lost=self.lost)
        return AddressWindow(
            target=target,
            start_ns=start_ns,
            sent=self.sent,
            lost=self.lost,
            rtt_min_ns=self.rtt_min_ns,
            rtt_mean_ns=self.rtt_sum_ns // came,
            rtt_max_ns=self.rtt_max_ns,
        )
