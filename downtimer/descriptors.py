"""How many files and sockets a process may have open."""

import resource


def allow_most() -> None:
    """Let this process open as many as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
