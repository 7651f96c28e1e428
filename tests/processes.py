"""Ending processes, and seeing that they have: an orphan stays a zombie until the first process of all looks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import psutil

__all__ = ["end", "has_ended"]


def has_ended(process: psutil.Process) -> bool:
    """Whether nothing of it runs any more."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def end(processes: Iterable[psutil.Process], seconds: float) -> None:
    """SIGKILL them, and return when all have ended. Raises :exc:`TimeoutError`."""
    left = list(processes)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + seconds
    while left := [process for process in left if not has_ended(process)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s these still run: {left}")
        time.sleep(0.005)
