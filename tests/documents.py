"""What the documents that measurements write have in common."""

import os
import platform
import re
from pathlib import Path
from typing import Final

WIDTH: Final = 110
"""Of their lines."""

_GIB: Final = 2**30


def machine() -> str:
    """Return on what was measured, in a few words."""
    models = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    cores = f"{os.cpu_count()} cores" + (f" ({models[0]})" if models else "")
    return f"{cores}, {memory:.0f} GiB, {platform.system()} {platform.release()}"
