"""The Keystone that is upgraded: an older release, installed once per machine beside the newest one.

Its database and keys are made anew for each measurement, by its own `db_sync` and `bootstrap`; the newest one
gets the same.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from tests.integration.keystone_install import (
    ADMIN_PASSWORD,
    DATABASE,
    PLACEHOLDER_URL,
    REGION,
    KeystoneInstallation,
    install_keystone,
    write_configuration,
)
from tests.integration.mariadb_env import MariaDb

REQUIREMENTS: Final = Path(__file__).with_name("keystone-requirements.txt")
STEP_TIMEOUT_S: Final = 900.0
_KEYS: Final = ("fernet-keys", "receipt-keys", "credential-keys")


def install_both(directory: Path) -> tuple[KeystoneInstallation, KeystoneInstallation]:
    """Return the old Keystone, bootstrapped, and the newest one, which has the same keys.

    Args:
        directory: For database and keys.

    Raises:
        RuntimeError: A step failed; the message holds what it said.
    """
    newest = install_keystone()
    venv = _install_old(newest.venv.parents[1])
    old = _bootstrap(venv, directory)
    return old, KeystoneInstallation(newest.venv, old.template, old.mariadb)


def version_of(installation: KeystoneInstallation, package: str) -> str:
    """Tell which version of a package an installation has."""
    (folder,) = installation.venv.glob("lib/python3.*/site-packages")
    (found,) = distributions(name=package, path=[str(folder)])
    return found.version


def manage(
    installation: KeystoneInstallation,
    directory: Path,
    *arguments: str,
    timeout_s: float = STEP_TIMEOUT_S,
) -> str:
    """Run one command of `keystone-manage`; return what it said.

    Args:
        installation: Whose.
        directory: Has the configuration.
        arguments: The command.
        timeout_s: After so long it is ended, and has failed.

    Raises:
        RuntimeError: It failed; the message holds what it said.
        subprocess.TimeoutExpired: It took too long.
    """
    program = installation.venv / "bin" / "keystone-manage"
    return _run([str(program), "--config-file", f"{directory}/keystone.conf", *arguments], timeout_s)


def _install_old(cache: Path) -> Path:
    """Return the environment of the old Keystone; make it first if there is none in this folder."""
    interpreter = f"{sys.base_prefix} {sys.version}"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + b"\0" + interpreter.encode()).hexdigest()
    directory = cache / f"keystone-old-py{platform.python_version()}-{digest[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    venv, complete = directory / "venv", directory / "complete"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(venv, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(venv)])
            pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
            _run([*pip, "install", "--quiet", "--requirement", str(REQUIREMENTS)])
            complete.touch()
    return venv


def _bootstrap(venv: Path, directory: Path) -> KeystoneInstallation:
    server = directory / "mariadb"
    old = KeystoneInstallation(venv, directory / "template", server / "data")
    for keys in _KEYS:
        (old.template / keys).mkdir(mode=0o700, parents=True)
    with MariaDb(server) as database:
        database.create_database(DATABASE)
        write_configuration(old.template, database=database)
        owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
        manage(old, old.template, "fernet_setup", *owner)
        manage(old, old.template, "credential_setup", *owner)
        manage(old, old.template, "db_sync")
        urls = [f"--bootstrap-{which}-url={PLACEHOLDER_URL}" for which in ("public", "internal", "admin")]
        administrator = ["--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", REGION]
        manage(old, old.template, "bootstrap", *administrator, *urls)
    return old


def _run(argv: Sequence[str], timeout_s: float = STEP_TIMEOUT_S) -> str:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} failed with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout
