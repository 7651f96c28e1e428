"""Making sure that nobody takes from a store whose jobs are to be moved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from umbel.cli.console import duration, remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umbel.engine.store import Engine, WorkerStatus

__all__ = ("names_of", "reap_all")

_PAUSE: Final = 0.5


def reap_all(engine: Engine) -> list[WorkerStatus]:
    """Give back what dead processes held, those of other hosts too, and return the processes that live.

    On another host a process is known to be dead when its lease has stood still for its whole length.
    """
    engine.reap()
    alive, seconds = engine.workers(), engine.moving.doubt()
    if alive and seconds:
        remark(f"Looking for up to {duration(seconds)} whether {names_of(alive)} on other hosts are alive")
    end = time.monotonic() + seconds
    while alive and time.monotonic() < end:
        time.sleep(_PAUSE)
        engine.reap()
        alive = engine.workers()
    return alive


def names_of(workers: Sequence[WorkerStatus]) -> str:
    """Return who they are, for a sentence."""
    return ", ".join(f"{one.hostname} (pid {one.pid}, holding {one.in_flight})" for one in workers)
