"""The cloud: a Keystone of two releases on one database, and services that ask it whose a token is."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.integration.keystone_env import Keystone
from tests.integration.keystone_install import KeystoneInstallation
from tests.integration.mariadb_env import MariaDb
from tests.integration.middleware_env import MiddlewareService

USER, PASSWORD = "upgrader", "open sesame"
PROCESSES: Final = 8
LISTEN_QUEUE: Final = 1024
"""Of uWSGI, which has 100 by default: while Keystone loads, whoever asks for its root waits in it, also after
having given up, and the prober is not to be what fills it."""

_PREFIX: Final = ("env", f"UWSGI_LISTEN={LISTEN_QUEUE}")


class UpgradedKeystone(Keystone):
    """A Keystone on a database that an older one has filled, and that is served at the same place."""

    def _set_up(self) -> None:
        """Leave all as it is; what serves once it has started is measured."""


@dataclass(frozen=True)
class Cloud:
    """What is upgraded, and what else there is.

    Attributes:
        database: Of both Keystones.
        old: Serves at first.
        new: Is not started; has the same place.
        installation: The new one's.
        configuration: The folder that has it.
        nova: Behind the middleware, which asks Keystone once in 300 s whose a token is.
        manila: The same, but asks at every call.
    """

    database: MariaDb
    old: Keystone
    new: Keystone
    installation: KeystoneInstallation
    configuration: Path
    nova: MiddlewareService
    manila: MiddlewareService

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, old: KeystoneInstallation, new: KeystoneInstallation, directory: Path
    ) -> Iterator["Cloud"]:
        """Build it; everything ends with the context."""
        with (
            MariaDb(directory / "mariadb", template=old.mariadb) as database,
            Keystone(
                old, directory / "old", database=database, prefix=_PREFIX, processes=PROCESSES
            ) as keystone,
            MiddlewareService(old, directory / "nova", keystone) as nova,
            MiddlewareService(old, directory / "manila", keystone, token_cache_time_s=-1) as manila,
            contextlib.ExitStack() as stack,
        ):
            keystone.api.create_user(USER, PASSWORD, project=keystone.project, role="admin")
            keystone.api.register("nova", "compute", f"{nova.url}/v2.1")
            keystone.api.register("manila", "sharev2", f"{manila.url}/v2")
            for service in (nova, manila):
                service.warm_up(keystone.api.token())
            configuration = directory / "new"
            upgraded = UpgradedKeystone(
                new,
                configuration,
                database=database,
                port=keystone.port,
                prefix=_PREFIX,
                processes=PROCESSES,
            )
            stack.callback(upgraded.stop)
            yield cls(database, keystone, upgraded, new, configuration, nova, manila)

    def open_transactions(self) -> int:
        """Count the transactions that are open in the database, which nobody but Keystone uses."""
        (count,) = self.database.query("SELECT count(*) FROM information_schema.innodb_trx")
        return int(count)
