"""A real InfluxDB (Debian's `influxdb`, 1.6) for one test: ports, configuration and data of its own."""

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from downtimer import config
from downtimer.sections import DbSection
from tests.ports import free_port
from tests.processes import Server, ServerProcess, require_program
from tests.unix_http import UnixConnection, request
from tests.waiting import wait_until

START_TIMEOUT_S = 30

# `store-enabled = false`: no database `_internal`, so that a test sees nothing but what downtimer wrote.
CONFIGURATION = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
dir = "{directory}/meta"
[data]
dir = "{directory}/data"
wal-dir = "{directory}/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "{address}:{port}"
unix-socket-enabled = true
bind-socket = "influx.sock"
https-enabled = {https_enabled}
https-certificate = "{certificate}"
auth-enabled = {auth_enabled}
log-enabled = true
[continuous_queries]
enabled = false
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An administrator of the database."""

    user: str
    password: str


class HasAddress(Protocol):
    """Anything that a section ``[db]`` can lead to."""

    host: str
    port: int
    credentials: Credentials | None


class InfluxServer(Server):
    """`influxd`: can be stopped, killed or frozen, and started again on the same port with the same data.

    Attributes:
        credentials: What a client must show; None where the server asks for nothing.
        socket: Where it listens, too, for all who share its files.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        prefix: Sequence[str] = (),
        credentials: Credentials | None = None,
        certificate: Path | None = None,
    ) -> None:
        """Write the configuration.

        Args:
            directory: For configuration, data and log; made if missing.
            host: The address to listen on, within the network namespace that `prefix` enters.
            port: None takes a free one.
            prefix: A command that runs the rest of its line, such as one that enters a network namespace.
            credentials: Makes the server ask for them.
            certificate: Makes it speak https with that, and its key, which the file holds, too.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.host = host
        self.port = free_port(host) if port is None else port
        self.credentials = credentials
        configuration = directory / "influxdb.conf"
        configuration.write_text(
            CONFIGURATION.format(
                directory=directory,
                address=f"[{host}]" if ":" in host else host,
                port=self.port,
                rpc_port=free_port(),
                auth_enabled=str(credentials is not None).lower(),
                https_enabled=str(certificate is not None).lower(),
                certificate=certificate or "",
            )
        )
        self.socket = directory / "influx.sock"
        process = ServerProcess(
            [require_program("influxd", "influxdb"), "run", "-config", str(configuration)],
            directory=directory,
            prefix=prefix,
        )
        super().__init__(process)

    @property
    def url(self) -> str:
        """Where clients within its network namespace reach it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        # A server that was killed leaves its socket behind and would not start over it.
        self.socket.unlink(missing_ok=True)
        self._process.start()
        try:
            wait_until(self._answers, timeout_s=START_TIMEOUT_S, what="InfluxDB to answer")
            if self.credentials is not None:
                self._create_administrator(self.credentials)
        except Exception as exc:
            self._process.kill()
            raise RuntimeError(f"InfluxDB did not start; it said:\n{self._process.log_tail()}") from exc

    def query(self, statement: str, *, database: str = "downtimer") -> list[dict[str, Any]]:
        """Return the series that one InfluxQL statement gives, instants in ns; empty if there are none.

        Raises:
            RuntimeError: The server refused.
        """
        method = "GET" if statement.startswith(("SELECT", "SHOW")) else "POST"
        parameters = urlencode({"db": database, "epoch": "ns", "q": statement, **self._shown()})
        answer = request(self.socket, method, f"/query?{parameters}")
        if answer.status != http.client.OK or "error" in answer.body["results"][0]:
            raise RuntimeError(f"InfluxDB: {statement}: {answer.status} {answer.body}")
        series: list[dict[str, Any]] = answer.body["results"][0].get("series", [])
        return series

    def write(self, lines: str, *, database: str = "downtimer") -> None:
        """Write points as somebody else would.

        Raises:
            RuntimeError: The server refused.
        """
        connection = UnixConnection(self.socket, START_TIMEOUT_S)
        try:
            connection.request(
                "POST", f"/write?{urlencode({'db': database, **self._shown()})}", lines.encode()
            )
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != http.client.NO_CONTENT:
            raise RuntimeError(f"InfluxDB: {answer.status} {text}")

    def change_password(self, password: str) -> None:
        """Give the administrator another password; who shows the old one is refused from now on."""
        assert self.credentials is not None
        user = self.credentials.user
        self.query(f"SET PASSWORD FOR {_identifier(user)} = {_text(password)}")
        self.credentials = Credentials(user, password)

    def _shown(self) -> dict[str, str]:
        """Return the parameters that show the credentials."""
        credentials = self.credentials
        return {} if credentials is None else {"u": credentials.user, "p": credentials.password}

    def _answers(self) -> bool:
        if not self._process.is_running():
            raise RuntimeError("influxd ended")
        try:
            return request(self.socket, "GET", "/ping", timeout_s=1).status == http.client.NO_CONTENT
        except (OSError, http.client.HTTPException):
            return False

    def _create_administrator(self, credentials: Credentials) -> None:
        """Create the first user, which needs no credentials; at a second start it is there, as good."""
        user, password = _identifier(credentials.user), _text(credentials.password)
        statement = f"CREATE USER {user} WITH PASSWORD {password} WITH ALL PRIVILEGES"
        query = {"q": statement, **self._shown()}
        answer = request(self.socket, "POST", f"/query?{urlencode(query)}")
        if answer.status != http.client.OK or "error" in answer.body["results"][0]:
            raise RuntimeError(f"InfluxDB refused its administrator: {answer.status} {answer.body}")


def _identifier(name: str) -> str:
    """Return an identifier of InfluxQL, which escapes with a backslash."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(text: str) -> str:
    """Return a string of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def options(server: HasAddress, **more: str | None) -> dict[str, str]:
    """Return the options of a section ``[db]`` that leads to a server; one that is None is left out."""
    credentials = server.credentials
    given = {
        "host": server.host,
        "port": str(server.port),
        "user": credentials.user if credentials else None,
        "password": credentials.password if credentials else None,
    }
    return {option: value for option, value in (given | more).items() if value is not None}


def as_text(given: Mapping[str, str]) -> str:
    """Return options as a section ``[db]`` of a configuration."""
    return "[db]\n" + "".join(f"{option} = {value}\n" for option, value in given.items())


def section(server: HasAddress, **more: str | None) -> DbSection:
    """Return a section ``[db]`` that leads to a server, as the configuration has it."""
    text = f"[static]\nips = 127.0.0.1\n{as_text(options(server, **more))}"
    found = config.parse(text, "/nowhere/conf.ini").db
    assert found is not None
    return found
