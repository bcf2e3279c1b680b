"""Whether a start begins a new run or goes on with the last one, and what a run begins with."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from downtimer import clock
from downtimer.clock import Anchor
from downtimer.config import Config
from downtimer.model import SECOND_NS, Run, RunId
from downtimer.store.journal import LastRun
from downtimer.supervisor.launch import Orders

RESUME_S: Final = 15 * 60
"""A cut-off run whose last progress is older is not gone on with unless asked."""

RESUME_PAUSED_S: Final = 24 * 3600
"""Likewise where it was paused: then it is not known when it was cut off, and nothing was missed."""


def new_run(config: Config, label: str, source: clock.Source = clock.SYSTEM) -> tuple[Run, Anchor]:
    """Return a run that begins now, and its clock."""
    anchor = clock.tie(source)
    at = datetime.fromtimestamp(anchor.start_utc_ns / SECOND_NS, tz=UTC)
    run = Run(
        id=RunId(f"{at:%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"),
        label=label,
        vantage=config.vantage.name,
        cloud=_cloud(config),
        start_utc_ns=anchor.start_utc_ns,
        boot_origin_ns=anchor.boot_origin_ns,
        boot_id=anchor.boot_id,
    )
    return run, anchor


def resumed(run: Run, last_ns: int, source: clock.Source = clock.SYSTEM) -> tuple[Run, Anchor]:
    """Return a cut-off run as it goes on now, and its clock."""
    anchor = clock.tie_again(run, last_ns, source)
    return replace(run, boot_origin_ns=anchor.boot_origin_ns, boot_id=anchor.boot_id), anchor


def age_s(cut_off: LastRun, source: clock.Source = clock.SYSTEM) -> float:
    """Return how long ago the last record of a cut-off run was made."""
    _, anchor = resumed(cut_off.run, cut_off.through_ns, source)
    return (source.boot_ns() - anchor.boot_origin_ns - cut_off.through_ns) / SECOND_NS


def why_not_resumed(config: Config, orders: Orders, cut_off: LastRun | None) -> str | None:
    """Return why the last run is not gone on with, as half a sentence; None if it is.

    An explicit `--resume` overrules its age only: on another cloud it would be another measurement.
    """
    if cut_off is None:
        return "there is no run that was cut off"
    reason = next(_reasons_against(config, orders, cut_off), None)
    return reason and f"run {cut_off.run.id} was cut off and is not resumed: {reason}"


def _cloud(config: Config) -> str:
    """Return where the cloud is; empty without one."""
    return "" if config.account is None else config.account.url


def _reasons_against(config: Config, orders: Orders, cut_off: LastRun) -> Iterator[str]:
    run = cut_off.run
    if orders.resume is False:
        yield "a new run was asked for"
    if run.cloud != _cloud(config):
        yield f"it measured {run.cloud or 'without Keystone'}"
    if run.vantage != config.vantage.name:
        yield f"its vantage is {run.vantage}"
    if orders.label and run.label != orders.label:
        yield f"its label is {run.label!r}"
    most_s = RESUME_S if cut_off.paused_ns is None else RESUME_PAUSED_S
    if not orders.resume and (seconds := age_s(cut_off)) > most_s:
        yield f"its last measurement is {seconds / 60:.0f} minutes old"
