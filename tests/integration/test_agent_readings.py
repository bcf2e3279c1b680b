"""Readings of the lists of agents: bounded in time, whatever the service does."""

import asyncio
import json
import time

import pytest

from downtimer import targets
from downtimer.messages import Counts
from downtimer.model import Target
from downtimer.targets import Endpoint
from downtimer.workers import agents
from downtimer.workers.agents import Agents
from downtimer.workers.identity import SignedIn
from downtimer.workers.worker import Child
from tests.engines import RecordingOutbox, make_child
from tests.integration.faults import Serve, Server, answers

LIST = json.dumps({"services": [{"binary": "nova-compute", "host": "cmp1", "state": "up"}]}).encode()
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(LIST), LIST)
SIGNED_IN = SignedIn(
    token="t", issued_ns=0, expires_ns=1, renew_ns=1, project_id=None, project=None, content=None
)
CUT_S = 0.3
PATIENCE_S = 5.0


class FakeDelivery:
    """Keeps what is to be delivered."""

    def __init__(self, _: Child) -> None:
        self.outbox = RecordingOutbox()

    def close(self) -> None:
        """Do nothing."""


async def may_ask(_: object) -> bool:
    """Let everything be asked."""
    return True


def drip(start: bytes) -> Serve:
    """Answer with that, and then a byte every 50 ms."""

    async def serve(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    return serve


def nova(url: str) -> Target:
    """Return a Nova."""
    return targets.service(
        Endpoint(service="nova", type="compute", region="RegionOne", interface="public", url=url, root=url)
    )


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
def test_list_that_drips_is_cut_off_and_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """Each byte comes in time, so that no wait for one has an end."""
    monkeypatch.setattr(agents, "Delivery", FakeDelivery)
    monkeypatch.setattr(agents, "CUT_S", CUT_S)

    async def scenario() -> None:
        server = Server(drip(start))
        async with server.running() as url:
            made = Agents(make_child(), lambda: SIGNED_IN, lambda _: None, may_ask)
            made.take_services([nova(url)])
            giving_up = asyncio.get_running_loop().call_later(PATIENCE_S, made.close)
            began = time.monotonic()
            await made.read(lambda _: True)
            assert CUT_S <= time.monotonic() - began < PATIENCE_S
            giving_up.cancel()
            assert made.counts() == Counts()
            server.serve = answers(GOOD)
            await made.read(lambda _: True)
            assert made.counts() == Counts(up=1)
            made.close()

    asyncio.run(scenario())
