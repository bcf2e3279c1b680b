"""Which run a start goes on with: one that was paused for longer than one that was not."""

from dataclasses import replace
from pathlib import Path

import pytest

from downtimer import clock, config
from downtimer.model import SECOND_NS
from downtimer.store.journal import LastRun
from downtimer.supervisor import runs
from downtimer.supervisor.launch import Orders

MINUTE_S = 60


@pytest.mark.parametrize(
    ("age_s", "is_paused", "resumes"),
    [
        (10 * MINUTE_S, False, True),
        (20 * MINUTE_S, False, False),
        (20 * MINUTE_S, True, True),
        (23 * 60 * MINUTE_S, True, True),
        (25 * 60 * MINUTE_S, True, False),
    ],
)
def test_how_old_a_run_may_be(tmp_path: Path, age_s: int, is_paused: bool, resumes: bool) -> None:  # noqa: FBT001
    (tmp_path / "conf.ini").write_text("[static]\nips=127.0.0.1\n")
    found = config.load(str(tmp_path / "conf.ini"))
    run, _ = runs.new_run(found, "night")
    began = replace(run, boot_origin_ns=run.boot_origin_ns - age_s * SECOND_NS)
    last = LastRun(began, "", through_ns=0, paused_ns=0 if is_paused else None)
    assert runs.age_s(last, clock.SYSTEM) == pytest.approx(age_s, abs=5)
    for resume in (None, True):
        why_not = runs.why_not_resumed(found, Orders(config=found, resume=resume), last)
        assert (why_not is None) == (resumes or resume is True), why_not
