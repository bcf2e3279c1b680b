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
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration import mariadb_env
from tests.integration.mariadb_env import Database, MariaDb, mariadb_version

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
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.venv / "bin" / "python"

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
    directory.mkdir(parents=True, exist_ok=True)
    server = directory / "mariadb"
    installation = KeystoneInstallation(directory / "venv", directory / "template", server / "data")
    # An environment cannot be made under another name and then renamed (its scripts hold its path), so what
    # makes it whole is a file written last, and a lock keeps two test runs apart.
    complete = directory / "complete"
    with _locked(directory / "lock"):
        if not complete.exists():
            shutil.rmtree(installation.venv, ignore_errors=True)
            shutil.rmtree(installation.template, ignore_errors=True)
            shutil.rmtree(server, ignore_errors=True)
            _make_environment(installation)
            _make_template(installation)
            _make_mariadb(installation, server)
            complete.touch()
    return installation


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


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_environment(installation: KeystoneInstallation) -> None:
    _run([sys.executable, "-m", "venv", str(installation.venv)])
    pip = [str(installation.python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", "--quiet", "--requirement", str(REQUIREMENTS)])


def _make_template(installation: KeystoneInstallation) -> None:
    directory = installation.template
    for keys in ("fernet-keys", "receipt-keys", "credential-keys"):
        (directory / keys).mkdir(mode=0o700, parents=True)
    write_configuration(directory)
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    _manage(installation, "fernet_setup", *owner)
    _manage(installation, "credential_setup", *owner)
    _fill_database(installation)


def _make_mariadb(installation: KeystoneInstallation, server: Path) -> None:
    with MariaDb(server) as database:
        database.create_database(DATABASE)
        write_configuration(installation.template, database=database)
        _fill_database(installation)


def _fill_database(installation: KeystoneInstallation) -> None:
    urls = [f"--bootstrap-{interface}-url={PLACEHOLDER_URL}" for interface in ("public", "internal", "admin")]
    administrator = ["--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", REGION]
    _manage(installation, "db_sync")
    _manage(installation, "bootstrap", *administrator, *urls)


def _manage(installation: KeystoneInstallation, *arguments: str) -> None:
    program = installation.venv / "bin" / "keystone-manage"
    _run([str(program), "--config-file", f"{installation.template}/keystone.conf", *arguments])


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=STEP_TIMEOUT_S,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} failed with {done.returncode}:\n{done.stdout[-4000:]}")
