"""The schedule and the tasks of the application."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from umbel.errors import UnknownName
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.shapes.schedules import ScheduleShape, SchedulesShape, TaskShape
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.values import Given, NewId, PathName
from umbel.web.api.views import Seen
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(tags=["schedules"], responses=PROBLEMS)


class SpanQuery(Given):
    """Over which time."""

    span: Annotated[Literal["hour", "day", "week"], Field(description="Over which the sums are.")] = "day"


class RunNow(Given):
    """The job that is made."""

    id: NewId | None = None


@router.get("/schedules")
def list_schedules(views: Seen, by: Viewer) -> SchedulesShape:
    """List the entries of the schedule, those that are due next first."""
    found = views.schedules.read()
    entries = [ScheduleShape.of(entry) for entry in found.entries]
    return SchedulesShape(entries=entries, silent=found.is_silent, left_out=found.left_out)


@router.post("/schedules/{name}/run")
def run_schedule(app: App, by: Operator, name: PathName, wanted: RunNow) -> OutcomeAnswer:
    """Dispatch the job of an entry now; when it is due next does not change."""
    return OutcomeAnswer.of(app.operations.schedules.run_now(name, by=by, job_id=wanted.id))


@router.get("/tasks", tags=["tasks"])
def list_tasks(views: Seen, by: Viewer, query: Annotated[SpanQuery, Query()]) -> list[TaskShape]:
    """List all tasks, with how their jobs have fared."""
    return [TaskShape.of(row) for row in views.tasks.all(query.span)]


@router.get("/tasks/{name}", tags=["tasks"])
def show_task(views: Seen, by: Viewer, name: PathName, query: Annotated[SpanQuery, Query()]) -> TaskShape:
    """Show one task with what it declares."""
    found = views.tasks.one(name, query.span)
    if found is None:
        raise UnknownName("task", name)
    return TaskShape.of(found)
