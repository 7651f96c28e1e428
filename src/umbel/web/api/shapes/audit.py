"""Entries of the audit log."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from umbel.monitor.audit import AuditEntry
from umbel.web.api.shapes.shape import Shape, parsed

__all__ = ("AuditEntryShape", "AuditList")


class AuditEntryShape(Shape):
    """One thing that somebody did, or tried to do."""

    at: float = Field(description="Unix seconds.")
    actor: str
    role: str
    via: str
    action: str
    target: str
    outcome: str = Field(description="done, refused, or one sentence that says what went wrong.")
    detail: Any = Field(None, description="What more there is to know.")

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Return how an entry is shown."""
        same = ("at", "actor", "role", "via", "action", "target", "outcome")
        return cls(detail=parsed(entry.detail), **{name: getattr(entry, name) for name in same})


class AuditList(Shape):
    """A page of entries, the newest first."""

    entries: list[AuditEntryShape]
    next: str | None
