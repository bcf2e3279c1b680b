"""Asks for a URL until an answer comes in time: ``python until_answered.py URL TIMEOUT_S``.

Prints when the request that was answered in time was sent (CLOCK_BOOTTIME in ns): a server that has just
been started works first at what has waited for it, longer than clients do. Needs nothing but Python, so that
it runs in any network namespace.
"""

import http.client
import sys
import time
import urllib.error
import urllib.request

PAUSE_S = 0.05
GIVE_UP_S = 60.0


def main() -> None:
    """Ask until there is an answer in time."""
    url, timeout_s = sys.argv[1], float(sys.argv[2])
    until_s = time.monotonic() + GIVE_UP_S
    while time.monotonic() < until_s:
        sent_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if answers(url, timeout_s):
            sys.stdout.write(f"{sent_ns}\n")
            return
        time.sleep(PAUSE_S)
    raise SystemExit(f"{url}: no answer within {timeout_s} s, for {GIVE_UP_S} s")


def answers(url: str, timeout_s: float) -> bool:
    """Tell whether one request is answered in time."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s):  # noqa: S310 - a test's own
            return True
    except urllib.error.HTTPError as error:
        return error.code < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    main()
