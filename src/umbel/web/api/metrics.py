"""Figures over time, out of the rollups: what ended, how long it waited and ran."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from umbel.web.api.answers import PROBLEMS
from umbel.web.api.shapes.metrics import PointShape, SeriesShape
from umbel.web.api.values import Given, Moment, Name
from umbel.web.problems import Problem
from umbel.web.signin.people import App, Viewer

__all__ = ("router",)

router = APIRouter(prefix="/metrics", tags=["metrics"], responses=PROBLEMS)

_STEP_MOST = 366 * 86_400


class SeriesQuery(Given):
    """Which points."""

    since: Annotated[Moment | None, Field(description="Unix seconds; an hour before `until` unless given.")] = None
    until: Annotated[Moment | None, Field(description="Unix seconds; now unless given.")] = None
    step: Annotated[int, Field(ge=60, le=_STEP_MOST, multiple_of=60, description="Seconds between two points.")] = 60
    task: Name | None = None
    queue: Name | None = None


@router.get("/series")
def series(app: App, by: Viewer, query: Annotated[SeriesQuery, Query()]) -> SeriesShape:
    """Tell what happened between two times, step by step; there are points at which nothing happened as well."""
    until = time.time() if query.until is None else query.until
    since = max(0.0, until - 3600) if query.since is None else query.since
    try:
        points = app.history.charts.series(
            since=since, until=until, step=query.step, task=query.task, queue=query.queue
        )
    except ValueError as error:
        raise Problem(422, "invalid-request", str(error)) from error
    return SeriesShape(step=query.step, points=[PointShape.model_validate(point) for point in points])
