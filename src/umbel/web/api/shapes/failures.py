"""Failures that are alike."""

from __future__ import annotations

from pydantic import Field

from umbel.web.api.shapes.shape import Shape

__all__ = ("FailureGroupShape",)


class FailureGroupShape(Shape):
    """Jobs that have failed, or are retrying, of one type at one place; what is said of one is the newest's."""

    fingerprint: str
    jobs: int = Field(description="How many.")
    ended_at: float | None = Field(description="When the newest failed last, in unix seconds.")
    task: str | None
    release: str | None
    error_type: str | None
    error_message: str | None
