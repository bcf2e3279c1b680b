"""Whether a measurement has begun: each class of target was seen, or it is known why that can't be.

Owned by a measurement, which begins with its run, and once more after each pause.
"""

import asyncio
from typing import Final

from downtimer.errors import DowntimerError

PATIENCE_S: Final = 90.0
LOSSES_MAX: Final = 3
"""If so many processes were lost meanwhile, it will not come to be."""


class StartError(DowntimerError):
    """The measurement could not begin; the message is for the user."""


class Beginning:
    """One beginning, until it is over for better or worse."""

    def __init__(self) -> None:
        self._losses = 0
        self._failure: DowntimerError | None = None
        self._is_over = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether it is."""
        return self._is_over.is_set()

    def succeed(self) -> None:
        """Everything is measured."""
        self._is_over.set()

    def fail(self, error: DowntimerError) -> None:
        """Give it up; without meaning once it is over."""
        if not self.is_over:
            self._failure = error
            self._is_over.set()

    def lost(self, name: str, why: str) -> None:
        """A process of this class ended that was not told to, and will be started again."""
        self._losses += 1
        if self._losses >= LOSSES_MAX:
            self.fail(StartError(f"the {name} process {why}, again and again; the log says why"))

    async def wait(self) -> None:
        """Wait until it is over.

        Raises:
            StartError: Nothing could be measured, or not so far.
            ConfigError: The same, for what stands in the configuration file.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._is_over.wait()
        except TimeoutError as exc:
            raise StartError(
                f"nothing could be measured within {PATIENCE_S:.0f} s; the log says more"
            ) from exc
        if self._failure is not None:
            raise self._failure
