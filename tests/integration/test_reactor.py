"""The reactor, with real sockets and real time."""

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial

from downtimer.source import Source
from downtimer.workers import loop
from downtimer.workers.names import Endpoint
from downtimer.workers.reactor import Reactor, Timer
from downtimer.workers.talk import Conversation, Ground, Result, Talk

TIMEOUT_S = 10.0


def run(scenario: Callable[[Reactor], Awaitable[None]]) -> None:
    """Run a scenario in a loop with a reactor."""

    async def main() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await scenario(Reactor())

    loop.run(lambda _: main())


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected with each other."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@contextlib.asynccontextmanager
async def awaiting(reactor: Reactor, told: list[str]) -> AsyncIterator[socket.socket]:
    """The other end of a socket that is watched; whatever comes from there is told as an answer."""
    with pair() as (ours, theirs):
        reactor.watch(ours.fileno(), lambda: told.append("answer"))
        await until(lambda: told)  # it can be written to
        told.clear()
        yield theirs


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not is_so():  # noqa: ASYNC110 - what changes is no event
        await asyncio.sleep(0.001)


def broken_calls() -> list[object]:
    """Return what calls of the loop that runs raise from now on, as it comes."""
    broken: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: broken.append(context["exception"]))
    return broken


def broken_one() -> None:
    """A call that breaks."""
    raise LookupError


def test_each_change_is_told_once() -> None:
    async def scenario(reactor: Reactor) -> None:
        told: list[int] = []
        with pair() as (ours, theirs):
            reactor.watch(ours.fileno(), lambda: told.append(1))
            await until(lambda: told)  # it can be written to
            theirs.send(b"x")
            await until(lambda: len(told) == 2)
            theirs.send(b"x")
            await until(lambda: len(told) == 3)
            await asyncio.sleep(0.05)
            assert len(told) == 3

    run(scenario)


def test_input_is_told_as_long_as_it_is_there() -> None:
    async def scenario(reactor: Reactor) -> None:
        told: list[int] = []
        with pair() as (ours, theirs):
            reactor.watch(ours.fileno(), lambda: None)
            theirs.send(b"x")
            reactor.watch_input(ours.fileno(), lambda: told.append(1))
            await until(lambda: len(told) > 3)
            ours.recv(1)
            count = len(told)
            await asyncio.sleep(0.05)
            assert len(told) <= count + 1

    run(scenario)


def test_answer_alone_is_told_and_also_if_it_came_before_it_was_watched() -> None:
    async def scenario(reactor: Reactor) -> None:
        told: list[str] = []
        with pair() as (early, other), pair() as (late, another):
            other.send(b"x")
            reactor.watch_answer(early.fileno(), lambda: told.append("early"))
            reactor.watch_answer(late.fileno(), lambda: told.append("late"))
            await until(lambda: told)
            early.recv(1)
            await asyncio.sleep(0.05)
            assert set(told) == {"early"}  # that it can be written to is not told
            another.send(b"x")
            await until(lambda: told[-1] == "late")

    run(scenario)


def test_end_that_came_before_it_was_watched_is_told() -> None:
    async def scenario(reactor: Reactor) -> None:
        told: list[int] = []
        with pair() as (ours, theirs):
            reactor.watch(ours.fileno(), lambda: None)
            theirs.close()
            await asyncio.sleep(0.05)
            reactor.watch_input(ours.fileno(), lambda: told.append(1))
            await until(lambda: told)

    run(scenario)


def test_nobody_is_called_for_a_descriptor_that_was_anothers() -> None:
    """Two sockets have something; who is called first closes the other, whose number a new one gets."""

    async def scenario(reactor: Reactor) -> None:
        told: list[str] = []
        with pair() as (one, _), pair() as (other, _), contextlib.ExitStack() as stack:

            def replace(second: socket.socket) -> None:
                told.append("old")
                number = second.fileno()
                reactor.forget(number)
                second.close()
                new, _ = (stack.enter_context(each) for each in socket.socketpair())
                assert new.fileno() == number
                reactor.watch(number, lambda: told.append("new"))

            reactor.watch(one.fileno(), lambda: replace(other))
            reactor.watch(other.fileno(), lambda: replace(one))
            await until(lambda: "new" in told)
            await asyncio.sleep(0.05)
        assert told == ["old", "new"]

    run(scenario)


def test_timers_ring_in_order_and_not_early() -> None:
    async def scenario(reactor: Reactor) -> None:
        told: list[float] = []
        began = time.monotonic()
        for wait_s in (0.06, 0.02, 0.04):
            reactor.later(wait_s, partial(told.append, wait_s))
        reactor.later(0.03, lambda: told.append(9.0)).cancel()
        await until(lambda: len(told) == 3)
        assert told == [0.02, 0.04, 0.06]
        assert time.monotonic() - began >= 0.06

    run(scenario)


def test_timer_that_is_set_by_another_rings_too() -> None:
    async def scenario(reactor: Reactor) -> None:
        told: list[int] = []

        def again() -> None:
            told.append(1)
            if len(told) < 5:
                reactor.later(0, again)

        reactor.later(0, again)
        await until(lambda: len(told) == 5)

    run(scenario)


def test_timer_that_breaks_does_not_take_others_with_it() -> None:
    async def scenario(reactor: Reactor) -> None:
        told: list[int] = []
        broken = broken_calls()
        reactor.later(0, broken_one)
        reactor.later(0, lambda: told.append(1))
        await until(lambda: told)
        assert [type(each) for each in broken] == [LookupError]

    run(scenario)


def test_what_has_come_is_read_before_timers_that_are_due_as_well() -> None:
    """So an answer that came in time counts, however late we are to look."""

    async def scenario(reactor: Reactor) -> None:
        told: list[str] = []
        async with awaiting(reactor, told) as theirs:
            reactor.later(0.02, lambda: told.append("deadline"))
            theirs.send(b"x")
            time.sleep(0.05)  # noqa: ASYNC251 - we are late
            await until(lambda: len(told) == 2)
        assert told == ["answer", "deadline"]

    run(scenario)


def test_what_came_during_a_long_turn_is_read_before_the_deadlines_in_it() -> None:
    """The loop had looked before, and so would take the answer for one that came too late."""

    async def scenario(reactor: Reactor) -> None:
        told: list[str] = []
        loop = asyncio.get_running_loop()

        async with awaiting(reactor, told) as theirs:

            def hold_up() -> None:
                time.sleep(0.02)
                theirs.send(b"x")
                time.sleep(0.05)

            began_s = loop.time()
            reactor.later(0.02, lambda: None)
            reactor.later(0.05, lambda: told.append("deadline"))
            loop.call_at(began_s + 0.02, hold_up)
            await until(lambda: len(told) == 2)
        assert told == ["answer", "deadline"]

    run(scenario)


def test_call_that_breaks_does_not_take_others_with_it() -> None:
    """What has come for them is not told again."""

    async def scenario(reactor: Reactor) -> None:
        told: list[int] = []
        broken = broken_calls()
        with pair() as (ours, theirs), pair() as (others, _):
            reactor.watch(ours.fileno(), broken_one)
            reactor.watch(others.fileno(), partial(told.append, 1))
            await until(lambda: broken and told)
            theirs.send(b"x")
            await until(lambda: len(broken) == 2)
        assert [type(each) for each in broken] == [LookupError] * 2

    run(scenario)


def test_many_timers_that_are_due_let_others_have_a_turn() -> None:
    """What comes while they ring is read before the last of them."""

    async def scenario(reactor: Reactor) -> None:
        told: list[str] = []
        async with awaiting(reactor, told) as theirs:

            def ring() -> None:
                if not told:
                    theirs.send(b"x")
                told.append("timer")
                time.sleep(0.004)

            for _ in range(10):
                reactor.later(0, ring)
            await until(lambda: len(told) == 11)
        assert "answer" in told[:5]

    run(scenario)


def test_cancelled_timers_are_forgotten() -> None:
    """Most are cancelled long before they are due, and the last of them may be so for long."""

    async def scenario(reactor: Reactor) -> None:
        told: list[int] = []
        reactor.later(30, lambda: None)
        for _ in range(20_000):
            reactor.later(60, lambda: None).cancel()
        reactor.later(0, lambda: told.append(1))
        await until(lambda: told)
        assert sum(isinstance(each, Timer) for each in gc.get_objects()) < 1_000

    run(scenario)


class Greeted(Conversation):
    """Connects, and waits until something comes."""

    def converse(self, endpoints: Sequence[Endpoint]) -> Talk[None]:
        """Say nothing."""
        yield from self._connect(endpoints)
        self._watch_answer()
        yield


def test_conversation_whose_owner_breaks_is_closed() -> None:
    """What comes from the other side would be told for ever: it is read by nobody."""

    async def scenario(reactor: Reactor) -> None:
        broken = broken_calls()

        def break_down(_: Conversation, __: Result) -> None:
            raise LookupError

        with socket.create_server(("127.0.0.1", 0)) as server:
            greeted = Greeted(Ground(reactor, Source(None)), break_down)
            greeted.start([Endpoint(socket.AF_INET, server.getsockname())])
            theirs, _ = server.accept()
            with theirs:
                theirs.send(b"x")
                await until(lambda: broken)
                assert greeted.take_connection() is None
                theirs.settimeout(TIMEOUT_S)
                with contextlib.suppress(ConnectionResetError):  # what was sent is not read
                    assert theirs.recv(1) == b""
        assert [type(exc) for exc in broken] == [LookupError]

    run(scenario)
