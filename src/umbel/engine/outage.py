"""While the store cannot be used: one line when that begins and one when it is over, and pauses in between.

Pauses grow to about a second, each of another length, so that a fleet does not come back in step, and everybody is back
within seconds. A long outage is said again each minute.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ("Outage", "seldom")

logger = logging.getLogger(__name__)

_PAUSES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
_AGAIN_SECONDS: Final = 60.0


class Outage:
    """What one thread cannot do for a while. ``failure`` and ``relief`` are how that is said."""

    def __init__(self, failure: str, relief: str) -> None:
        self._failure = failure
        self._relief = relief
        self._times = 0
        self._began = self._said = 0.0

    def pause(self, error: Exception) -> float:
        """Note that it failed with ``error``; return how many seconds to wait before the next try."""
        now = time.monotonic()
        if not self._times:
            self._began = now
        if not self._times or now - self._said >= _AGAIN_SECONDS:
            self._said = now
            logger.error("%s (%s); trying again until it works.", self._failure, error)
        self._times += 1
        return _PAUSES[min(self._times, len(_PAUSES)) - 1] * random.uniform(0.75, 1.25)

    def over(self) -> bool:
        """Note that it works; return whether it had not."""
        if not self._times:
            return False
        self._times = 0
        logger.warning("%s after %.1f seconds.", self._relief, time.monotonic() - self._began)
        return True


def seldom(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``call``, made the first time and once a minute after that."""
    last = float("-inf")

    def sometimes(*args: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _AGAIN_SECONDS:
            last = now
            call(*args)

    return sometimes
