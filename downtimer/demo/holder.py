"""Holds two network namespaces open: ``python -m downtimer.demo.holder root|user``.

They are anonymous: they exist as long as a process is in them. This one makes a user namespace
first if told ``user``, where it is root and needs no privilege outside; then the *cloud's* network
namespace, while its child makes the *vantage's*. It writes ``held VANTAGE_PID CLOUD_PID`` and waits
for the end of its standard input, which comes however its parent ends. Then both end whatever still
runs in their namespaces: a daemon that was started there has long left its parent. It is asked first, as by
systemd, so that its log says what became of it.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
GRACE_S = 3.0
_POLL_S = 0.05


def main() -> int:
    """Make the namespaces, hold them, end; 1 and one line if the kernel does not let us."""
    try:
        if sys.argv[1] == "user":
            _become_root_of_a_user_namespace()
        vantage = _fork_vantage()
        _unshare(CLONE_NEWNET)
    except OSError as error:
        sys.stdout.write(f"failed {error.strerror or error}\n")
        return 1
    sys.stdout.write(f"held {vantage} {os.getpid()}\n")
    sys.stdout.flush()
    _wait_for_the_end()
    os.waitpid(vantage, 0)
    return 0


def _become_root_of_a_user_namespace() -> None:
    """Map the user to root in there, so that programs started in it keep their capabilities."""
    uid, gid = os.geteuid(), os.getegid()
    _unshare(CLONE_NEWUSER)
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"0 {uid} 1")
    (own / "gid_map").write_text(f"0 {gid} 1")


def _fork_vantage() -> int:
    """Start the child that holds the vantage's namespace; return its pid once it does."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _hold_vantage(writable)
    os.close(writable)
    failure = os.read(readable, 4)
    os.close(readable)
    if failure != b"ok":
        os.waitpid(pid, 0)
        number = int(failure or b"1")
        raise OSError(number, os.strerror(number))
    return pid


def _hold_vantage(writable: int) -> None:
    """Be the child. Never returns."""
    try:
        _unshare(CLONE_NEWNET)
    except OSError as error:
        os.write(writable, str(error.errno).encode())
        os._exit(1)
    os.write(writable, b"ok")
    os.close(writable)
    _wait_for_the_end()
    os._exit(0)


def _unshare(flags: int) -> None:
    """Do what os.unshare does from Python 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _wait_for_the_end() -> None:
    """Wait until the other end of standard input is closed, by whatever means; then sweep."""
    while os.read(0, 1024):
        pass
    namespace = Path("/proc/self/ns/net").readlink()
    _ask_daemons_in(namespace)
    while _signal(_all_in(namespace), signal.SIGKILL):
        pass


def _ask_daemons_in(namespace: Path) -> None:
    """Tell those that lead a session of their own to end, and give them a moment for it."""
    asked = [pid for pid in _all_in(namespace) if _leads(pid)]
    _signal(asked, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and not set(asked).isdisjoint(_all_in(namespace)):
        time.sleep(_POLL_S)


def _leads(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid) == pid
    return False


def _signal(pids: Iterable[int], number: int) -> bool:
    """Send a signal to processes; return whether there was one."""
    found = False
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
            found = True
    return found


def _all_in(namespace: Path) -> Iterator[int]:
    """Yield every other process alive in that network namespace."""
    for process in Path("/proc").glob("[0-9]*"):
        # Others' processes may not be looked at, dead ones have no namespaces: not ours, either way.
        with contextlib.suppress(OSError):
            if int(process.name) != os.getpid() and (process / "ns/net").readlink() == namespace:
                yield int(process.name)


if __name__ == "__main__":
    sys.exit(main())
