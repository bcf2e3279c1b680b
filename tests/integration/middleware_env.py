"""A service behind the real `keystonemiddleware.auth_token`, for one test: what a token meets at Nova's."""

import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.integration.keystone_env import Keystone, UwsgiServer
from tests.integration.keystone_install import KeystoneInstallation

USER = "nova"
PASSWORD = "whyarewestillusingpasswords"
PROJECT = "service"
WARMING_CALLS = 12

CONFIGURATION = """\
[keystone_authtoken]
www_authenticate_uri = {keystone}
auth_url = {keystone}
auth_type = password
username = {user}
password = {password}
user_domain_id = default
project_name = {project}
project_domain_id = default
token_cache_time = {token_cache_time_s}
delay_auth_decision = {delay_auth_decision}
"""

# As with Nova, the root lists versions and is not behind the middleware.
APPLICATION = """\
import json

from keystonemiddleware.auth_token import AuthProtocol


def answer(start_response, status, content):
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(content).encode()]


def versions(environ, start_response):
    return answer(start_response, "200 OK", {"versions": [{"id": "v2.1", "status": "CURRENT"}]})


def servers(environ, start_response):
    if environ["HTTP_X_IDENTITY_STATUS"] != "Confirmed":  # with delay_auth_decision it is ours to refuse
        return answer(start_response, "401 Unauthorized", {"error": {"code": 401}})
    return answer(start_response, "200 OK", {"servers": []})


protected = AuthProtocol(servers, {"oslo_config_project": "nova", "oslo_config_file": "service.conf"})


def application(environ, start_response):
    chosen = versions if environ["PATH_INFO"] == "/" else protected
    return chosen(environ, start_response)
"""


class MiddlewareService(UwsgiServer):
    """A service whose root anybody may ask; everything else, such as `/v2.1/servers`, needs a token."""

    def __init__(
        self,
        installation: KeystoneInstallation,
        directory: Path,
        keystone: Keystone,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        prefix: Sequence[str] = (),
        processes: int = 2,
        token_cache_time_s: int = 300,
        delay_auth_decision: bool = False,
    ) -> None:
        """Write the configuration.

        Args:
            installation: Has the middleware.
            directory: For configuration and log; must not exist.
            keystone: Says whose a token is; must run when the service is first started.
            host: The address to listen on, within the network namespace that `prefix` enters.
            port: None takes a free one.
            prefix: A command that runs the rest of its line, such as one that enters a network namespace.
            processes: Number of uWSGI's workers, each of which has a cache of its own.
            token_cache_time_s: How long a worker believes what Keystone said of a token; -1 is not at all.
            delay_auth_decision: The service refuses, not the middleware, and does so if Keystone is dead.
        """
        directory.mkdir(parents=True)
        text = CONFIGURATION.format(
            keystone=keystone.url,
            user=USER,
            password=PASSWORD,
            project=PROJECT,
            token_cache_time_s=token_cache_time_s,
            delay_auth_decision=delay_auth_decision,
        )
        (directory / "service.conf").write_text(text)
        self._keystone = keystone
        super().__init__(
            installation,
            directory,
            application=APPLICATION,
            alive="/",
            host=host,
            port=port,
            prefix=prefix,
            processes=processes,
            environment={},
        )

    def warm_up(self, token: str) -> None:
        """Have its workers sign in to Keystone, as all have in a service that served for a while."""
        for _ in range(WARMING_CALLS):
            asked = urllib.request.Request(f"{self.url}/v2/things", headers={"X-Auth-Token": token})  # noqa: S310 - our own
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - as above
                assert answer.status == 200

    def _set_up(self) -> None:
        api = self._keystone.api
        if not api.call("GET", f"/v3/users?name={USER}")["users"]:
            api.create_project(PROJECT)
            api.create_user(USER, PASSWORD, project=PROJECT, role="service")
