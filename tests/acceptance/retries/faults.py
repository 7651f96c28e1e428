"""What the jobs raise, for both sides to import."""

from __future__ import annotations

__all__ = ("Busy",)


class Busy(Exception):
    """It will pass."""
