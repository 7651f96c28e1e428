"""Jobs: to find, to look at, to act on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from umbel.web.api.answers import PROBLEMS
from umbel.web.api.cursors import cursor_of, number_in
from umbel.web.api.shapes.jobs import AttemptShape, JobDetailShape, JobList, JobShape
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.values import Given, Name, NewId, PathId
from umbel.web.api.wanted import JobPageQuery
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(tags=["jobs"], responses=PROBLEMS)


class Rerun(Given):
    """A new job of the same task. Without `args` and `kwargs` it has the old one's."""

    args: Annotated[list[Any] | None, Field(max_length=100)] = None
    kwargs: Annotated[dict[str, Any] | None, Field(max_length=100)] = None
    queue: Name | None = None
    id: NewId | None = None


@router.get("/jobs")
def list_jobs(app: App, by: Viewer, query: Annotated[JobPageQuery, Query()]) -> JobList:
    """List jobs, the newest first."""
    page = app.history.jobs.find(query.filter(), before=number_in("jobs", query.cursor), limit=query.limit)
    return JobList(jobs=[JobShape.of(row) for row in page.jobs], next=cursor_of("jobs", page.next))


@router.get("/jobs/{job_id}")
def show_job(app: App, by: Viewer, job_id: PathId) -> JobDetailShape:
    """Show all that is recorded of one job."""
    return JobDetailShape.of(app.history.jobs.job(job_id))


@router.get("/jobs/{job_id}/attempts")
def list_attempts(app: App, by: Viewer, job_id: PathId) -> list[AttemptShape]:
    """List the executions of a job that have ended, in their order."""
    return [AttemptShape.model_validate(one) for one in app.history.jobs.job(job_id).attempts]


@router.post("/jobs/{job_id}/cancel")
def cancel_job(app: App, by: Operator, job_id: PathId) -> OutcomeAnswer:
    """Cancel a job: one that waits never starts, one that runs is interrupted."""
    return OutcomeAnswer.of(app.operations.jobs.cancel(job_id, by=by))


@router.post("/jobs/{job_id}/retry")
def retry_job(app: App, by: Operator, job_id: PathId) -> OutcomeAnswer:
    """Let a job that failed for good run again, with its id and its attempts."""
    return OutcomeAnswer.of(app.operations.jobs.retry(job_id, by=by))


@router.post("/jobs/{job_id}/rerun")
def rerun_job(app: App, by: Operator, job_id: PathId, wanted: Rerun) -> OutcomeAnswer:
    """Queue a new job of the same task, with the same arguments or with others; this one is its parent."""
    outcome = app.operations.jobs.rerun(
        job_id, by=by, args=wanted.args, kwargs=wanted.kwargs, queue=wanted.queue, new_id=wanted.id
    )
    return OutcomeAnswer.of(outcome)


@router.delete("/jobs/{job_id}")
def delete_job(app: App, by: Operator, job_id: PathId) -> OutcomeAnswer:
    """Forget a job that has ended: its history, its result, its dead letter."""
    return OutcomeAnswer.of(app.operations.jobs.delete(job_id, by=by))
