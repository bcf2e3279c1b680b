"""A child's life as the supervisor keeps it."""

import errno
import subprocess
from typing import Any

import pytest

from downtimer.model import SECOND_NS
from downtimer.supervisor.children import Child, State


def test_a_process_that_there_cannot_be_is_due_again_after_the_back_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_process(*_: Any, **__: Any) -> None:  # noqa: ANN401 - stands in for Popen
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    child = Child("api", bus="ipc:///nowhere", run="1")
    with pytest.raises(OSError, match="temporarily"):
        child.start(0)
    assert (child.state, child.restarts, child.pid) == (State.BACKOFF, 1, None)
    assert not child.is_due(0)
    assert child.is_due(SECOND_NS)
    assert not child.is_overdue(60 * SECOND_NS)
