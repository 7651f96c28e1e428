"""Whether a server listens behind a socket file: the file is there a moment before the server takes connections."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

__all__ = ("listens",)


def listens(path: Path) -> bool:
    """Return whether a connection to ``path`` is taken."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
        one.connect(str(path))
        return True
    return False
