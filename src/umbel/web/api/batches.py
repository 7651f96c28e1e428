"""Batches, and workflows as graphs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from umbel.states import JobState
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.cursors import cursor_of, number_in
from umbel.web.api.shapes.batches import BatchDetailShape, BatchShape, CallbackShape, GraphShape
from umbel.web.api.shapes.jobs import JobShape
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.values import Cursor, Given, PathId
from umbel.web.api.views import Seen
from umbel.web.api.wanted import LimitQuery
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(tags=["batches"], responses=PROBLEMS)


class MemberQuery(Given):
    """Which members."""

    state: JobState | None = None
    cursor: Cursor = None


@router.get("/batches")
def list_batches(views: Seen, by: Viewer, query: Annotated[LimitQuery, Query()]) -> list[BatchShape]:
    """List the newest batches."""
    return [BatchShape.model_validate(one) for one in views.batches.newest(query.limit)]


@router.get("/batches/{batch_id}")
def show_batch(views: Seen, by: Viewer, batch_id: PathId, query: Annotated[MemberQuery, Query()]) -> BatchDetailShape:
    """Show one batch with a page of its members."""
    found = views.batches.one(batch_id, state=query.state, before=number_in("jobs", query.cursor))
    page = found.members
    return BatchDetailShape(
        batch=BatchShape.model_validate(found.status),
        opener=found.opener,
        callbacks=[CallbackShape.model_validate(one) for one in found.callbacks],
        members=[] if page is None else [JobShape.of(row) for row in page.jobs],
        next=None if page is None else cursor_of("jobs", page.next),
    )


@router.post("/batches/{batch_id}/cancel")
def cancel_batch(app: App, by: Operator, batch_id: PathId) -> OutcomeAnswer:
    """Cancel a batch: waiting members never start, running ones are stopped."""
    return OutcomeAnswer.of(app.operations.batches.cancel(batch_id, by=by))


@router.get("/workflows/{job_id}", tags=["workflows"])
def show_workflow(app: App, by: Viewer, job_id: PathId) -> GraphShape:
    """Show the workflow that a job belongs to, as nodes and edges: the first hundred of its jobs."""
    return GraphShape.of(app.history.workflows.of(job_id))
