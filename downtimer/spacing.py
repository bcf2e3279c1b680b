"""How far apart good answers are: how often a check is probed, and what it may have missed. Pure."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from downtimer.model import Span


def spacing(runs: Iterable[Sequence[Span]]) -> tuple[int | None, int | None]:
    """Return the mean distance of probes in the longest run of good answers, and the widest in any.

    An open span's count of probes may be older than its end; then the mean is too large, and the
    widest distance caps it.

    Args:
        runs: Spans of good answers, up or slow, each observed throughout.
    """
    longest_ns, longest, widest_of_longest_ns, widest_ns = 0, None, 0, None
    for run in runs:
        length_ns = run[-1].last_sent_ns - run[0].first_sent_ns
        if length_ns == 0:
            continue
        widest_of_run_ns = _widest_ns(run)
        if widest_ns is None or widest_of_run_ns > widest_ns:
            widest_ns = widest_of_run_ns
        if length_ns > longest_ns:
            longest_ns, longest, widest_of_longest_ns = length_ns, run, widest_of_run_ns
    if longest is None:
        return None, None
    probes = sum([span.probes for span in longest])
    return min(-(-longest_ns // max(probes - 1, 1)), widest_of_longest_ns), widest_ns


def _widest_ns(run: Sequence[Span]) -> int:
    """Return the largest distance between two neighbouring probes."""
    if len(run) == 1:
        return run[0].widest_ns
    between = [after.first_sent_ns - before.last_sent_ns for before, after in pairwise(run)]
    return max([*between, *[span.widest_ns for span in run]])
