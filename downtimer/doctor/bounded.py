"""Checks within bounds of time: whatever hangs is a finding, too."""

import threading
from collections.abc import Callable, Iterable

from downtimer.doctor.finding import Finding, fail
from downtimer.errors import DowntimerError

CHECK_S = 10.0
"""A check that has been silent for so long is given up."""

Check = Callable[[], Iterable[Finding]]


class Silence:
    """Ends what has not been heard of for a while.

    Args:
        seconds: How long it may be silent.
    """

    def __init__(self, seconds: float = CHECK_S) -> None:
        self._cut: Callable[[], None] = lambda: None
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def begin(self, cut: Callable[[], None]) -> None:
        """From now on it may be silent for so long; `cut` ends it."""
        self._cut = cut
        self.heard()

    def heard(self, *_: object) -> None:
        """It gets on; it may be silent for as long again."""
        self.close()
        self._timer = threading.Timer(self._seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()


def findings_of(name: str, check: Check, seconds: float = CHECK_S) -> list[Finding]:
    """Return what a check finds, or that it took too long; then its thread is left to end by itself."""
    found: list[Finding] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.extend(check())
        except DowntimerError as exc:
            found.append(fail(name, str(exc)))
        except OSError as exc:
            found.append(fail(name, f"could not be found out: {exc.strerror or exc}"))
        except Exception as exc:  # noqa: BLE001 - what breaks off must not pass for a check without findings
            found.append(fail(name, f"could not be found out: {type(exc).__name__}: {exc}"))
        finally:
            done.set()

    threading.Thread(target=work, name=name, daemon=True).start()
    if not done.wait(seconds):
        return [fail(name, f"took longer than {seconds:.0f} s, and was given up")]
    return found
