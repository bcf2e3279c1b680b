"""The marks that a real ansible-playbook makes by the callback plugin, in a real measurement."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command import PROGRAM, Command

pytestmark = pytest.mark.untimed

PLUGINS = Path(__file__).parents[2] / "etc" / "ansible"
PLAYBOOK = """
- name: control plane
  hosts: localhost
  gather_facts: false
  tasks:
    - name: restart nova
      ansible.builtin.command: "true"
      changed_when: true
      notify: flush caches
      tags: [step]
    - name: nobody cares
      ansible.builtin.command: "true"
  handlers:
    - name: flush caches
      ansible.builtin.command: "true"
      tags: [step]
- name: "computes $(touch oops) --help"
  hosts: localhost
  gather_facts: false
  tasks: []
"""
PLAYS = ["control plane", "computes $(touch oops) --help"]


def play(command: Command, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the playbook with the plugin enabled."""
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    ansible = {
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS),
        "ANSIBLE_CALLBACKS_ENABLED": "downtimer",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "DOWNTIMER_COMMAND": " ".join(PROGRAM),
        "DOWNTIMER_CONFIG": str(command.config),
        "LC_ALL": "C.UTF-8",
    }
    program = Path(sys.executable).parent / "ansible-playbook"
    return subprocess.run(
        [program, "--connection=local", "--inventory=localhost,", "play.yml"],
        cwd=tmp_path,
        env=os.environ | ansible | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_plays_or_tasks_with_a_tag_are_marked_and_no_mark_fails_a_play(
    command: Command, tmp_path: Path
) -> None:
    command.ok("start")
    play(command, tmp_path)
    play(command, tmp_path, DOWNTIMER_TAG="step")
    played = play(command, tmp_path, DOWNTIMER_COMMAND="no-such-program")
    command.ok("stop")
    assert [mark["text"] for mark in command.report()["marks"]] == [*PLAYS, "restart nova", "flush caches"]
    assert "no mark 'control plane': " in played.stderr
    assert "no-such-program" in played.stderr
    assert not (tmp_path / "oops").exists()
    assert "no daemon is running" in play(command, tmp_path).stderr
