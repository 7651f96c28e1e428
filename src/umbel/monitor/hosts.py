"""Whether one host's file can be everybody's history."""

from __future__ import annotations

from typing import Any

from umbel.engine.leases import LeaseBook
from umbel.engine.store import Engine

__all__ = ("other_host",)


def other_host(engine: Engine) -> str | None:
    """Return the node name of a worker that lives on another host; None where all are on this one."""
    book: Any = getattr(engine, "leases", None) or getattr(getattr(engine, "state", None), "leases", None)
    if not isinstance(book, LeaseBook):
        return None
    return next((one.hostname for one in book.all() if one.host != book.host), None)
