"""What a probe of an API costs.

One api worker, with all that it does, against HAProxy on the loopback, which answers by itself; every probe
is a fresh connection. The benchmark plays its writer and its supervisor. A probe costs the CPU time of the
worker's process over some seconds, divided by the probes judged meanwhile. ``prometheus-blackbox-exporter``
probes the same server in the same run at the same rate, scraped over a connection that is kept; its probe
costs all that its process needs. Over HTTPS both make a full handshake and verify the certificate each time.

The 2,000 URLs are probed by a worker that is tied to one core, for a minute in all runs together. A probe is
late by the time from when it was due until it was sent. One whose sending our host has held up says nothing
and is no failure. The table of growth is of a probe of each URL every two seconds.
"""

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from downtimer.model import MILLISECOND_NS, SECOND_NS, Span, Verdict
from tests.bench.apiworker import LATENESS, WORKER, ApiWorker
from tests.bench.blackbox import Blackbox
from tests.bench.drain import Drain
from tests.bench.figures import Figure, Growth, Results
from tests.bench.processes import cpu_s
from tests.bench.website import Website

RATIO_MAX: Final = 0.35
URLS: Final = 2_000

_COMPARED: Final = 500  # URLs, each once a second
_COMPARED_TLS: Final = 200
_SIZES: Final = (10, 500, 2_000, 5_000)
_SPACED_S: Final = 2.0  # between the probes of each, in the table of growth
_MEASURED_S: Final = 5.0
_SUSTAINED_S: Final = 60.0  # all runs together
_WARM_S: Final = 1.5
_WIDEST_NS: Final = SECOND_NS + SECOND_NS // 2  # between two probes of what is probed once a second


class _Compared(NamedTuple):
    """CPU per probe, in seconds."""

    ours_s: float
    theirs_s: float


class _Sustained(NamedTuple):
    """What came of many URLs that were probed once a second.

    Attributes:
        urls: Of how many every probe was answered, and none was missed.
        failed: Probes that were not well answered in good time.
        unknown: Probes that say nothing, for our host held them up.
        core: The part of a core that it took.
        late_ms: By how much the latest of a hundred probes was sent late.
    """

    urls: int
    failed: int
    unknown: int
    core: float
    late_ms: float


class _Size(NamedTuple):
    """What it costs to probe so many URLs."""

    urls: float
    probe_us: float
    core_percent: float
    peak_mb: float


def measure(directory: Path, runs: int) -> Results:
    """Measure it."""
    with Website(directory / "site") as site, Blackbox(directory / "blackbox", site.authority) as blackbox:
        plain = [_compare(site, blackbox, _COMPARED, is_secure=False) for _ in range(runs)]
        secure = [_compare(site, blackbox, _COMPARED_TLS, is_secure=True) for _ in range(runs)]
        sustained = [_sustain(site, _SUSTAINED_S / runs) for _ in range(runs)]
        sizes = [[_cost(site, size) for _ in range(runs)] for size in _SIZES]
    return Results(
        figures=(
            *_figures_compared("HTTP", plain, at_most=RATIO_MAX),
            *_figures_compared("HTTPS", secure, at_most=None),
            *_figures_sustained(sustained),
        ),
        growths=(
            Growth(
                what=f"What many URLs cost, each probed every {_SPACED_S:g} s",
                columns=("URLs", "CPU per probe (µs)", "CPU (% of a core)", "Peak memory (MB)"),
                rows=tuple(tuple(map(statistics.median, zip(*found, strict=True))) for found in sizes),
            ),
        ),
    )


@contextmanager
def _at_work(
    site: Website, urls: Sequence[str], interval_s: float, module: str = WORKER
) -> Iterator[ApiWorker]:
    """Have URLs probed by a worker."""
    text = f"[global]\ncacert = {site.authority}\n[api]\ninterval = {interval_s:g}\nbudget = 100000\n"
    with Drain() as drain, ApiWorker(drain, urls, text, module) as worker:
        worker.wait_until_all_are_seen()
        time.sleep(_WARM_S)
        yield worker


def _compare(site: Website, blackbox: Blackbox, count: int, *, is_secure: bool) -> _Compared:
    """Have the same URLs probed by both, one after the other."""
    urls = site.urls(count, is_secure=is_secure)
    with _at_work(site, urls, 1.0) as worker:
        before = worker.standing()
        time.sleep(_MEASURED_S)
        after = worker.standing()
    ours_s = (after.cpu_s - before.cpu_s) / (after.probes - before.probes)
    blackbox.probe(urls, seconds=_WARM_S, per_second=count)
    before_s = cpu_s(blackbox.pid)
    probes = blackbox.probe(urls, seconds=_MEASURED_S, per_second=count)
    return _Compared(ours_s, (cpu_s(blackbox.pid) - before_s) / probes)


def _sustain(site: Website, seconds: float) -> _Sustained:
    """Have many URLs probed once a second, on one core."""
    with _at_work(site, site.urls(URLS), 1.0, LATENESS) as worker:
        worker.pin(min(os.sched_getaffinity(0)))
        before = worker.standing()
        time.sleep(seconds)
        after = worker.standing()
        worker.finish()
        spans = worker.spans()
    late_ns = worker.late_ns(before.at_ns)
    well = {span.target for span in spans if span.verdict is Verdict.UP and span.widest_ns <= _WIDEST_NS}
    failed = [span for span in spans if span.verdict in (Verdict.DOWN, Verdict.SLOW)]
    return _Sustained(
        urls=len(well - {span.target for span in failed}),
        failed=_probes(failed),
        unknown=_probes([span for span in spans if span.verdict is Verdict.UNKNOWN]),
        core=(after.cpu_s - before.cpu_s) / ((after.at_ns - before.at_ns) / SECOND_NS),
        late_ms=late_ns[len(late_ns) * 99 // 100] / MILLISECOND_NS,
    )


def _cost(site: Website, count: int) -> _Size:
    """Return what it costs to probe so many URLs."""
    with _at_work(site, site.urls(count), _SPACED_S) as worker:
        before = worker.standing()
        time.sleep(_MEASURED_S)
        after = worker.standing()
        peak_mb = worker.peak_mb()
    needed_s = after.cpu_s - before.cpu_s
    return _Size(
        urls=count,
        probe_us=1e6 * needed_s / (after.probes - before.probes),
        core_percent=100 * needed_s / ((after.at_ns - before.at_ns) / SECOND_NS),
        peak_mb=peak_mb,
    )


def _probes(spans: Sequence[Span]) -> int:
    return sum(span.probes for span in spans)


def _figures_compared(name: str, found: Sequence[_Compared], *, at_most: float | None) -> Iterator[Figure]:
    ours, theirs = (tuple(1e6 * each for each in side) for side in zip(*found, strict=True))
    yield Figure(what=f"CPU per {name} probe", values=ours, unit="µs")
    yield Figure(what=f"CPU per {name} probe, blackbox_exporter", values=theirs, unit="µs")
    yield Figure(
        what=f"CPU per {name} probe, against blackbox_exporter",
        values=tuple(each.ours_s / each.theirs_s for each in found),
        unit="×",
        at_most=at_most,
    )


def _figures_sustained(found: Sequence[_Sustained]) -> Iterator[Figure]:
    yield Figure(
        what="URLs probed once a second on one core, all answered",
        values=tuple(float(each.urls) for each in found),
        unit="URLs",
        at_least=URLS,
    )
    yield Figure(
        what="failed probes of these, in all",
        values=(float(sum(each.failed for each in found)),),
        unit="probes",
        at_most=0,
    )
    yield Figure(
        what="probes of these that say nothing, for the host held them up",
        values=tuple(float(each.unknown) for each in found),
        unit="probes",
    )
    yield Figure(
        what="how much of the core they take", values=tuple(100 * each.core for each in found), unit="%"
    )
    yield Figure(what="how late they are sent, P99", values=tuple(each.late_ms for each in found), unit="ms")
