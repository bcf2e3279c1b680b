"""Installs a real Keystone, once per machine, into an environment of its own beside bootstrapped templates.

Its own environment because its hundred packages must not decide which versions downtimer is tested with. The
templates (the keys and a SQLite database after `db_sync` and `bootstrap`; the same in a MariaDB) are part of
the installation: making them takes longer than starting Keystone, and every test takes a copy.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.integration import mariadb_env
from tests.integration.mariadb_env import Database, MariaDb, mariadb_version
from tests.processes import run_step

REQUIREMENTS = Path(__file__).with_name("keystone-requirements.txt")
ADMIN_PASSWORD = "secret"  # the one in the example of downtimer's configuration
REGION = "RegionOne"
DATABASE = Database("keystone", "keystone", ADMIN_PASSWORD)
PLACEHOLDER_URL = "http://keystone.invalid/v3"  # Keystone's own endpoints, until a copy knows its port
STEP_TIMEOUT_S = 900

# Passwords are hashed as cheaply as can be: what a login costs is not what tests are about.
CONFIGURATION = """\
[DEFAULT]
use_stderr = true
[database]
connection = {connection}
[identity]
password_hash_rounds = 4
[token]
provider = fernet
expiration = {token_lifetime_s}
[fernet_tokens]
key_repository = {directory}/fernet-keys
[fernet_receipts]
key_repository = {directory}/receipt-keys
[credential]
key_repository = {directory}/credential-keys
"""


@dataclass(frozen=True, slots=True)
class KeystoneInstallation:
    """A complete installation.

    Attributes:
        venv: The environment that Keystone and uWSGI are in.
        template: Directory with database and keys, to be copied and not to be changed.
        mariadb: Data directory of a MariaDB that has `DATABASE`, and fits the same keys; likewise.
    """

    venv: Path
    template: Path
    mariadb: Path

    @property
    def uwsgi(self) -> Path:
        """The server."""
        return self.venv / "bin" / "uwsgi"


def install_keystone() -> KeystoneInstallation:
    """Return the installation; make it first if this machine has none for this Python and these requirements.

    Raises:
        RuntimeError: A step failed; the message holds what it said.
    """
    directory = _cache_directory() / f"keystone-{_key()}"
    installation = KeystoneInstallation(
        directory / "venv", directory / "template", directory / "mariadb" / "data"
    )

    def make() -> None:
        make_environment(installation.venv, REQUIREMENTS)
        make_keys(installation)
        _fill_database(installation)
        make_mariadb(installation)

    make_once(directory, make)
    return installation


def make_once(directory: Path, make: Callable[[], None]) -> None:
    """Have the contents of a directory made, unless they are there as a whole.

    An environment cannot be made under another name and then renamed (its scripts hold its path), so what
    makes the contents whole is a file written last, and a lock keeps two test runs apart.
    """
    directory.mkdir(parents=True, exist_ok=True)
    complete = directory / "complete"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            for left in directory.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
            make()
            complete.touch()


def make_environment(venv: Path, requirements: Path) -> None:
    """Make an environment that has what a file of requirements names.

    Raises:
        RuntimeError: A step failed; the message holds what it said.
        subprocess.TimeoutExpired: A step took too long.
    """
    run_step([sys.executable, "-m", "venv", str(venv)], timeout_s=STEP_TIMEOUT_S)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run_step([*pip, "install", "--quiet", "--requirement", str(requirements)], timeout_s=STEP_TIMEOUT_S)


def make_keys(installation: KeystoneInstallation) -> None:
    """Make the template of an installation, with its keys, and a configuration that names an SQLite database.

    Raises:
        RuntimeError: A step failed; the message holds what it said.
        subprocess.TimeoutExpired: A step took too long.
    """
    directory = installation.template
    for keys in ("fernet-keys", "receipt-keys", "credential-keys"):
        (directory / keys).mkdir(mode=0o700, parents=True)
    write_configuration(directory)
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    manage(installation, directory, "fernet_setup", *owner)
    manage(installation, directory, "credential_setup", *owner)


def make_mariadb(installation: KeystoneInstallation) -> None:
    """Make the MariaDB of an installation, with `DATABASE` bootstrapped, and have its configuration name it.

    Raises:
        RuntimeError: A step failed; the message holds what it said.
        subprocess.TimeoutExpired: A step took too long.
    """
    with MariaDb(installation.mariadb.parent) as database:
        database.create_database(DATABASE)
        write_configuration(installation.template, database=database)
        _fill_database(installation)


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
    argv = [str(program), "--config-file", f"{directory}/keystone.conf", *arguments]
    return run_step(argv, timeout_s=timeout_s)


def write_configuration(
    directory: Path, *, database: MariaDb | None = None, token_lifetime_s: int = 3600
) -> None:
    """Write `keystone.conf` for a Keystone whose keys are in that directory, as is SQLite's database.

    All that decides how it bears the loss of a database is left as oslo.db and SQLAlchemy have it.
    """
    connection = f"sqlite:///{directory}/keystone.db" if database is None else database.url(DATABASE)
    text = CONFIGURATION.format(directory=directory, connection=connection, token_lifetime_s=token_lifetime_s)
    (directory / "keystone.conf").write_text(text)


def _cache_directory() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "downtimer-tests"


def _key() -> str:
    """Name all that an environment depends on: our modules, the requirements, which Python and MariaDB."""
    files = [REQUIREMENTS, Path(__file__), Path(mariadb_env.__file__)]
    interpreter = f"{sys.base_prefix} {sys.version} {sysconfig.get_platform()}"
    parts = [*(file.read_bytes() for file in files), interpreter.encode(), mariadb_version().encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return f"{_keystone_version()}-py{platform.python_version()}-{digest[:12]}"


def _keystone_version() -> str:
    for line in REQUIREMENTS.read_text().splitlines():
        name, _, version = line.partition("==")
        if name == "keystone":
            return version
    raise RuntimeError(f"{REQUIREMENTS} does not name keystone")


def _fill_database(installation: KeystoneInstallation) -> None:
    directory = installation.template
    urls = [f"--bootstrap-{interface}-url={PLACEHOLDER_URL}" for interface in ("public", "internal", "admin")]
    administrator = ["--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", REGION]
    manage(installation, directory, "db_sync")
    manage(installation, directory, "bootstrap", *administrator, *urls)
