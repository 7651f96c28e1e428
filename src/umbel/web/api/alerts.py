"""Alerts: what is wrong now, and what was."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from umbel.errors import UnknownName
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.cursors import cursor_of, number_in
from umbel.web.api.shapes.alerts import IncidentList, IncidentShape
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.values import Cursor, Given, Name, PageSize
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(prefix="/alerts", tags=["alerts"], responses=PROBLEMS)

_Number = Annotated[int, Path(ge=1, le=2**62)]


class AlertQuery(Given):
    """Which alerts."""

    going_on: Annotated[bool, Field(description="Only those that are not over.")] = False
    rule: Name | None = None
    limit: PageSize = 50
    cursor: Cursor = None


@router.get("")
def list_alerts(app: App, by: Viewer, query: Annotated[AlertQuery, Query()]) -> IncidentList:
    """List what is wrong, and what was, the newest first."""
    before = number_in("alerts", query.cursor)
    page = app.history.incidents.find(going_on=query.going_on, rule=query.rule, before=before, limit=query.limit)
    incidents = [IncidentShape.model_validate(one) for one in page.incidents]
    return IncidentList(alerts=incidents, next=cursor_of("alerts", page.next))


@router.get("/{number}")
def show_alert(app: App, by: Viewer, number: _Number) -> IncidentShape:
    """Show one alert."""
    found = app.history.incidents.get(number)
    if found is None:
        raise UnknownName("alert", str(number))
    return IncidentShape.model_validate(found)


@router.post("/{number}/acknowledge")
def acknowledge_alert(app: App, by: Operator, number: _Number) -> OutcomeAnswer:
    """Say that you look after it; who was first stays."""
    return OutcomeAnswer.of(app.operations.alerts.acknowledge(number, by=by))
