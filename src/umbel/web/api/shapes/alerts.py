"""Alerts."""

from __future__ import annotations

from pydantic import Field

from umbel.web.api.shapes.shape import Shape

__all__ = ("IncidentList", "IncidentShape")


class IncidentShape(Shape):
    """One thing that is, or was, wrong. Times are unix seconds."""

    number: int
    rule: str
    subject: str = Field(description="What it is about: a task, a queue.")
    summary: str
    opened_at: float
    ended_at: float | None = Field(description="null while it goes on.")
    acknowledged_at: float | None
    acknowledged_by: str | None
    untold: list[str] = Field(description="Channels that have not been told of it.")
    error: str | None = Field(description="What the last try of one of them said.")


class IncidentList(Shape):
    """A page of alerts, the newest first."""

    alerts: list[IncidentShape]
    next: str | None
