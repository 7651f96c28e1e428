"""Batches: how far each is, its members and its callbacks; to cancel."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.batches_view import BatchesView
from umbel.states import JobState
from umbel.web.pages.acting import act
from umbel.web.pages.recorded import recorded
from umbel.web.render import render
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router: Final = APIRouter()


@router.get("/batches")
def batches(request: Request, app: App, by: Viewer, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """Show the newest batches."""
    rows = BatchesView(app, None).newest(limit)
    return render(request, "batches.html", rows=rows, limit=limit)


@router.get("/batches/{batch_id:path}")
def batch(
    request: Request,
    batch_id: str,
    app: App,
    by: Viewer,
    state: JobState | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Show one batch."""
    found = BatchesView(app, recorded(app)).one(batch_id, state=state, before=before)
    return render(request, "batch.html", batch=found, state=state, states=tuple(JobState), before=before)


@router.post("/batches/{batch_id:path}/cancel")
def cancel(request: Request, batch_id: str, app: App, by: Operator) -> Response:
    """Cancel a batch."""
    return act(request, f"/batches/{batch_id}", lambda: app.operations.batches.cancel(batch_id, by=by))
