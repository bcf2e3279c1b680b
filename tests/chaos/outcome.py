"""What came of a fault that was injected again and again: a row of the table in doc/reliability.rst."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one kind of fault, all times that it was injected.

    Attributes:
        fault: What it is, in a few words.
        times: How often it was injected.
        lost: Spans that were acknowledged and are not in the journal at the end, or shorter than they were.
        twice: Spans whose probes are counted in another span as well.
        invented_s: Downtime reported of targets that were up, of all together.
        unobserved_s: The longest time that one fault left a target unobserved.
        back_s: The longest time from the fault until all was at work again; None: nothing had to be.
    """

    fault: str
    times: int
    lost: int
    twice: int
    invented_s: float
    unobserved_s: float
    back_s: float | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, counted twice or invented."""
        return self.lost == self.twice == 0 and self.invented_s == 0
