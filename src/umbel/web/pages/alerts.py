"""Alerts: what is wrong now, and what was; to say that somebody looks after it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.alerts.symptoms import Rule
from umbel.web.pages.acting import act
from umbel.web.render import render
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router: Final = APIRouter()
_PAGE: Final = 50
Number = Annotated[int, Path(ge=1, le=2**62)]


@router.get("/alerts")
def alerts(
    request: Request,
    app: App,
    by: Viewer,
    rule: Rule | None = None,
    over: bool = True,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Show incidents, those that go on and, unless ``over`` is false, those that have ended."""
    incidents = app.history.incidents
    page = incidents.find(going_on=not over, rule=None if rule is None else rule.value, before=before, limit=_PAGE)
    return render(
        request,
        "alerts.html",
        page=page,
        counts=incidents.counts(),
        rule=rule,
        over=over,
        before=before,
        is_on=app.settings.history and app.settings.alerts,
    )


@router.post("/alerts/{number}/acknowledge")
def acknowledge(request: Request, number: Number, app: App, by: Operator) -> Response:
    """Say that somebody looks after an incident."""
    return act(request, "/alerts", lambda: app.operations.alerts.acknowledge(number, by=by))
