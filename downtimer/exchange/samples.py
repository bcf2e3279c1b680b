"""Single probes that others made -> spans, by the same rule as our own, and latencies. Pure."""

from downtimer.messages import LATENCY_WINDOW_NS, LatencyWindow
from downtimer.model import NEVER_NS, Incarnation, Kind, Span, TargetId, Verdict
from downtimer.tracker import Outcome, Tracker

"""How long a window of latencies is."""


class SampleTrack:
    """Takes the samples of one check of one target, in order of time. What has ended by then is handed over.

    Args:
        target: Its id.
        kind: Its kind; of services latencies are kept.
        check: The check's name.
        life: Tells these samples from others, made before or after a break.
    """

    def __init__(self, target: TargetId, kind: Kind, check: str, life: Incarnation) -> None:
        self._target = target
        self._check = check
        self._keeps_latencies = kind is Kind.SERVICE
        self._tracker = Tracker(target, check, life, self._emit)
        self._sent_ns = 0  # of the last one, as it was told
        self._last_ns = -1  # and as it counts
        self._spans: list[Span] = []
        self._windows: list[LatencyWindow] = []
        self._window_ns = 0
        self._latencies: list[int] = []

    def take(
        self,
        sent_ns: int,
        verdict: Verdict,
        cause: str | None,
        *,
        latency_ns: int | None = None,
        max_gap_ns: int | None = None,
    ) -> None:
        """Take a sample. Of several with the same instant each counts as a nanosecond after the other.

        Raises:
            ValueError: It was sent before the last one.
        """
        if sent_ns < self._sent_ns:
            raise ValueError("samples of a check must be in order of time; this was sent before the last one")
        self._sent_ns = sent_ns
        self._last_ns = max(sent_ns, self._last_ns + 1)
        self._tracker.issue(self._last_ns)
        gap_ns = NEVER_NS if max_gap_ns is None else max_gap_ns
        self._tracker.resolve(self._last_ns, Outcome(verdict, cause, gap_ns))
        if latency_ns is not None and self._keeps_latencies and verdict in (Verdict.UP, Verdict.SLOW):
            self._keep(sent_ns, latency_ns)

    def ended(self) -> tuple[list[Span], list[LatencyWindow]]:
        """Return what has ended since the last call."""
        found = self._spans, self._windows
        self._spans, self._windows = [], []
        return found

    def close(self) -> tuple[list[Span], list[LatencyWindow]]:
        """End everything, and return it."""
        self._tracker.close()
        self._end_window()
        return self.ended()

    def _emit(self, span: Span, *, is_open: bool) -> None:
        if not is_open:
            self._spans.append(span)

    def _keep(self, sent_ns: int, latency_ns: int) -> None:
        if self._latencies and sent_ns >= self._window_ns + LATENCY_WINDOW_NS:
            self._end_window()
        if not self._latencies:
            self._window_ns = sent_ns
        self._latencies.append(latency_ns)

    def _end_window(self) -> None:
        latencies, self._latencies = self._latencies, []
        if latencies:
            self._windows.append(LatencyWindow.of(self._target, self._check, self._window_ns, latencies))
