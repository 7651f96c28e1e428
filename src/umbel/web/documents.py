"""The shapes of the router's answers, for the OpenAPI document and for clients that are generated from it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from umbel.states import JobState

__all__ = ("CancelDocument", "JobDocument", "ProblemDocument", "ProgressDocument", "ResultDocument")


class ProgressDocument(BaseModel):
    """How far a running job is; ``done`` never shrinks and ends at ``total``."""

    done: float
    total: float
    message: str = ""


class JobDocument(BaseModel):
    """The status of one job. It names no process and no host."""

    id: str
    state: JobState
    celery_state: str = Field(description="Celery's own word, a task's custom state included")
    task: str | None = None
    queue: str | None = None
    result: Any = None
    error: str | None = Field(None, description="why it failed, in one line")
    progress: ProgressDocument | None = None
    meta: Any = Field(None, description="what the task stored with a custom state")
    retries: int = 0
    due: float | None = Field(None, description="when it will start at the earliest, in unix seconds")
    updated: float | None = Field(None, description="when its state last changed, in unix seconds")


class ResultDocument(BaseModel):
    """What a job that succeeded returned."""

    id: str
    state: JobState
    result: Any = None


class CancelDocument(BaseModel):
    """The state after a cancel."""

    id: str
    state: JobState


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457); ``state`` is there when the job's state is the reason."""

    type: str
    title: str
    status: int
    detail: str
    state: JobState | None = None
    error: str | None = None
