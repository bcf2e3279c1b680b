"""Whom a reply or an ICMP error concerns: calm addresses, followed ones, and those that are gone."""

from random import Random
from typing import Final, cast

import numpy as np
import pytest

from downtimer.clock import Batch
from downtimer.model import SECOND_NS, Baseline, TargetId, Verdict
from downtimer.pace import Rates
from downtimer.workers.addresses import Addresses
from downtimer.workers.echoes import Echoes
from downtimer.workers.lane import Heard, Lane, Volley
from downtimer.workers.packets import V4, Quote, cookie_of
from downtimer.workers.schedule import Schedule
from tests.engines import RecordingOutbox, make_child
from tests.unit import sections
from tests.unit.machine import Machine
from tests.unit.test_echoes_properties import Fate, Net, NeverLate, Quiet

COUNT: Final = 3
SENT_NS: Final = SECOND_NS
FIRST: Final = 65_534
"""The sequence number of the first request: the third has passed the largest."""


class Scene:
    """Some addresses, each with a request under way."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.child = make_child(source=self.machine)
        self.child.watch = NeverLate(self.child.clock)
        self.outbox = RecordingOutbox()
        rates = Rates.within(sections.ICMP, checks=COUNT, fast=0)
        self.addresses = Addresses(V4, self.child.incarnation, timeout_ns=rates.timeout_ns)
        self.net = Net(self.addresses, [Fate(row, 0) for row in range(COUNT)], Random(1))  # noqa: S311 - unused
        self.lane = cast("Lane", self.net)
        self.echoes = Echoes(self.child, Quiet(self.child, self.outbox), Schedule(1_000_000), rates)
        for row in range(COUNT):
            self.addresses.add(TargetId(str(row)), packed(row))
            self.echoes.begin(self.lane, row, Baseline(latency_ns=1_000_000), missed=None)
        self.machine.pass_ns(SENT_NS)
        self.send(np.arange(COUNT))

    def send(self, rows: "np.typing.NDArray[np.intp]") -> None:
        """Have requests to these on their way."""
        volley = Volley(
            sent_ns=np.full(len(rows), self.child.clock.now_ns(), np.int64),
            nonces=(rows + 100).astype(np.uint64),
            sequences=((rows + FIRST) % 2**16).astype(np.uint16),
            errors=(),
            held_up=(),
        )
        self.echoes.sent([], rows, self.lane, volley)

    def down(self) -> list[str]:
        """Return who has failed."""
        for followed in list(self.echoes.troubled_spans()):
            self.outbox.span(followed, is_open=True)
        return sorted(span.target for span in self.outbox.spans.values() if span.verdict is Verdict.DOWN)


def packed(row: int) -> bytes:
    """Return an address."""
    return bytes([10, 0, 0, row])


@pytest.fixture
def scene() -> Scene:
    """As it stands a moment after."""
    return Scene()


@pytest.mark.parametrize("row", range(COUNT))
@pytest.mark.parametrize("quoted", ["whole", "short"])
@pytest.mark.parametrize("how", ["calm", "followed"])
def test_error_is_about_the_request_that_it_quotes(scene: Scene, row: int, quoted: str, how: str) -> None:
    """By the cookie, or by the sequence number where no more is quoted."""
    cookie = cookie_of(row, row + 100) if quoted == "whole" else None
    if how == "followed":
        scene.machine.pass_ns(SECOND_NS // 2)
        scene.echoes.expire([scene.lane], scene.child.clock.now_ns())
    quote = Quote(packed(row), 1, (row + FIRST) % 2**16, cookie)
    scene.echoes.take_quote(scene.lane, quote, scene.child.clock.now_ns())
    assert scene.down() == [str(row)]


@pytest.mark.parametrize(
    "quote",
    [
        Quote(packed(1), 1, FIRST, None),  # another's number
        Quote(packed(1), 1, 7, None),  # a number that was not used
        Quote(packed(9), 1, FIRST + 1, None),
        Quote(packed(9), 1, FIRST + 1, cookie_of(1, 101)),  # sent elsewhere
        Quote(packed(1), 1, FIRST + 1, cookie_of(1, 102)),
        Quote(packed(1), 1, FIRST + 1, cookie_of(2**40, 101)),
        Quote(None, 1, FIRST + 1, None),
    ],
)
def test_error_about_something_else_concerns_nobody(scene: Scene, quote: Quote) -> None:
    scene.echoes.take_quote(scene.lane, quote, scene.child.clock.now_ns())
    assert scene.down() == []


def test_nobody_speaks_for_an_address_that_is_gone(scene: Scene) -> None:
    """Whatever its row, which is nobody's now, may hold."""
    scene.echoes.end(scene.lane, 1)
    now_ns = scene.child.clock.now_ns()
    for nonce in (0, 101):
        scene.echoes.take_quote(scene.lane, Quote(packed(1), 1, FIRST + 1, cookie_of(1, nonce)), now_ns)
        cookies = scene.net.bring([(1, nonce)])
        heard = Heard(
            opened=cast("object", None),  # type: ignore[arg-type]
            is_plain=np.ones(1, np.bool_),
            rows=cookies["row"],
            nonces=cookies["nonce"],
            stamps_ns=np.array([now_ns]),
            sources=scene.addresses.names[[1]],
        )
        scene.echoes.hear(scene.lane, heard, Batch(now_ns, 0, is_sure=True))
    scene.echoes.take_quote(scene.lane, Quote(packed(1), 1, FIRST + 1, None), now_ns)
    assert scene.down() == []
    assert scene.echoes.oldest_ns([scene.lane]) == SENT_NS
