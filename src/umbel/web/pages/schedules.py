"""Schedules: what is dispatched by itself, when it ran and when it is due; to run now."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.schedules_view import SchedulesView
from umbel.web.pages.acting import act
from umbel.web.pages.fields import Name
from umbel.web.render import render
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router: Final = APIRouter()


@router.get("/schedules")
def schedules(request: Request, app: App, by: Viewer) -> Response:
    """Show the schedule."""
    return render(request, "schedules.html", schedules=SchedulesView(app).read())


@router.post("/schedules/run")
def run(request: Request, app: App, by: Operator, name: Name) -> Response:
    """Dispatch the job of an entry now."""
    return act(request, "/schedules", lambda: app.operations.schedules.run_now(name, by=by))
