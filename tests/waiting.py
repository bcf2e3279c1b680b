"""Waiting with a deadline: the only way in which a test may wait for another process."""

import time
from collections.abc import Callable
from typing import TypeVar

POLL_S = 0.02

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], *, timeout_s: float, what: str) -> T:
    """Ask again until the predicate answers something true, and return that.

    Args:
        predicate: Asked at once, then every 20 ms; it must not block for long.
        timeout_s: After that many seconds the wait has failed.
        what: What is waited for, for the message of the failure.

    Raises:
        TimeoutError: The deadline passed; the message holds the last answer.
    """
    deadline = time.monotonic() + timeout_s
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}; last answer: {answer!r}")
        time.sleep(POLL_S)
    return answer
