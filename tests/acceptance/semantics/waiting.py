"""Waiting for a condition with a deadline, instead of sleeping for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ("DEADLINE", "until")

#: Seconds that anything may take before a test gives up; generous, since nothing waits for it when all is well.
DEADLINE: Final = 60.0

_PAUSE: Final = 0.01

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """Call ``condition`` until it returns something true, and return that."""
    end = time.monotonic() + deadline
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s in vain for: {what}")
        time.sleep(_PAUSE)
