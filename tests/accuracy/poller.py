"""Polls a prometheus-blackbox-exporter, as Prometheus does: ``python -m tests.accuracy.poller PORT FILE``.

Each target is asked for once a second, at a phase of its own, whether or not the last answer has come.
Targets are given as ``NAME=URL`` after FILE, to which a line goes for each sample: the instant of the
poll (CLOCK_BOOTTIME in ns), the name, 1 or 0. Runs until it is killed.
"""

import asyncio
import sys
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from downtimer.demo.truth import now_ns
from downtimer.parent import die_with_parent

EVERY_S = 1.0


def main() -> None:
    """Poll for ever."""
    port, file, *named = sys.argv[1:]
    with Path(file).open("a", buffering=1) as log:
        asyncio.run(poll_all(int(port), named, log))


async def poll_all(port: int, named: list[str], log: TextIO) -> None:
    """Poll all targets, evenly over the second."""
    async with asyncio.TaskGroup() as group:
        for target in named:
            name, _, url = target.partition("=")
            group.create_task(poll(port, name, url, log))
            await asyncio.sleep(EVERY_S / len(named))


async def poll(port: int, name: str, url: str, log: TextIO) -> None:
    """Poll one target."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    asking = set()
    while True:
        task = loop.create_task(ask(port, name, url, log))
        asking.add(task)
        task.add_done_callback(asking.discard)
        due += EVERY_S
        await asyncio.sleep(due - loop.time())


async def ask(port: int, name: str, url: str, log: TextIO) -> None:
    """Take one sample."""
    at_ns = now_ns()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/probe?module=api&target={quote(url, safe='')}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    log.write(f"{at_ns} {name} {int(b'probe_success 1' in answer)}\n")


if __name__ == "__main__":
    die_with_parent()
    main()
