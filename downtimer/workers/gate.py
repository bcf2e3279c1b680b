"""Discovery's way not to hold a service's workers: it asks for a list when a call has just been answered.

What is asked of a service whose database hangs holds one of its few workers, beside the call of the api
worker, which is pending then. So whoever wants a list waits until that call, made every two seconds, has been
answered; and if it hangs, does without.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from downtimer.messages import Answering, MayAsk
from downtimer.model import SECOND_NS, TargetId
from downtimer.pace import HEARING_NS, SELDOM_NS
from downtimer.sections import ApiSection
from downtimer.workers.worker import Bus

LISTING_S: Final = 10.0
"""For all waits of one listing together; then there is time only for what the api worker knows already."""

_KNOWN_S: Final = 0.2


class Gate:
    """Tells when to ask a service for a list.

    Args:
        bus: To the api worker, by way of the supervisor.
        section: How often that makes calls, and how long it waits for answers.
        is_measured: Tells whether a service is.
    """

    def __init__(self, bus: Bus, section: ApiSection, is_measured: Callable[[TargetId], bool]) -> None:
        self._bus = bus
        self._is_measured = is_measured
        self._loop = asyncio.get_running_loop()
        self._wait_s = min(section.works_interval, SELDOM_NS / SECOND_NS) + section.timeout
        self._wait_s += HEARING_NS / SECOND_NS + _KNOWN_S
        self._waiting: dict[TargetId, asyncio.Future[bool]] = {}
        self._until_s = 0.0  # of the listing

    async def opens(self, service: TargetId, wait_s: float | None = None) -> bool:
        """Wait until a call to it has been answered; return False if one hangs.

        If nothing is known of that, which the api worker being new explains, return True after a while.

        Args:
            service: Whom to ask.
            wait_s: How long to wait at most; None for as long as may be of use.
        """
        if not self._is_measured(service):
            return True
        if service not in self._waiting:
            self._waiting[service] = self._loop.create_future()
            self._bus.send(MayAsk(target=service))
        waiting = self._waiting[service]
        try:
            async with asyncio.timeout(self._wait_s if wait_s is None else wait_s):
                return await asyncio.shield(waiting)
        except TimeoutError:
            if self._waiting.get(service) is waiting:
                del self._waiting[service]
            return True

    def begin_listing(self) -> None:
        """From now on there are ten seconds for all waits in the thread."""
        self._until_s = time.monotonic() + LISTING_S

    def wait(self, service: TargetId) -> bool:
        """Do the same as `opens`, in discovery's thread, as long as there is time in this listing."""
        wait_s = min(max(self._until_s - time.monotonic(), _KNOWN_S), self._wait_s)
        opening = asyncio.run_coroutine_threadsafe(self.opens(service, wait_s), self._loop)
        return opening.result(LISTING_S + 1)

    def take(self, said: Answering) -> None:
        """Take the api worker's word."""
        waiting = self._waiting.pop(said.target, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(not said.hangs)
