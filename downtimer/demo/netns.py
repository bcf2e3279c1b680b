"""Two network namespaces, a *vantage* and a *cloud*, joined by a veth pair; addresses that come and go.

The cloud's addresses are on its loopback, and the vantage's default route leads there, as to a
router. An address that is dropped is taken away and blackholed: silence. One that is rejected is
taken away and made unreachable: the router says so (the kernel limits how often).

    vantage 10.255.255.1 ──veth── 10.255.255.2 cloud: 172.29.236.10, 172.16.166.151, …

Everything is anonymous and vanishes with the processes in it; nothing of the host is touched.
"""

import contextlib
import ipaddress
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, Self

from downtimer.demo.ipbatch import ARGUMENTS, IpBatch
from downtimer.demo.processes import DemoError, Lines, Spawner, kill
from downtimer.demo.truth import Bracket

AUTO: Final = "auto"
USER: Final = "user"
ROOT: Final = "root"

VANTAGE_IP: Final = "10.255.255.1"
GATEWAY_IP: Final = "10.255.255.2"
_VANTAGE_IP6 = "fd00:d0d0::1"
_GATEWAY_IP6 = "fd00:d0d0::2"
_VANTAGE_LINK = "vantage0"
_CLOUD_LINK = "cloud0"
_START_S = 10.0
_CLOSE_S = 5.0
_COMMAND_S = 60.0


class NoNamespaceError(DemoError):
    """This machine does not let us make network namespaces, or lacks the tools; says which."""


class Namespaces:
    """The pair, from construction to `close`.

    Args:
        spawner: Starts the processes in them.
        mode: ``user`` for a user namespace (no privilege needed where the kernel allows it),
            ``root`` for root's own, ``auto`` for whichever works.

    Raises:
        NoNamespaceError: Neither is to be had.
    """

    def __init__(self, spawner: Spawner, mode: str = AUTO) -> None:
        self._spawner = spawner
        self._tools = {name: _find(name) for name in ("ip", "nsenter", "stdbuf")}
        self._holder, self.mode, self.vantage_pid, self.cloud_pid = self._hold(mode)
        self._in_cloud, self._in_vantage = (
            IpBatch(partial(self._start_ip, pid)) for pid in (self.cloud_pid, self.vantage_pid)
        )
        try:
            self._join()
        except BaseException as error:
            self.close()
            if isinstance(error, DemoError):  # a kernel without veth, a /proc/sys that is read-only
                raise NoNamespaceError(f"no network in the namespace: {error}") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs in them; they vanish with it."""
        self._in_cloud.close()
        self._in_vantage.close()
        if self._holder.stdin is not None:
            self._holder.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._holder.wait(_CLOSE_S)
        kill(self._holder)

    def in_vantage(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` in the vantage; the process it starts becomes it."""
        return self._entering(self.vantage_pid, argv)

    def in_cloud(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` in the cloud; the process it starts becomes it."""
        return self._entering(self.cloud_pid, argv)

    def add(self, addresses: Iterable[str]) -> None:
        """Give the cloud addresses, or restore dropped ones."""
        self._in_cloud.run([f"address add {_host(address)} dev lo{_now(address)}" for address in addresses])

    def add_block(self, block: str) -> None:
        """Have the cloud answer for every address of a CIDR block."""
        self._in_cloud.run([f"route add local {block} dev lo"])

    def silence(self, addresses: Iterable[str]) -> Bracket:
        """Make addresses of a block silent; return when."""
        return self._reroute("add", addresses)

    def unsilence(self, addresses: Iterable[str]) -> Bracket:
        """Have them answer again; return when."""
        return self._reroute("del", addresses)

    def drop(self, addresses: Iterable[str]) -> Bracket:
        """Take addresses away so that they are silent; return when."""
        return self._take(addresses, "blackhole")

    def reject(self, addresses: Iterable[str]) -> Bracket:
        """Take addresses away so that the router says they are unreachable; return when."""
        return self._take(addresses, "unreachable")

    def restore(self, addresses: Iterable[str]) -> Bracket:
        """Give addresses back that were taken away; return when."""
        chosen = list(addresses)
        back = self._in_cloud.run(
            [f"address add {_host(address)} dev lo{_now(address)}" for address in chosen]
        )
        self._in_cloud.run([f"route del {_host(address)}" for address in chosen])
        return back

    def set_link(self, *, up: bool) -> Bracket:
        """Cut the vantage's link to everything, at the far end, or mend it; return when."""
        return self._in_cloud.run([f"link set {_CLOUD_LINK} {'up' if up else 'down'}"])

    def _hold(self, mode: str) -> tuple[subprocess.Popen[bytes], str, int, int]:
        """Start the holder in the first way that works."""
        reasons = []
        for tried in (ROOT, USER) if mode == AUTO else (mode,):
            holder = self._spawner.start(
                [sys.executable, "-m", "downtimer.demo.holder", tried],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            try:
                word, *rest = Lines(holder).read(_START_S).split()
            except BaseException:
                kill(holder)
                raise
            if word == "held":
                vantage_pid, cloud_pid = map(int, rest)
                return holder, tried, vantage_pid, cloud_pid
            kill(holder)
            reasons.append(f"{tried}: {' '.join(rest)}")
        raise NoNamespaceError(f"no network namespace ({'; '.join(reasons)})")

    def _join(self) -> None:
        """Lay the cable, set the addresses and the routes."""
        pair = f"link add {_VANTAGE_LINK} type veth peer name {_CLOUD_LINK} netns {self.cloud_pid}"
        self._in_vantage.run([pair])
        self._set(
            self.cloud_pid,
            {"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv6/conf/all/keep_addr_on_down": "1"},
        )
        # A ping socket is for the groups in this range; in a user namespace only ours is mapped.
        groups = "0 0" if self.mode == USER else "0 2147483647"
        self._set(self.vantage_pid, {"ipv4/ping_group_range": groups})
        has_ipv6 = self._has_ipv6()
        self._in_cloud.run(_link_commands(_CLOUD_LINK, GATEWAY_IP, _GATEWAY_IP6 if has_ipv6 else None))
        commands = _link_commands(_VANTAGE_LINK, VANTAGE_IP, _VANTAGE_IP6 if has_ipv6 else None)
        commands.append(f"route add default via {GATEWAY_IP}")
        if has_ipv6:
            commands.append(f"route add default via {_GATEWAY_IP6}")
        self._in_vantage.run(commands)

    def _take(self, addresses: Iterable[str], route: str) -> Bracket:
        """Lay the route that applies once the address is gone, then take the address away."""
        chosen = list(addresses)
        self._in_cloud.run([f"route add {route} {_host(address)}" for address in chosen])
        return self._in_cloud.run([f"address del {_host(address)} dev lo" for address in chosen])

    def _reroute(self, what: str, addresses: Iterable[str]) -> Bracket:
        return self._in_cloud.run(
            [f"route {what} blackhole {_host(address)} table local" for address in addresses]
        )

    def _start_ip(self, pid: int) -> subprocess.Popen[bytes]:
        """Start an ip(8) in the namespace of that process."""
        argv = [self._tools["stdbuf"], "-oL", self._tools["ip"], *ARGUMENTS]
        return self._spawner.start(
            self._entering(pid, argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def _has_ipv6(self) -> bool:
        try:
            self._run(self.cloud_pid, ["test", "-e", "/proc/sys/net/ipv6"], "")
        except DemoError:
            return False
        return True

    def _set(self, pid: int, values: dict[str, str]) -> None:
        """Set values of sysctl that exist, in the namespace of that process."""
        script = "".join(
            f"test ! -e /proc/sys/net/{name} || echo {value} > /proc/sys/net/{name} || exit 1\n"
            for name, value in values.items()
        )
        self._run(pid, ["/bin/sh"], script)

    def _run(self, pid: int, argv: Sequence[str], text: str) -> None:
        process = self._spawner.start(
            self._entering(pid, argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, errors = process.communicate(text.encode(), timeout=_COMMAND_S)
        finally:
            kill(process)
        if process.returncode != 0:
            raise DemoError(f"{' '.join(argv)}: {errors.decode().strip() or process.returncode}")

    def _entering(self, pid: int, argv: Sequence[str]) -> list[str]:
        spaces = [f"--net=/proc/{pid}/ns/net"]
        if self.mode == USER:
            spaces = ["--preserve-credentials", f"--user=/proc/{pid}/ns/user", *spaces]
        return [self._tools["nsenter"], *spaces, "--", *argv]


def _link_commands(link: str, address: str, address6: str | None) -> list[str]:
    commands = ["link set lo up", f"address add {address}/30 dev {link}", f"link set {link} up"]
    if address6 is not None:
        commands.insert(2, f"address add {address6}/64 dev {link} nodad")
    return commands


def _host(address: str) -> str:
    """Return the address as a prefix of itself."""
    return str(ipaddress.ip_network(address))


def _now(address: str) -> str:
    """Return what makes an IPv6 address usable at once: no search for duplicates."""
    return " nodad" if ipaddress.ip_address(address).version == 6 else ""


def _find(tool: str) -> str:
    """Return the path of a program, also where only root's PATH has it."""
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        raise NoNamespaceError(f"{tool} is not installed (Debian: apt install iproute2 util-linux)")
    return path
