"""Whether a start begins a new run or goes on with the last one, and what a run begins with."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from downtimer import clock
from downtimer.clock import Anchor
from downtimer.config import Config
from downtimer.errors import DowntimerError
from downtimer.model import SECOND_NS, Run, RunId

RESUME_S: Final = 15 * 60
"""A cut-off run whose last progress is older is not gone on with unless asked."""


def new_run(config: Config, label: str, source: clock.Source = clock.SYSTEM) -> tuple[Run, Anchor]:
    """Return a run that begins now, and its clock."""
    anchor = clock.tie(source)
    at = datetime.fromtimestamp(anchor.start_utc_ns / SECOND_NS, tz=UTC)
    run = Run(
        id=RunId(f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"),
        label=label,
        vantage=config.vantage.name,
        cloud=config.global_.keystone_endpoint or "",
        start_utc_ns=anchor.start_utc_ns,
        boot_origin_ns=anchor.boot_origin_ns,
        boot_id=anchor.boot_id,
    )
    return run, anchor


def resumed(run: Run, last_ns: int, source: clock.Source = clock.SYSTEM) -> tuple[Run, Anchor]:
    """Return a cut-off run as it goes on now, and its clock."""
    anchor = clock.tie_again(run, last_ns, source)
    return replace(run, boot_origin_ns=anchor.boot_origin_ns, boot_id=anchor.boot_id), anchor


def why_not_resumed(config: Config, label: str, run: Run, age_s: float) -> str | None:
    """Return why a cut-off run is not gone on with, None if it may be."""
    if run.cloud != (config.global_.keystone_endpoint or ""):
        return f"it measured {run.cloud or 'no Keystone'}"
    if run.vantage != config.vantage.name:
        return f"its vantage is {run.vantage}"
    if label and run.label != label:
        return f"its label is {run.label!r}"
    if age_s > RESUME_S:
        return f"its last measurement is {age_s / 60:.0f} minutes old"
    return None


def check_resumable(run: Run | None, why_not: str | None) -> None:
    """Refuse an explicit `--resume` that cannot be.

    Raises:
        DowntimerError: There is no such run, or it is another cloud's.
    """
    if run is None:
        raise DowntimerError("there is no cut-off run to resume; start without --resume")
    if why_not is not None and "minutes old" not in why_not:
        raise DowntimerError(f"run {run.id} cannot be resumed: {why_not}")


def now_ns(anchor: Anchor, source: clock.Source = clock.SYSTEM) -> int:
    """Return the present instant of a run."""
    return source.boot_ns() - anchor.boot_origin_ns
