"""The schedule, and tasks."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from umbel.monitor.schedules_view import Entry
from umbel.monitor.tasks_view import TaskRow
from umbel.web.api.shapes.shape import Shape

__all__ = ("OptionShape", "ScheduleShape", "SchedulesShape", "TaskShape")


class ScheduleShape(Shape):
    """One entry. Times are unix seconds."""

    name: str
    task: str
    known: bool = Field(description="Whether the application has a task of that name.")
    queue: str | None
    schedule: str
    last_run: float | None
    runs: int
    next_run: float | None = Field(description="null where only a scheduler that begins decides.")
    late: bool = Field(description="It should have run a while ago.")

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Return how an entry is shown."""
        same = ("name", "task", "queue", "schedule", "last_run", "runs", "next_run")
        return cls(known=entry.is_known, late=entry.is_late, **{name: getattr(entry, name) for name in same})


class SchedulesShape(Shape):
    """All entries, those that are due next first."""

    entries: list[ScheduleShape]
    silent: bool = Field(description="There is something to dispatch, and no scheduler.")
    left_out: int


class OptionShape(Shape):
    """What a task declares."""

    name: str
    value: str


class TaskShape(Shape):
    """One task, and what has become of its jobs. Waits and runs are seconds."""

    name: str
    known: bool = Field(description="Whether the application declares it.")
    queue: str | None
    options: list[OptionShape]
    counts: dict[str, int] = Field(description="What happened to its jobs in that time, by what it was.")
    waited_p50: float | None
    waited_p95: float | None
    ran_p50: float | None
    ran_p95: float | None

    @classmethod
    def of(cls, row: TaskRow) -> Self:
        """Return how a task is shown."""
        total = row.total
        return cls(
            name=row.name,
            known=row.is_known,
            queue=row.queue,
            options=[OptionShape.model_validate(option) for option in row.options],
            counts={} if total is None else dict(total.counts),
            waited_p50=None if total is None else total.waited.quantile(0.5),
            waited_p95=None if total is None else total.waited.quantile(0.95),
            ran_p50=None if total is None else total.ran.quantile(0.5),
            ran_p95=None if total is None else total.ran.quantile(0.95),
        )
