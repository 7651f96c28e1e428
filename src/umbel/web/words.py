"""Figures and times as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ("ago", "iso", "number", "plural")


def number(value: int) -> str:
    """Return ``12,345`` for 12345."""
    return f"{value:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 queue``, ``2 queues``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def iso(moment: float) -> str:
    """Return unix seconds as ``2026-01-31 12:00:00 UTC``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(moment: float, now: float) -> str:
    """Return how long ago ``moment`` was in the largest unit that fits: ``3 min``."""
    seconds = max(0, int(now - moment))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
