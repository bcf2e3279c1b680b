"""The HTML report in a browser.

The report on a day of 10,000 addresses (as above), opened from the disk by Debian's Chromium, without a
screen and with an empty cache. The page is usable when its first rows are on the screen and its script
answers; that is counted from the beginning of loading.
"""

import contextlib
from pathlib import Path
from typing import Final

from downtimer import report
from downtimer.store.journal import JournalReader
from tests.bench.figures import Figure, Results
from tests.bench.reports import DAY, write
from tests.browser import Browser, browser

_USABLE: Final = "return performance.getEntriesByName('usable')[0].startTime / 1000"
_MEMORY: Final = "return performance.memory.usedJSHeapSize / 1e6"


def measure(directory: Path, runs: int) -> Results:
    """Measure it, `runs` times."""
    journal, page = directory / "day.sqlite", directory / "day.html"
    write(journal, DAY)
    with contextlib.closing(JournalReader(str(journal))) as reader, page.open("w", encoding="utf-8") as file:
        file.writelines(report.render(reader, "html"))
    usable_s, heap_mb = zip(*(_open(page) for _ in range(runs)), strict=True)
    what = f"{DAY.addresses:,} addresses, {DAY.outages:,} outages"
    return Results(
        [
            Figure(what=f"size, {what}", values=(page.stat().st_size / 1e6,), unit="MB", at_most=5.0),
            Figure(what="usable after", values=usable_s, unit="s", at_most=2.0),
            Figure(what="memory of its script", values=heap_mb, unit="MB"),
        ]
    )


def _open(page: Path) -> tuple[float, float]:
    with browser() as chromium:
        chromium.open(page)
        return _of(chromium, _USABLE), _of(chromium, _MEMORY)


def _of(chromium: Browser, source: str) -> float:
    return float(chromium.script(source))
