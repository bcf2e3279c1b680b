"""Tells downtimer what a playbook is at: a mark for each play, or for each task with a certain tag."""

import shlex
import subprocess
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: downtimer
type: notification
short_description: marks plays, or tasks with a certain tag, in a measurement of downtimer
description:
  - The report of downtimer then tells the downtime of each of these phases, from a mark to the next.
  - A mark that can't be made is a warning, and never fails a play.
  - To enable it, put this file into a folder that C(callback_plugins) names, and C(downtimer) into
    C(callbacks_enabled), both in the section C([defaults]) of ansible.cfg. Within C(downtimer run --
    ansible-playbook ...) nothing else is needed.
options:
  command:
    description: How to call downtimer; it may have options, such as C(downtimer --config FILE).
    default: downtimer
    env: [{name: DOWNTIMER_COMMAND}]
    ini: [{section: callback_downtimer, key: command}]
  tag:
    description: Mark each task that has this tag, instead of each play.
    default: ""
    env: [{name: DOWNTIMER_TAG}]
    ini: [{section: callback_downtimer, key: tag}]
requirements: [a run of downtimer that is under way on this host]
"""

LONGEST = 1_000
PATIENCE_S = 10


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core has no types
    """Makes the marks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "downtimer"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401
        """Mark a play."""
        if not self.get_option("tag"):
            self._mark(play.get_name())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ANN401, ARG002, FBT001
        """Mark a task with the tag."""
        if self.get_option("tag") in task.tags:
            self._mark(task.get_name())

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:  # noqa: ANN401
        """Mark a handler with the tag."""
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def _mark(self, text: str) -> None:
        command = [
            *shlex.split(self.get_option("command")),
            "mark",
            "--",
            text.strip()[:LONGEST] or "unnamed",
        ]
        try:
            subprocess.run(  # noqa: S603 - as the user has it
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=True
            )
        except (OSError, subprocess.SubprocessError) as exc:
            said = getattr(exc, "stderr", None) or str(exc).encode()
            self._display.warning(f"no mark {text!r}: {said.decode(errors='replace').strip()}")
