"""The Keystone that is upgraded: an older release, installed once per machine beside the newest one.

Its database and keys are made anew for each measurement, by its own `db_sync` and `bootstrap`; the newest one
gets the same.
"""

import hashlib
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from tests.integration.keystone_install import (
    KeystoneInstallation,
    install_keystone,
    make_environment,
    make_keys,
    make_mariadb,
    make_once,
)

REQUIREMENTS: Final = Path(__file__).with_name("keystone-requirements.txt")


def install_both(directory: Path) -> tuple[KeystoneInstallation, KeystoneInstallation]:
    """Return the old Keystone, bootstrapped, and the newest one, which has the same keys.

    Args:
        directory: For database and keys.

    Raises:
        RuntimeError: A step failed; the message holds what it said.
    """
    newest = install_keystone()
    venv = _install_old(newest.venv.parents[1])
    old = KeystoneInstallation(venv, directory / "template", directory / "mariadb" / "data")
    make_keys(old)
    make_mariadb(old)
    return old, KeystoneInstallation(newest.venv, old.template, old.mariadb)


def version_of(installation: KeystoneInstallation, package: str) -> str:
    """Tell which version of a package an installation has."""
    (folder,) = installation.venv.glob("lib/python3.*/site-packages")
    (found,) = distributions(name=package, path=[str(folder)])
    return found.version


def _install_old(cache: Path) -> Path:
    """Return the environment of the old Keystone; make it first if there is none in this folder."""
    interpreter = f"{sys.base_prefix} {sys.version}"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + b"\0" + interpreter.encode()).hexdigest()
    directory = cache / f"keystone-old-py{platform.python_version()}-{digest[:12]}"
    venv = directory / "venv"
    make_once(directory, lambda: make_environment(venv, REQUIREMENTS))
    return venv
