"""Queues and limits."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from umbel.monitor.queues_view import QueueRow
from umbel.web.api.shapes.shape import Shape

__all__ = ("LimitShape", "QueueShape")


class QueueShape(Shape):
    """One queue. Waits are seconds, of the jobs that began within the last hour."""

    name: str
    waiting: int
    delayed: int
    running: int
    suspects: int = Field(description="They had begun when their process died, and run again alone.")
    consumers: int
    paused: bool
    users: list[str] = Field(description="Tasks and schedules that publish to it.")
    workers: list[str]
    waited_p50: float | None
    waited_p95: float | None
    mark: int | None = Field(
        description="For `upto` of a purge: what is queued from now on comes after it. Null where no broker tells."
    )

    @classmethod
    def of(cls, row: QueueRow) -> Self:
        """Return how a queue is shown."""
        same = ("name", "waiting", "delayed", "running", "suspects", "consumers", "waited_p50", "waited_p95", "mark")
        return cls(
            paused=row.is_paused,
            users=list(row.users),
            workers=list(row.workers),
            **{name: getattr(row, name) for name in same},
        )


class LimitShape(Shape):
    """One limit as it holds now."""

    name: str
    limit: str
    declared: str | None = Field(description="What code says; null for nothing.")
    changed: bool
    waiting: int = Field(description="How many jobs wait for a start.")
    seconds: float = Field(description="In how many seconds the last of them has it.")
    lag: float = Field(description="By how many seconds those started late that had waited, last time.")
