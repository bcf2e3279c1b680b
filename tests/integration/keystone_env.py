"""A real Keystone (newest release, SQLite or MariaDB, Fernet tokens, uWSGI) for one test, and its catalog.

What `keystone_install` made is copied, so tests share nothing. The administrator is `admin` of the project
`admin`, as in downtimer's defaults.
"""

import http.client
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from downtimer.demo.truth import Bracket, Fault, Truth, now_ns
from tests.integration.keystone_install import (
    ADMIN_PASSWORD,
    DATABASE,
    REGION,
    KeystoneInstallation,
    write_configuration,
)
from tests.integration.mariadb_env import MariaDb
from tests.ports import free_port
from tests.processes import Server, ServerProcess, run_step
from tests.unix_http import request
from tests.waiting import wait_until

START_TIMEOUT_S = 60
INTERFACES = ("public", "internal", "admin")

# The command line is uWSGI's own: Keystone would parse whatever it found in sys.argv.
APPLICATION = """\
from keystone.server.wsgi import initialize_public_application

application = initialize_public_application()
"""


class KeystoneApi:
    """The part of Keystone's API that fills a cloud, as its administrator, over the Unix socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._token: str | None = None

    def register(
        self,
        name: str,
        service_type: str,
        url: str,
        *,
        region: str = REGION,
        interfaces: Sequence[str] = INTERFACES,
    ) -> str:
        """Add a service with the same URL on every interface, and return the id of the service.

        A second registration of the same name and type adds endpoints (in another region, say) to the first.
        """
        found = self.call("GET", f"/v3/services?name={name}&type={service_type}")["services"]
        service = found[0] if found else self._create("service", {"name": name, "type": service_type})
        if not any(known["id"] == region for known in self.call("GET", "/v3/regions")["regions"]):
            self._create("region", {"id": region})
        for interface in interfaces:
            endpoint = {"service_id": service["id"], "region_id": region, "interface": interface, "url": url}
            self._create("endpoint", endpoint)
        return str(service["id"])

    def unregister(self, service_id: str) -> None:
        """Take a service and its endpoints out of the catalog."""
        self.call("DELETE", f"/v3/services/{service_id}")

    def set_own_url(self, url: str) -> None:
        """Point Keystone's own endpoints to that URL."""
        (service,) = self.call("GET", "/v3/services?type=identity")["services"]
        for endpoint in self.call("GET", f"/v3/endpoints?service_id={service['id']}")["endpoints"]:
            self.call("PATCH", f"/v3/endpoints/{endpoint['id']}", {"endpoint": {"url": url}})

    def create_project(self, name: str) -> str:
        """Create a project in the default domain and return its id."""
        return str(self._create("project", {"name": name, "domain_id": "default"})["id"])

    def create_user(self, name: str, password: str, *, project: str, role: str = "member") -> str:
        """Create a user with a role in a project (by name) and return the user's id."""
        user = str(self._create("user", {"name": name, "password": password, "domain_id": "default"})["id"])
        (project_found,) = self.call("GET", f"/v3/projects?name={project}")["projects"]
        (role_found,) = self.call("GET", f"/v3/roles?name={role}")["roles"]
        self.call("PUT", f"/v3/projects/{project_found['id']}/users/{user}/roles/{role_found['id']}")
        return user

    def project_id(self, name: str) -> str:
        """Return the id of a project."""
        (project,) = self.call("GET", f"/v3/projects?name={name}")["projects"]
        return str(project["id"])

    def token(self) -> str:
        """Return a new token of the administrator's."""
        return self._login()

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
        """Send one request as administrator and return the decoded answer.

        Raises:
            RuntimeError: Keystone refused.
        """
        if self._token is None:
            self._token = self._login()
        answer = request(self._socket, method, path, body=body, headers={"X-Auth-Token": self._token})
        if answer.status == http.client.UNAUTHORIZED:  # expired: tests may want short tokens
            self._token = self._login()
            answer = request(self._socket, method, path, body=body, headers={"X-Auth-Token": self._token})
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise RuntimeError(f"Keystone: {method} {path}: {answer.status} {answer.body}")
        return answer.body

    def _create(self, kind: str, fields: dict[str, str]) -> dict[str, Any]:
        created: dict[str, Any] = self.call("POST", f"/v3/{kind}s", {kind: fields})[kind]
        return created

    def _login(self) -> str:
        domain = {"id": "default"}
        password = {"user": {"name": "admin", "domain": domain, "password": ADMIN_PASSWORD}}
        identity = {"methods": ["password"], "password": password}
        scope = {"project": {"name": "admin", "domain": domain}}
        body = {"auth": {"identity": identity, "scope": scope}}
        answer = request(self._socket, "POST", "/v3/auth/tokens", body=body)
        if answer.status != http.client.CREATED:
            raise RuntimeError(f"Keystone refused its administrator: {answer.status} {answer.body}")
        return answer.headers["x-subject-token"]


class UwsgiServer(Server):
    """A WSGI application under uWSGI, as OpenStack deploys it.

    It can be stopped, killed or frozen, and started again on the same port with the same data.
    """

    def __init__(
        self,
        installation: KeystoneInstallation,
        directory: Path,
        *,
        application: str,
        alive: str,
        host: str,
        port: int | None,
        prefix: Sequence[str],
        processes: int,
        environment: Mapping[str, str],
    ) -> None:
        """Write the application.

        Args:
            installation: Has uWSGI, and what the application imports.
            directory: Where it runs; must exist.
            application: Text of a module that has an `application`.
            alive: A path that answers 200 to anybody as soon as it serves.
            host: The address to listen on, within the network namespace that `prefix` enters.
            port: None takes a free one.
            prefix: A command that runs the rest of its line, such as one that enters a network namespace.
            processes: Number of uWSGI's workers, each of which serves one request at a time.
            environment: What the application finds in its environment.
        """
        (directory / "application.py").write_text(application)
        self.host = f"[{host}]" if ":" in host else host
        self.port = free_port(host) if port is None else port
        self._socket = directory / "admin.sock"
        self._alive = alive
        self._prefix = prefix
        self._is_new = True
        process = ServerProcess(
            [
                str(installation.uwsgi),
                *_uwsgi_options(f"{self.host}:{self.port}", self._socket.name, processes),
            ],
            directory=directory,
            prefix=prefix,
            environment={"PYTHONWARNINGS": "ignore", **environment},
        )
        super().__init__(process)

    @property
    def url(self) -> str:
        """Its root, without a version, as users write it into downtimer's configuration."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers. It listens some two seconds earlier, as on a real cloud."""
        self._process.start()
        try:
            wait_until(self._answers, timeout_s=START_TIMEOUT_S, what="uWSGI to answer")
            if self._is_new:
                self._set_up()
                self._is_new = False
        except Exception as exc:
            self._process.kill()
            name = type(self).__name__
            raise RuntimeError(f"{name} did not start; it said:\n{self._process.log_tail()}") from exc

    def kill_on_record(self, truth: Truth, target: str) -> None:
        """SIGKILL to all of its processes, as a fault of `target`."""
        before_ns = now_ns()
        self.kill()
        truth.begin(Fault(target=target, what="kill", start=Bracket(before_ns, now_ns())))

    def start_on_record(self, truth: Truth, target: str, *, timeout_s: float) -> None:
        """Start it again, which ends the fault of `target`.

        Somewhere between now and its first answer in time, to a client of that patience, it takes requests
        again: it serves first what waited while it started, though those who asked have given up.
        """
        before_ns = now_ns()
        self.start()
        asking = [sys.executable, "-m", "tests.integration.until_answered"]
        argv = [*self._prefix, *asking, f"{self.url}{self._alive}", str(timeout_s)]
        up = Bracket(before_ns, int(run_step(argv, timeout_s=2 * START_TIMEOUT_S)))
        truth.end(target, up, accepting=up)

    def _set_up(self) -> None:
        """Do what is needed once, after the first start."""

    def _answers(self) -> bool:
        if not self._process.is_running():
            raise RuntimeError("uWSGI ended")
        try:
            answer = request(self._socket, "GET", self._alive, timeout_s=START_TIMEOUT_S)
        except (OSError, http.client.HTTPException):
            return False
        return answer.status == http.client.OK


class Keystone(UwsgiServer):
    """One Keystone.

    Attributes:
        api: Fills the cloud; usable while Keystone runs.
        user: Name of the administrator.
        password: Password of the administrator.
        project: Project of the administrator.
        region: The region that it was bootstrapped with.
    """

    user = "admin"
    password = ADMIN_PASSWORD
    project = "admin"
    region = REGION

    def __init__(
        self,
        installation: KeystoneInstallation,
        directory: Path,
        *,
        database: MariaDb | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        prefix: Sequence[str] = (),
        processes: int = 2,
        token_lifetime_s: int = 3600,
    ) -> None:
        """Copy the template.

        Args:
            installation: What to run.
            directory: For database, keys, configuration and log; must not exist.
            database: Made from the installation's template; None is SQLite in the directory.
            host: The address to listen on, within the network namespace that `prefix` enters.
            port: None takes a free one.
            prefix: A command that runs the rest of its line, such as one that enters a network namespace.
            processes: Number of uWSGI's workers, each of which serves one request at a time.
            token_lifetime_s: Seconds until a token expires.
        """
        shutil.copytree(installation.template, directory)
        write_configuration(directory, database=database, token_lifetime_s=token_lifetime_s)
        super().__init__(
            installation,
            directory,
            application=APPLICATION,
            alive="/v3/",
            host=host,
            port=port,
            prefix=prefix,
            processes=processes,
            environment={"OS_KEYSTONE_CONFIG_DIR": str(directory)},
        )
        self.api = KeystoneApi(self._socket)
        self._database = database
        self._processes = processes

    def warm_up(self) -> None:
        """Have every worker connect to its MariaDB, as all have in a Keystone that served for a while.

        The first start does this, later ones do not. Where the database refuses, a worker that has been
        connected fails at once, and one that has not tries for 100 s (oslo.db's `max_retries`).
        """
        database = self._database
        if database is not None:
            wait_until(
                lambda: self._connections(database) >= self._processes,
                timeout_s=START_TIMEOUT_S,
                what="Keystone's workers to connect to MariaDB",
            )

    def _connections(self, database: MariaDb) -> int:
        # A worker serves one request at a time, so that many at once come to many workers.
        with ThreadPoolExecutor(self._processes) as clients:
            list(clients.map(lambda _: self.api.call("GET", "/v3/regions"), range(self._processes)))
        return database.connections(DATABASE)

    def _set_up(self) -> None:
        self.api.set_own_url(f"{self.url}/v3/")
        self.warm_up()


def _uwsgi_options(address: str, socket: str, processes: int) -> list[str]:
    options: list[str] = []
    options += ["--http-socket", address]
    options += ["--http-socket", socket, "--chmod-socket=600"]
    options += ["--add-header", "Connection: close", "--buffer-size", "65535"]
    # Every worker loads the application for itself, after the sockets are bound, as OpenStack deploys it.
    options += ["--master", "--lazy-apps", "--processes", str(processes), "--wsgi-file", "application.py"]
    options += ["--need-app", "--die-on-term", "--no-orphans"]
    return options
