"""What is in a process's memory is for nobody else to see."""

import ctypes
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def hide() -> None:
    """Have the kernel write no core dump of this process, and let nobody but root look into it.

    Not even where dumps are piped to a program, which RLIMIT_CORE does not prevent. A kernel that would not
    is no reason to end.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
