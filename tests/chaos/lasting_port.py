"""A port on which a server goes away and comes back."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import Final

__all__ = ("lasting_port",)

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def lasting_port() -> int:
    """Return a free port that no outgoing connection is given.

    Where a server that is away had one of those, some connection would be given it meanwhile (whoever knocks there
    would even be connected to himself), and the server could not come back.
    """
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 49_152
    while True:
        port = random.randrange(first // 2, first)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
