"""What runs beside the supervisor's loop, and is plugged in by whoever starts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ("Companion",)


class Companion(Protocol):
    """Works in a thread of its own, and learns from the worker processes where."""

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take note of what a worker process said."""

    def stop(self) -> None:
        """End."""
