"""What became of an address besides being measured: it was retired, its server was stopped. Pure.

None of it makes up or takes away an observation. Retirement ends the window; the rest is a label.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from downtimer.cells import is_good
from downtimer.model import SECOND_NS, Power, PowerChange, Span, TargetState, Verdict

BELIEVED_NS: Final = 60 * SECOND_NS
"""If a list so shortly before a failure still had the address, and none after it, it was taken away then."""

NOT_LISTED: Final = "no longer listed"

_OWNER: Final = {
    Power.STOPPED: "Nova reported its server stopped",
    Power.DELETED: "Nova reported its server deleted, or being deleted",
}
_FOR_EVER: Final = 2**62


def window_end_ns(state: TargetState, spans: Sequence[Span]) -> int | None:
    """Return where the window of a retired address ends; None if nothing of it counts.

    As of its last good answer, if the last complete list that had it was shortly before the first failure
    after that: then it failed because it was taken away. Else as of the first list that lacked it.

    Args:
        state: Of an address that is retired.
        spans: Of the check that counts, in order, at least one.
    """
    missing_ns = state.retired_ns if state.missing_ns is None else state.missing_ns
    failed = _last_failure(spans)
    if failed is None or not 0 <= failed.first_sent_ns - state.listed_ns < BELIEVED_NS:
        return missing_ns
    return max((span.last_sent_ns for span in spans if is_good(span)), default=None)


def _last_failure(spans: Sequence[Span]) -> Span | None:
    """Return the first failed span after the last good one; None if it answered to the end."""
    found: Span | None = None
    for span in reversed(spans):
        if is_good(span):
            break
        if span.verdict is Verdict.DOWN:
            found = span
    return found


def label(state: TargetState, start_ns: int, end_ns: int, *, is_ongoing: bool) -> str | None:
    """Return what is to be said of an outage that lasted from `start_ns` to `end_ns`; None if nothing."""
    if not state.powers and state.retired_ns is None:
        return None
    reasons = [
        _OWNER[power]
        for power, from_ns, to_ns in _owners_doing(state.powers)
        if from_ns <= end_ns and start_ns <= to_ns
    ]
    if state.retired_ns is not None and is_ongoing:
        reasons.append(NOT_LISTED)
    return "; ".join(dict.fromkeys(reasons)) or None


def _owners_doing(powers: Sequence[PowerChange]) -> Iterator[tuple[Power, int, int]]:
    """Yield when a server was not running, at the longest."""
    for change, after in pairwise([*powers, None]):
        if change is not None and change.power is not Power.RUNNING:
            yield change.power, change.after_ns, _FOR_EVER if after is None else after.by_ns
