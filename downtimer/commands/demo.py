"""Measure a simulated cloud in an upgrade, and hold the report against the truth.

Usage: downtimer demo [--keep-files]
       downtimer demo --cloud [--keep-files] [-- COMMAND...]

Options:
  --cloud                 only have the cloud up, to practise on, until Ctrl-C
                          or SIGTERM, or until COMMAND has ended
  --keep-files            leave the configuration, journal and log of the
                          daemon in place, and say where

COMMAND is run where the cloud can be measured, with a configuration that
fits. In it the command `cloud` does something to it; `cloud help` tells what.

Example:
  downtimer demo --cloud -- downtimer run -- cloud restart nova
"""

from downtimer.commands.common import Arguments
from downtimer.demo.practice import run_practice
from downtimer.demo.run import run_demo


def run(arguments: Arguments) -> int:
    """Play a scripted upgrade of a simulated cloud and measure it for real, or leave that to the user."""
    keep_files = bool(arguments["--keep-files"])
    if arguments["--cloud"]:
        return run_practice(arguments["COMMAND"], keep_files=keep_files)
    return run_demo(keep_files=keep_files)
