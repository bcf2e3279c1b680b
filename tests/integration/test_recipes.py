"""The recipes of the documentation are sound playbooks, by Ansible's own word."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.untimed

RECIPES: Final = Path(__file__).parents[2] / "doc" / "recipes"
TIMEOUT_S: Final = 120


PLAYBOOKS: Final = [path for path in sorted(RECIPES.iterdir()) if "\n  hosts: " in path.read_text()]


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)
def test_a_playbook_is_sound(playbook: Path) -> None:
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible-playbook"), "--syntax-check"),
            *("--inventory", "localhost,controller,", playbook),
        ],
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
