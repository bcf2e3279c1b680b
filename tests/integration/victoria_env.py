"""A real VictoriaMetrics (Debian's `victoria-metrics`) for one test, which takes what InfluxDB takes."""

import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from tests.integration.influx_env import Credentials  # noqa: TC001 - as elsewhere
from tests.ports import free_port
from tests.processes import Server, ServerProcess, require_program
from tests.waiting import wait_until

START_TIMEOUT_S: Final = 30
VISIBLE_S: Final = 30
AHEAD_S: Final = 3600
"""A run that a test makes up may have instants that are to come."""

_REQUEST_S: Final = 10


class VictoriaMetrics(Server):
    """`victoria-metrics`, on a port of its own."""

    def __init__(self, directory: Path, *, prefix: Sequence[str] = ()) -> None:
        """Prepare it.

        Args:
            directory: For data and log.
            prefix: Enters the namespace where it is to listen; nobody here can ask it then.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.host, self.port = "127.0.0.1", free_port()
        self.credentials: Credentials | None = None
        argv = [
            require_program("victoria-metrics", "victoria-metrics"),
            f"-httpListenAddr={self.host}:{self.port}",
            f"-storageDataPath={directory / 'data'}",
        ]
        self._is_elsewhere = bool(prefix)
        super().__init__(ServerProcess(argv, directory=directory, prefix=prefix))

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process.start()
        try:
            wait_until(self._has_begun, timeout_s=START_TIMEOUT_S, what="VictoriaMetrics to answer")
        except BaseException as exc:
            self._process.kill()
            raise RuntimeError(
                f"VictoriaMetrics did not start; it said:\n{self._process.log_tail()}"
            ) from exc

    def samples(self, selector: str, number: int) -> list[float]:
        """Return the values of a selection by time, as soon as there are so many.

        Raises:
            TimeoutError: New ones take a while to show, but not that long.
        """
        return wait_until(
            lambda: found if len(found := self._samples(selector)) >= number else [],
            timeout_s=VISIBLE_S,
            what=f"{number} samples of {selector}",
        )

    def _samples(self, selector: str) -> list[float]:
        self._get("/internal/force_flush")
        query = {"match[]": selector, "end": str(time.time() + AHEAD_S)}
        lines = self._get(f"/api/v1/export?{urlencode(query)}").splitlines()
        series = [json.loads(line) for line in lines]
        found = [pair for one in series for pair in zip(one["timestamps"], one["values"], strict=True)]
        return [value for _, value in sorted(found)]

    def _has_begun(self) -> bool:
        return (
            "starting http server at" in self._process.log_tail() if self._is_elsewhere else self._answers()
        )

    def _answers(self) -> bool:
        if not self._process.is_running():
            raise RuntimeError("victoria-metrics ended")
        try:
            return bool(self._get("/health"))
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path: str) -> str:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_REQUEST_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status not in (http.client.OK, http.client.NO_CONTENT):
            raise RuntimeError(f"VictoriaMetrics: {path}: {answer.status} {text}")
        return text
