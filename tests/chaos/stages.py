"""What every campaign is made of: wait for a condition, load the application, strike as soon as it can be done."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.chaos.killer import Kill, Killer, Victim

__all__ = ("StoppedMoving", "application", "end_in_order", "strike", "until")

_QUIET_SECONDS: Final = 120.0
_PAUSE: Final = 0.02
_JOBS: Final = "tests.chaos.jobs"


class StoppedMoving(TimeoutError):
    """Nothing has changed for too long."""


def end_in_order() -> None:
    """Let SIGTERM end this program as Ctrl-C does, so that what it started is ended too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def until(condition: Callable[[], bool], what: str, moving: Callable[[], object] | None = None) -> None:
    """Wait until ``condition``. Raises :exc:`StoppedMoving` when ``moving`` has not changed for two minutes."""
    last: object = None
    deadline = time.monotonic() + _QUIET_SECONDS
    while not condition():
        if moving is not None and moving() != last:
            last, deadline = moving(), time.monotonic() + _QUIET_SECONDS
        if time.monotonic() > deadline:
            raise StoppedMoving(f"waited {_QUIET_SECONDS:g} s in vain for {what}")
        time.sleep(_PAUSE)


@contextmanager
def application(broker: str) -> Iterator[Any]:
    """Give the module of the tasks with an application of its own for ``broker``."""
    os.environ["UMBEL_BROKER_URL"] = broker
    try:
        known = sys.modules.get(_JOBS)
        tasks: Any = importlib.import_module(_JOBS) if known is None else importlib.reload(known)
        tasks.app.finalize()
        tasks.app.set_current()
        assert tasks.app.conf.broker_url == broker
    finally:
        del os.environ["UMBEL_BROKER_URL"]
    try:
        yield tasks
    finally:
        tasks.app.engine.close()
        tasks.app.close()


def strike(killer: Killer, victim: Victim) -> Kill:
    """Strike as soon as it can be done; nobody left to quarantine: strike a worker."""
    patience = time.monotonic() + 5.0
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        kill = killer.strike(victim)
        if kill is not None:
            return kill
        if victim == "suspects" and time.monotonic() > patience:
            victim = "worker"
        time.sleep(_PAUSE)
    raise TimeoutError(f"nobody to kill among {victim}")
