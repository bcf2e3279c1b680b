"""The control plane answers rubbish to every question for a list, for the catalog and for a token.

What is measured is well all the while, and is told apart: what discovery asks is answered by chance, what the
api worker asks as ever. A service that is down now and then has discovery list every few seconds. All is on
the loopback, and no rubbish has an address beyond it.
"""

import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.chaos.ledger import Ledger
from tests.chaos.outcome import Outcome
from tests.chaos.spans import read
from tests.hostile_cloud import LISTS, Handler, HostileCloud, floating
from tests.integration.command import Command
from tests.waiting import wait_until

ADDRESSES: Final = 20
SERVICES: Final = 3 + 1
"""Those of the catalog, and one of the configuration."""

LIFETIME_S: Final = 20.0
DECOY: Final = "decoy"
READY_S: Final = 60.0
EACH_S: Final = 30.0
"""So long an answer is waited for, at most."""

_FLAP_S: Final = 2.5
_DISCOVERY: Final = "keystoneauth1"  # in its user agent, and in no other's

VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    10**400,
    float("inf"),
    float("nan"),
    "",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "::",
    "http://[::1",
    "http://127.0.0.1:0/",
    "9999-12-31T23:59:59Z",
    "\0\x1b[2J\r\n\u202e\u2028",
    "\ud800",
    "x" * 100_000,
    [],
    {},
    [[[[[[[[]]]]]]]],
)
STATUSES: Final = (204, 302, 401, 403, 404, 429, 500, 503)


def play(directory: Path, *, seed: int, times: int) -> list[Outcome]:
    """Answer so many questions with rubbish; return what came of it.

    Raises:
        AssertionError: A process was started again.
    """
    with HostileCloud() as cloud:
        chance = random.Random(seed)  # noqa: S311 - so that it can be played again
        cloud.lifetime_s = LIFETIME_S
        cloud.floatingips = [floating(f"127.7.0.{number}") for number in range(1, ADDRESSES + 1)]
        decoy = _Decoy(cloud)
        command = Command(directory, prefix=(), sections=_sections(cloud))
        try:
            command.ok("start")
            known = _known(command)
            ledger, journal = Ledger(), next((command.state_dir / "runs").glob("*.sqlite"))
            ledger.note(read(journal).spans)
            rubbish = _Rubbish(cloud, chance, times)
            with decoy:
                wait_until(lambda: rubbish.left == 0, timeout_s=EACH_S * times, what="all to be asked")
            restarts = {one["name"]: one["restarts"] for one in command.status()["processes"]}
            command.ok("stop")
            assert set(restarts.values()) == {0}, restarts
            ledger.note(read(journal).spans)
            targets = [one for one in command.report()["targets"] if one["id"] in known]
        finally:
            command.end()
    assert len(targets) == len(known)
    return [
        Outcome(
            fault="the control plane answers rubbish",
            times=times,
            lost=ledger.lost,
            twice=ledger.twice,
            invented_s=sum(one["down_s"] for one in targets),
            unobserved_s=max(one["unobserved_s"] for one in targets),
        )
    ]


def _sections(cloud: HostileCloud) -> dict[str, dict[str, str]]:
    return {
        "global": {"keystone_endpoint": cloud.url, "user": "admin", "password": "secret"},
        "static": {"urls": f"steady={cloud.url}/steady {DECOY}={cloud.url}/{DECOY}"},
        "targets": {"agents": "no"},
        "vantage": {"name": "chaos", "reference": "none"},
    }


def _known(command: Command) -> set[str]:
    """Wait until all is up; return the ids of what stays so."""

    def are_up() -> bool:
        up = {kind: counts["up"] for kind, counts in command.status()["targets"].items()}
        return bool(up["service"] == SERVICES + 1 and up["address"] == ADDRESSES)

    wait_until(are_up, timeout_s=READY_S, what="all to be up")
    return {one["id"] for one in command.report()["targets"] if one["name"] != DECOY}


class _Decoy:
    """A service that is down every other moment, from entering to leaving."""

    def __init__(self, cloud: HostileCloud) -> None:
        self._cloud = cloud
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flap)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _flap(self) -> None:
        path = f"GET /{DECOY}"
        while not self._over.wait(_FLAP_S):
            if path in self._cloud.answers:
                del self._cloud.answers[path]
            else:
                self._cloud.answers[path] = lambda handler: handler.say({}, status=503)


class _Rubbish:
    """What discovery is answered.

    Attributes:
        left: How many such answers are still to be given; after them all is well.
    """

    def __init__(self, cloud: HostileCloud, chance: random.Random, times: int) -> None:
        self.left = times
        self._chance = chance
        cloud.answers |= dict.fromkeys(LISTS, self._answer)

    def _answer(self, handler: Handler) -> None:
        content = handler.cloud.well(f"{handler.command} {handler.path.partition('?')[0]}")
        if self.left and _DISCOVERY in handler.headers["User-Agent"]:
            self.left -= 1
            self._chance.choice(_WAYS)(handler, content, self._chance)
        else:
            handler.say(content)


# --- ways to spoil an answer ------------------------------------------------------------------------


class _Place(NamedTuple):
    """A value in JSON: that of a key in an object, or of an index in a list."""

    holder: Any
    key: Any


def _places(content: Any) -> Iterator[_Place]:  # noqa: ANN401 - any JSON
    """Yield all of them."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in list(items):
        yield _Place(content, key)
        if isinstance(value, dict | list):
            yield from _places(value)


def _replace(handler: Handler, content: Any, chance: random.Random) -> None:  # noqa: ANN401 - any JSON
    """Have another value somewhere."""
    content = json.loads(json.dumps(content))
    holder, key = chance.choice(list(_places(content)))
    holder[key] = chance.choice(VALUES)
    handler.say(content)


def _swap(handler: Handler, content: Any, chance: random.Random) -> None:  # noqa: ANN401 - any JSON
    """Have two values in each other's place."""
    content = json.loads(json.dumps(content))
    leaves = [place for place in _places(content) if not isinstance(place.holder[place.key], dict | list)]
    one, other = chance.choice(leaves), chance.choice(leaves)
    held = one.holder[one.key]
    one.holder[one.key] = other.holder[other.key]
    other.holder[other.key] = held
    handler.say(content)


def _drop(handler: Handler, content: Any, chance: random.Random) -> None:  # noqa: ANN401 - any JSON
    """Lack something."""
    content = json.loads(json.dumps(content))
    holder, key = chance.choice(list(_places(content)))
    del holder[key]
    handler.say(content)


def _cut(handler: Handler, content: Any, chance: random.Random) -> None:  # noqa: ANN401 - any JSON
    """End somewhere, as if that were all."""
    body = json.dumps(content).encode()
    handler.send(body[: chance.randrange(len(body))], status=201 if handler.command == "POST" else 200)


def _break_off(handler: Handler, content: Any, chance: random.Random) -> None:  # noqa: ANN401 - any JSON
    """Promise more than comes."""
    body = json.dumps(content).encode()
    head = b"HTTP/1.1 200 OK\r\nX-Subject-Token: t\r\nContent-Length: %d\r\n\r\n" % len(body)
    handler.pour((head + body)[: chance.randrange(len(head + body))])


def _refuse(handler: Handler, content: Any, chance: random.Random) -> None:  # noqa: ANN401 - any JSON
    """Have a status that is none of a good answer; with what a good one has."""
    body = json.dumps(content).encode()
    handler.send(body, status=chance.choice(STATUSES), Location=f"{handler.cloud.url}/elsewhere")


_WAYS: Final[tuple[Callable[[Handler, Any, random.Random], None], ...]] = (
    _replace,
    _replace,
    _swap,
    _drop,
    _cut,
    _break_off,
    _refuse,
)
