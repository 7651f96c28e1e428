"""How long what is next in a queue has been due."""

from __future__ import annotations

from collections.abc import Iterable

from umbel.engine.envelope import due_at, headers_of

__all__ = ("longest", "waited")


def waited(queued: float, payload: str, now: float) -> float | None:
    """Return for how many seconds a message that was ``queued`` has been due; None where the store does not know."""
    if not queued:
        return None
    # What was dispatched for later has been waiting since then only.
    due = due_at(headers_of(payload).get("eta")) if '"eta":null' not in payload else None
    return max(0.0, now - max(queued, due or 0.0))


def longest(found: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """Return the longest wait of each queue."""
    waits: dict[str, float] = {}
    for name, seconds in found:
        if seconds is not None:
            waits[name] = max(seconds, waits.get(name, 0.0))
    return waits
