"""The table of causes, as it stands in `downtimer.verdicts`."""

import inspect

from downtimer import verdicts

_RULE = "===="


def text() -> str:
    """Return the table of the module's docstring."""
    lines = inspect.cleandoc(verdicts.__doc__ or "").splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith(_RULE)]
    return "\n".join(lines[rules[0] : rules[-1] + 1])
