"""The picture of the HTML report that the README shows: the demo's upgrade, measured for real, with marks.

Usage: tests.screenshot FILE
"""

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from downtimer import report
from downtimer.assertions import parse
from downtimer.demo.cloud import SimulatedCloud
from downtimer.demo.daemon import Daemon
from downtimer.demo.run import _Show, play
from downtimer.demo.script import Act, Moment, upgrade
from downtimer.store.journal import JournalReader
from tests.browser import browser

ASSERTIONS: Final = ("zero-downtime", "address:* <= 25%", "observed >= 80%")
WIDTH: Final = 1320  # px
HEIGHT: Final = 850


class _Marks(_Show):
    """Marks each step of the upgrade, as whoever upgrades would."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(sys.stderr)
        self._daemon = daemon

    def moment(self, moment: Moment) -> None:
        """Mark the beginning of a step."""
        super().moment(moment)
        if moment.down and moment.step.act is not Act.DROP:
            self._daemon.command("mark", moment.step.target)


def main() -> None:
    """Measure, and take the picture."""
    (path,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        with SimulatedCloud() as cloud, Daemon(cloud) as daemon:
            play(cloud, upgrade(cloud.addresses), _Marks(daemon))
            daemon.stop()
            (journal,) = daemon.directory.glob("state/runs/*.sqlite")
            _write(journal, page)
        _picture(page, Path(path))


def _write(journal: Path, page: Path) -> None:
    with contextlib.closing(JournalReader(str(journal))) as reader, page.open("w", encoding="utf-8") as file:
        summary = report.build(reader, [parse(text) for text in ASSERTIONS])
        file.writelines(report.write(summary, "html"))


def _picture(page: Path, path: Path) -> None:
    with browser() as chromium:
        chromium.resize(WIDTH, HEIGHT)
        chromium.emulate(scheme="light")
        chromium.open(page)
        chromium.hover(chromium.find(".row[aria-label^='nova'] .down"))
        path.parent.mkdir(exist_ok=True)
        chromium.driver.save_screenshot(str(path))


if __name__ == "__main__":
    main()
