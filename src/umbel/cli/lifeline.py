"""A child's line to its parent: when the parent dies, however it dies, the child ends gracefully.

The parent holds the writing end of a pipe and never writes; the kernel closes it with the process. Children run in
process groups of their own, so without this a killed ``umbel up`` would leave them running.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

__all__ = ("VARIABLE", "hold")

#: Names the inherited descriptor to the child; a web process hands it to its worker too.
VARIABLE: Final = "UMBEL_PARENT_FD"


def hold() -> None:
    """End this process with SIGTERM once its parent is gone; does nothing where no line was handed down."""
    text = os.environ.pop(VARIABLE, "")
    if text.isdigit():
        threading.Thread(target=_wait, args=(int(text),), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    os.set_inheritable(descriptor, False)
    try:
        os.read(descriptor, 1)
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGTERM)
