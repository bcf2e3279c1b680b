"""A sink that keeps what a series finds."""

from dataclasses import dataclass, field

from downtimer.model import Baseline, Span, TargetId


@dataclass
class Told:
    """A sink that keeps everything."""

    spans: dict[tuple[str, int], Span] = field(default_factory=dict)
    baselines: list[tuple[str, Baseline]] = field(default_factory=list)
    turns: list[tuple[str, int, str | None]] = field(default_factory=list)

    def span(self, span: Span, *, is_open: bool) -> None:
        """Keep it."""
        assert span.probes == 1 or not is_open
        self.spans[(span.target, span.first_sent_ns)] = span

    def learnt(self, target: TargetId, check: str, baseline: Baseline) -> None:
        """Keep it."""
        assert check
        self.baselines.append((target, baseline))

    def turned(self, target: TargetId, check: str, since_ns: int, cause: str | None) -> None:
        """Keep it."""
        assert check
        self.turns.append((target, since_ns, cause))
