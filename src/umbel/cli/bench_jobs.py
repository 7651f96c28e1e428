"""The application that ``umbel bench`` measures: one task, on a store that the environment names."""

from __future__ import annotations

import os
import time

from umbel import Umbel

__all__ = ("jobs", "stamp")

jobs = Umbel("bench", broker_transport_options={"global_keyprefix": os.environ.get("BENCH_KEY_PREFIX", "")})


@jobs.task
def stamp(number: int) -> float:
    """When it ran, by the machine's own steady clock, which all its processes share."""
    return time.monotonic()
