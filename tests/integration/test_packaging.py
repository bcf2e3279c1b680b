"""`pip install .` from a clean checkout gives a command that works. Needs PyPI, for setuptools and others."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL_TIMEOUT_S = 300
COMMAND_TIMEOUT_S = 60
COMMANDS = ("start", "stop", "report", "status", "runs", "demo")


def run(*argv: str | Path, timeout_s: float = COMMAND_TIMEOUT_S, cwd: Path = ROOT) -> str:
    """Run a command that should succeed and return what it printed."""
    done = subprocess.run(
        [str(part) for part in argv],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{argv} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of the last commit holds, without anything that builds or tests left in the work tree."""
    directory = tmp_path_factory.mktemp("checkout")
    archive = directory / "source.tar"
    run("git", "archive", "--output", archive, "HEAD")
    with tarfile.open(archive) as tar:
        tar.extractall(directory / "source", filter="data")
    return directory / "source"


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with downtimer and what it depends on, installed from the checkout."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", venv)
    run(
        venv / "bin" / "pip",
        *("--disable-pip-version-check", "--no-input", "--quiet", "install", "."),
        cwd=checkout,
        timeout_s=INSTALL_TIMEOUT_S,
    )
    return venv


def test_console_script_shows_its_usage(installed: Path, tmp_path: Path) -> None:
    usage = run(installed / "bin" / "downtimer", "--help", cwd=tmp_path)
    assert set(COMMANDS) <= set(usage.split())


def test_every_module_is_installed(installed: Path, checkout: Path) -> None:
    (package,) = installed.glob("lib/python3*/site-packages/downtimer")
    shipped = {path.relative_to(package) for path in package.rglob("*.py")}
    written = {path.relative_to(checkout / "downtimer") for path in (checkout / "downtimer").rglob("*.py")}
    assert shipped == written
    assert (package / "py.typed").exists()


def test_what_the_html_report_is_made_of_is_installed(installed: Path, checkout: Path) -> None:
    (package,) = installed.glob("lib/python3*/site-packages/downtimer/report/html")
    source = checkout / "downtimer" / "report" / "html"
    written = {path.relative_to(source) for path in source.rglob("*.*") if path.is_file()}
    assert len(written) > 15
    assert {path for path in written if not (package / path).exists()} == set()
    (about,) = installed.glob("lib/python3*/site-packages/downtimer-*.dist-info")
    assert len(list(about.glob("licenses/**/LICENSE"))) == 2


def test_installed_requirements_agree(installed: Path) -> None:
    run(installed / "bin" / "pip", "--disable-pip-version-check", "check")


def test_command_in_the_checkout_runs_without_installation(
    installed: Path, checkout: Path, tmp_path: Path
) -> None:
    usage = run(installed / "bin" / "python", checkout / "bin" / "downtimer", "--help", cwd=tmp_path)
    assert usage.startswith("downtimer: how long")
