"""Where one job is, what it has logged, and putting a lost one back."""

from __future__ import annotations

from fastapi import APIRouter

from umbel.web.api.answers import PROBLEMS
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.shapes.where import ExecutionLog, WhereShape
from umbel.web.api.values import PathId
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(tags=["jobs"], responses=PROBLEMS)


@router.get("/jobs/{job_id}/where")
def where_is_job(app: App, by: Viewer, job_id: PathId) -> WhereShape:
    """Tell where a job is and why: one answer for any id, an unknown one included; of one that runs where it stands."""
    return WhereShape.model_validate(app.where.find(job_id).as_dict())


@router.get("/jobs/{job_id}/logs")
def list_lines(app: App, by: Viewer, job_id: PathId) -> list[ExecutionLog]:
    """List what a job has logged, by execution, in their order."""
    app.history.jobs.job(job_id)
    return [ExecutionLog.model_validate(one) for one in app.history.lines.of(job_id)]


@router.post("/jobs/{job_id}/put-back")
def put_job_back(app: App, by: Operator, job_id: PathId) -> OutcomeAnswer:
    """Queue a job again that is lost, with its own message."""
    return OutcomeAnswer.of(app.operations.jobs.put_back(job_id, by=by))
