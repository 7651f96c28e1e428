"""Figures over time."""

from __future__ import annotations

from pydantic import Field

from umbel.web.api.shapes.shape import Shape

__all__ = ("PointShape", "SeriesShape")


class PointShape(Shape):
    """What happened in one step. Waits and runs are seconds."""

    start: int = Field(description="Unix seconds.")
    counts: dict[str, int] = Field(
        description="queued, succeeded, failed, retried, cancelled, expired, interrupted: how many of each."
    )
    waited_p50: float | None
    waited_p95: float | None
    ran_p50: float | None
    ran_p95: float | None


class SeriesShape(Shape):
    """Points in the order of time."""

    step: int = Field(description="Seconds.")
    points: list[PointShape]
