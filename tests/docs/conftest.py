"""The documentation, built once for all tests, and left in ``doc/_build`` for whoever called for it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
BUILT: Final = ROOT / "doc" / "_build"
BUILD_TIMEOUT_S: Final = 300


def _build(builder: str) -> Path:
    """Build all of it anew, with warnings as errors, and return where it is."""
    to = BUILT / builder
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-b", builder),
            *("-d", BUILT / "doctrees" / builder, ROOT / "doc", to),
        ],
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return to


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder of the pages."""
    return _build("html")


@pytest.fixture(scope="session")
def man() -> Path:
    """The man page."""
    return _build("man") / "downtimer.1"
