"""Figures and times as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ("ago", "iso", "number", "plural", "size", "span", "stamp")


def number(value: int) -> str:
    """Return ``12,345`` for 12345."""
    return f"{value:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 queue``, ``2 queues``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def iso(moment: float) -> str:
    """Return unix seconds as ``2026-01-31 12:00:00 UTC``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(amount: int) -> str:
    """Return bytes as ``812 B``, ``64.2 MB``, ``1.3 GB``."""
    for least, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if amount >= least:
            return f"{amount / least:.1f} {unit}"
    return f"{amount} B"


def stamp(moment: float) -> str:
    """Return unix seconds as the ``datetime`` attribute of ``<time>`` wants them: ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """Return how long something took: ``0.4 ms``, ``12 ms``, ``1.2 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    for size, unit, small, part in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size - small / 2:
            whole, rest = divmod(round(seconds / small), size // small)
            return f"{whole} {unit} {rest} {part}" if rest else f"{whole} {unit}"
    return f"{seconds:.0f} s"


def ago(moment: float, now: float) -> str:
    """Return how long ago ``moment`` was in the largest unit that fits: ``3 min``."""
    seconds = max(0, int(now - moment))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
