"""What the worker processes load with ``-A``: the application that the environment describes."""

from __future__ import annotations

import os
import signal
import threading

from tests.acceptance.semantics import receivers as _receivers
from tests.acceptance.semantics.application import make

__all__ = ("app",)

_ = _receivers


def _end_with(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGKILL)


# Umbel's supervisor takes the variable away and looks after it; plain Celery knows nothing of it.
if os.environ.get("UMBEL_PARENT_FD"):
    _line = int(os.environ.pop("UMBEL_PARENT_FD"))
    threading.Thread(target=_end_with, args=(_line,), daemon=True).start()

app = make(
    os.environ["SEMANTICS_KIND"],
    os.environ["SEMANTICS_BROKER"],
    os.environ.get("SEMANTICS_BACKEND"),
    os.environ.get("SEMANTICS_STATE"),
)
