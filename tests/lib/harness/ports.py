"""Free TCP ports on the loopback.

Taken below the kernel's ephemeral range, so that no outgoing connection of a client under test gets the port between
our look and the broker's bind.
"""

import os
import random
import socket

_LOWEST = 15000
_random = random.Random(os.urandom(8))
_given = set()


def _highest():
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        return min(int(file.read().split()[0]), 32768)


def free_port():
    for _ in range(1000):
        port = _random.randrange(_LOWEST, _highest())
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port found")
