"""Jobs, their attempts, and what they belong to."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from umbel.monitor.jobs_view import JobDetails, JobRow
from umbel.states import JobState
from umbel.web.api.shapes.shape import Shape, parsed

__all__ = ("AttemptShape", "JobDetailShape", "JobList", "JobShape")


class JobShape(Shape):
    """A job as lists show it. Times are unix seconds, `waited` and `ran` seconds, of its last execution."""

    id: str
    state: JobState
    task: str | None
    queue: str | None
    worker: str | None
    release: str | None
    priority: int
    queued_at: float
    due_at: float | None
    started_at: float | None
    ended_at: float | None
    waited: float | None
    ran: float | None
    attempts: int
    replays: int
    owner: str | None
    parent_id: str | None
    root_id: str | None
    group_id: str | None
    batch_id: str | None
    error_type: str | None
    error_message: str | None
    fingerprint: str | None = Field(description="The same for failures of one type at one place.")
    progress: Any = Field(None, description="done, total, message; null without any.")

    @classmethod
    def of(cls, row: JobRow) -> Self:
        """Return how a job is shown."""
        return cls.model_validate({**_values(row), "progress": _progress(row.progress)})


def _values(row: JobRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in JobShape.model_fields if name != "progress"}


def _progress(text: str | None) -> Any:
    found = parsed(text)
    return dict(zip(("done", "total", "message"), found, strict=False)) if isinstance(found, list) else found


class JobList(Shape):
    """A page of jobs, the newest first. It may be short, or empty, and have a next one all the same."""

    jobs: list[JobShape]
    next: str | None


class AttemptShape(Shape):
    """One execution. `state` is a job's, or `interrupted` or `deferred`, which count as no attempt."""

    state: str
    retries: int
    queued_at: float | None
    started_at: float | None
    ended_at: float
    worker: str | None
    release: str | None
    error_type: str | None = None
    error_message: str | None = None
    traceback: str | None = None


class JobDetailShape(Shape):
    """All that the history has of one job."""

    job: JobShape
    arguments: Any = Field(
        None, description="A list of the positional ones and an object of the named ones; null where they are not kept."
    )
    result: Any = Field(None, description="null where it is not kept.")
    arguments_text: str | None = Field(description="As they are kept: what was cut ends with an ellipsis.")
    result_text: str | None
    tags: list[str]
    attempts: list[AttemptShape]
    parent: JobShape | None
    children: list[JobShape] = Field(description="The first hundred.")
    has_message: bool = Field(description="Whether its message is kept, so that it can be queued again.")

    @classmethod
    def of(cls, found: JobDetails) -> Self:
        """Return how all of a job is shown."""
        return cls(
            job=JobShape.of(found.job),
            arguments=parsed(found.arguments),
            result=parsed(found.result),
            arguments_text=found.arguments,
            result_text=found.result,
            tags=list(found.tags),
            attempts=[AttemptShape.model_validate(one) for one in found.attempts],
            parent=None if found.parent is None else JobShape.of(found.parent),
            children=[JobShape.of(one) for one in found.children],
            has_message=found.has_message,
        )
