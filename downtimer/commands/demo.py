"""Play a scripted upgrade of a simulated cloud, and measure it for real."""

from downtimer.commands.common import Arguments
from downtimer.demo.run import run_demo


def run(arguments: Arguments) -> int:
    """Play a scripted upgrade of a simulated cloud, and measure it for real."""
    return run_demo(keep_files=bool(arguments["--keep-files"]))
