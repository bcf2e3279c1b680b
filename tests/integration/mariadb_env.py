"""A real MariaDB (Debian's, 10.11) for one test: port, socket and data of its own."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.ports import free_port
from tests.processes import Server, ServerProcess, require_program
from tests.waiting import wait_until

START_TIMEOUT_S = 30
STEP_TIMEOUT_S = 60

# The address of a Unix socket has room for 107 bytes, so it is relative to the data directory, in which both
# server and client run. A commit waits for the kernel, so that a killed server loses none, not for the disk.
CONFIGURATION = """\
[client-server]
socket = mariadb.sock
[mariadbd]
datadir = {data}
bind-address = {host}
port = {port}
skip-name-resolve
innodb-flush-log-at-trx-commit = 2
innodb-flush-method = nosync
innodb-use-native-aio = off
innodb-buffer-pool-size = 16M
innodb-log-file-size = 8M
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and the user to whom all of it belongs."""

    name: str
    user: str
    password: str


class MariaDb(Server):
    """`mariadbd`: can be stopped, killed or frozen, and started again on the same port with the same data.

    Attributes:
        data: Its data directory, which a stopped server leaves fit to be another one's template.
    """

    def __init__(
        self,
        directory: Path,
        *,
        template: Path | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """Write the configuration and make the data directory.

        Args:
            directory: For configuration, data and log; must not exist.
            template: A data directory to be copied; without one there is no database.
            host: The address to listen on, within the network namespace that `prefix` enters.
            port: None takes a free one.
            prefix: A command that runs the rest of its line, such as one that enters a network namespace.
        """
        directory.mkdir(parents=True)
        self.host = host
        self.port = free_port(host) if port is None else port
        self.data = directory / "data"
        self._configuration = directory / "mariadb.conf"
        self._configuration.write_text(CONFIGURATION.format(data=self.data, host=host, port=self.port))
        if template is None:
            # The administrator needs no password, whichever of the system's users runs the tests.
            options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
            self._run("mariadb-install-db", "mariadb-server-core", options, directory=directory)
        else:
            shutil.copytree(template, self.data)
        # It serves as root, which a prefix may make of anybody, only if told to.
        argv = [_mariadbd(), f"--defaults-file={self._configuration}", "--user=root"]
        super().__init__(ServerProcess(argv, directory=directory, prefix=prefix))

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process.start()
        try:
            wait_until(self._answers, timeout_s=START_TIMEOUT_S, what="MariaDB to answer")
        except Exception as exc:
            self._process.kill()
            raise RuntimeError(f"MariaDB did not start; it said:\n{self._process.log_tail()}") from exc

    def create_database(self, database: Database) -> None:
        """Create a database and its user, who may come from anywhere."""
        user = f"'{database.user}'@'%'"
        self.query(f"CREATE DATABASE {database.name}")
        self.query(f"CREATE USER {user} IDENTIFIED BY '{database.password}'")
        self.query(f"GRANT ALL ON {database.name}.* TO {user}")

    def url(self, database: Database) -> str:
        """Tell SQLAlchemy, within this server's network namespace, how to reach a database."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        credentials = f"{quote(database.user, safe='')}:{quote(database.password, safe='')}"
        return f"mysql+pymysql://{credentials}@{host}:{self.port}/{database.name}"

    def connections(self, database: Database) -> int:
        """Count the connections that a database's user has."""
        return self.query("SELECT user FROM information_schema.processlist").count(database.user)

    def query(self, statement: str) -> list[str]:
        """Return the rows that one statement of its administrator gives, columns separated by tabs.

        Raises:
            RuntimeError: The server refused, or does not run.
        """
        options = ["--user=root", "--batch", "--skip-column-names", f"--execute={statement}"]
        return self._run("mariadb", "mariadb-client-core", options, directory=self.data).splitlines()

    def _answers(self) -> bool:
        if not self._process.is_running():
            raise RuntimeError("mariadbd ended")
        try:
            return self.query("SELECT 1") == ["1"]
        except RuntimeError:
            return False

    def _run(self, program: str, package: str, options: Sequence[str], *, directory: Path) -> str:
        argv = [require_program(program, package), f"--defaults-file={self._configuration}", *options]
        done = subprocess.run(
            argv, cwd=directory, capture_output=True, timeout=STEP_TIMEOUT_S, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout


def mariadb_version() -> str:
    """Tell which MariaDB this machine has."""
    return subprocess.run(
        [_mariadbd(), "--version"], capture_output=True, timeout=STEP_TIMEOUT_S, text=True, check=True
    ).stdout


def _mariadbd() -> str:
    return require_program("mariadbd", "mariadb-server-core")
