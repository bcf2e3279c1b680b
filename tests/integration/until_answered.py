"""Asks for a URL until an answer comes in time: ``python -m tests.integration.until_answered URL TIMEOUT_S``.

Prints when the request that was answered in time was sent (CLOCK_BOOTTIME in ns). A process of its own, which
can be run in the network namespace that has the server.
"""

import http.client
import sys
import urllib.error
import urllib.request

from downtimer.demo.truth import now_ns
from tests.waiting import wait_until

GIVE_UP_S = 60.0


def main() -> None:
    """Ask until there is an answer in time."""
    url, timeout_s = sys.argv[1], float(sys.argv[2])
    sent_ns = wait_until(lambda: ask(url, timeout_s), timeout_s=GIVE_UP_S, what=f"{url} to answer in time")
    sys.stdout.write(f"{sent_ns}\n")


def ask(url: str, timeout_s: float) -> int | None:
    """Send one request; return when (CLOCK_BOOTTIME in ns), None if it is not answered in time."""
    sent_ns = now_ns()
    try:
        with urllib.request.urlopen(url, timeout=timeout_s):  # noqa: S310 - a test's own
            return sent_ns
    except urllib.error.HTTPError as error:
        return sent_ns if error.code < http.client.INTERNAL_SERVER_ERROR else None
    except (OSError, http.client.HTTPException):
        return None


if __name__ == "__main__":
    main()
