"""Free ports for servers that tests start, stop and start again."""

import random
import socket

# Below the range from which Linux takes the ports of outgoing connections (net.ipv4.ip_local_port_range, from
# 32768 on). A server's port within that range may be lost while the server is down, or worse: a probe of a
# dead port on the loopback may be given that very port as its own, connects to itself, and "down" looks like
# "up".
FIRST, LAST = 20_000, 32_000
ATTEMPTS = 200


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port on which nothing listens, and which no outgoing connection will take."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(ATTEMPTS):
        port = random.randint(FIRST, LAST)  # noqa: S311 - parallel tests must differ, no more
        with socket.socket(family) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {FIRST} and {LAST} on {host} in {ATTEMPTS} attempts")
