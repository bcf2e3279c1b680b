"""Measure a simulated cloud during a scripted upgrade of 30 seconds, and hold the report against the truth.

Usage: downtimer demo [--keep-files]

Options:
  --keep-files            leave the configuration, journal and log of the daemon in place
"""

from downtimer.commands.common import Arguments
from downtimer.demo.run import run_demo


def run(arguments: Arguments) -> int:
    """Play a scripted upgrade of a simulated cloud, and measure it for real."""
    return run_demo(keep_files=bool(arguments["--keep-files"]))
