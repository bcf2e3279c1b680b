"""Discovery's way not to hold a service's workers: it asks for a list when a call has just been answered.

What is asked of a service whose database hangs holds one of its few workers, beside the call of the api
worker, which is pending then. So whoever wants a list waits until that call, made every two seconds, has been
answered; and if it hangs, does without.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from downtimer.messages import Answering, MayAsk
from downtimer.model import TargetId
from downtimer.workers.worker import Bus

WAIT_S: Final = 12.0
"""For the api worker's word: an interval, a timeout, the hearing out. It may have none to say, being new."""


class Gate:
    """Tells when to ask a service for a list.

    Args:
        bus: To the api worker, by way of the supervisor.
        is_measured: Tells whether a service is.
    """

    def __init__(self, bus: Bus, is_measured: Callable[[TargetId], bool]) -> None:
        self._bus = bus
        self._is_measured = is_measured
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[TargetId, asyncio.Future[bool]] = {}

    async def opens(self, service: TargetId) -> bool:
        """Wait until a call to it has been answered; return False if one hangs.

        If nothing is known of that, do not wait for ever, and return True.
        """
        if not self._is_measured(service):
            return True
        if service not in self._waiting:
            self._waiting[service] = self._loop.create_future()
            self._bus.send(MayAsk(target=service))
        waiting = self._waiting[service]
        try:
            async with asyncio.timeout(WAIT_S):
                return await asyncio.shield(waiting)
        except TimeoutError:
            self.take(Answering(target=service, hangs=False))
            return True

    def wait(self, service: TargetId) -> bool:
        """Do the same, in a thread of one's own."""
        return asyncio.run_coroutine_threadsafe(self.opens(service), self._loop).result()

    def take(self, said: Answering) -> None:
        """Take the api worker's word."""
        waiting = self._waiting.pop(said.target, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(not said.hangs)
