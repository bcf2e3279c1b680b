"""Our sockets for asyncio's loop: nothing that has come stays unread, whatever else is done with them."""

import asyncio
import secrets
import selectors
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import zmq

from downtimer import wire

MESSAGES = 5_000
_WAIT_S = 20.0


class CountingSelector(selectors.EpollSelector):
    """Counts the turns of the loop."""

    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Count it."""
        self.turns += 1
        return super().select(timeout)


def run(
    directory: Path,
    talk: Callable[[wire.Socket, wire.Socket], Awaitable[None]],
    selector: selectors.BaseSelector | None = None,
) -> None:
    """Run a talk between a router and a dealer named ``one``."""

    async def main() -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        address = f"ipc://{directory}/{secrets.token_hex(4)}.sock"
        router = wire.router(context, address)
        dealer = wire.dealer(context, address, "one")
        try:
            async with asyncio.timeout(_WAIT_S):
                dealer.send([b"hello"])
                assert await router.receive() == [b"one", b"hello"]
                await talk(router, dealer)
        finally:
            dealer.close()
            router.close()
            context.term()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(main())


async def take(socket: wire.Socket, count: int) -> list[bytes]:
    """Receive so many messages; return the last frame of each."""
    return [(await socket.receive())[-1] for _ in range(count)]


def test_messages_come_in_order_while_both_sides_send(tmp_path: Path) -> None:
    """Sending takes the word of what has come from the descriptor; it is not lost."""
    sent = [str(number).encode() for number in range(MESSAGES)]

    async def pour(send: Callable[[bytes], object]) -> None:
        for number, body in enumerate(sent):
            send(body)
            if number % 7 == 0:
                await asyncio.sleep(0)

    async def talk(router: wire.Socket, dealer: wire.Socket) -> None:
        there, back, *_ = await asyncio.gather(
            take(router, MESSAGES),
            take(dealer, MESSAGES),
            pour(lambda body: dealer.send([body])),
            pour(lambda body: router.send([b"one", body])),
        )
        assert there == back == sent

    run(tmp_path, talk)


def test_one_at_a_time_there_and_back(tmp_path: Path) -> None:
    async def answer(router: wire.Socket) -> None:
        for _ in range(MESSAGES // 10):
            router.send(await router.receive())

    async def talk(router: wire.Socket, dealer: wire.Socket) -> None:
        answering = asyncio.create_task(answer(router))
        for number in range(MESSAGES // 10):
            dealer.send([str(number).encode()])
            assert await dealer.receive() == [str(number).encode()]
        await answering

    run(tmp_path, talk)


def test_what_nobody_reads_does_not_keep_the_loop_awake(tmp_path: Path) -> None:
    """The writer stops to read while too much waits."""
    selector = CountingSelector()

    async def talk(router: wire.Socket, dealer: wire.Socket) -> None:
        for _ in range(10):
            dealer.send([b"x"])
        before = selector.turns
        await asyncio.sleep(0.5)
        assert selector.turns - before < 50
        assert await take(router, 10) == [b"x"] * 10

    run(tmp_path, talk, selector)


def test_a_peer_that_sends_without_end_lets_others_have_their_turn(tmp_path: Path) -> None:
    async def talk(router: wire.Socket, dealer: wire.Socket) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        for _ in range(MESSAGES):
            assert dealer.send([b"x"])
        await asyncio.sleep(0.2)  # by now all have come
        task = asyncio.create_task(other())
        for _ in range(MESSAGES):
            await router.receive()
        task.cancel()
        assert turns >= MESSAGES / wire.AT_ONCE_MAX - 1

    run(tmp_path, talk)


def test_a_receiver_that_is_cancelled_leaves_the_socket_to_the_next(tmp_path: Path) -> None:
    async def talk(router: wire.Socket, dealer: wire.Socket) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await router.receive()
        dealer.send([b"x"])
        assert await router.receive() == [b"one", b"x"]

    run(tmp_path, talk)


def test_sending_to_nobody_is_an_error_of_the_router_alone(tmp_path: Path) -> None:
    async def talk(router: wire.Socket, dealer: wire.Socket) -> None:
        assert dealer.send([b"x"])
        with pytest.raises(zmq.ZMQError) as caught:
            router.send([b"two", b"x"])
        assert caught.value.errno == zmq.EHOSTUNREACH

    run(tmp_path, talk)


def test_a_full_queue_is_told_and_nothing_waits(tmp_path: Path) -> None:
    async def talk(router: wire.Socket, dealer: wire.Socket) -> None:
        sent = 0
        while dealer.send([b"x" * 1_000]):
            sent += 1
        assert await take(router, sent) == [b"x" * 1_000] * sent
        dealer.send([b"y"])
        assert await router.receive() == [b"one", b"y"]

    run(tmp_path, talk)
