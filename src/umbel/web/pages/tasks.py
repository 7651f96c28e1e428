"""Tasks: what each declares, and how its jobs have fared."""

from __future__ import annotations

import time
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.histograms import BOUNDS
from umbel.monitor.history import History
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.tasks_view import TaskRow, TasksView
from umbel.monitor.totals import SPANS, step_for
from umbel.states import JobState
from umbel.web.charts.bars import histogram
from umbel.web.charts.figure import Figure, Tone
from umbel.web.charts.moments import Moments
from umbel.web.charts.over_time import Series, over_time
from umbel.web.charts.units import Unit
from umbel.web.pages.recorded import recorded
from umbel.web.problems import Problem
from umbel.web.render import render
from umbel.web.signin.people import App, Viewer

__all__ = ("router",)

router: Final = APIRouter()
_FAILURES: Final = 10
Span = Annotated[Literal["hour", "day", "week"], Query()]


@router.get("/tasks")
def tasks(request: Request, app: App, by: Viewer, span: Span = "day") -> Response:
    """Show all tasks."""
    history = recorded(app)
    rows = TasksView(app, history).all(span)
    return render(request, "tasks.html", rows=rows, span=span, spans=tuple(SPANS), is_recorded=history is not None)


@router.get("/tasks/{name:path}")
def task(request: Request, name: str, app: App, by: Viewer, span: Span = "day") -> Response:
    """Show one task."""
    history = recorded(app)
    row = TasksView(app, history).one(name, span)
    if row is None:
        raise Problem(404, "not-found", f"There is no task {name!r}, and no job of it is known.")
    figures = () if history is None else tuple(_figures(history, row, span))
    failed = JobFilter(task=name, states=frozenset({JobState.FAILED}))
    failures = () if history is None else history.jobs.find(failed, limit=_FAILURES).jobs
    return render(
        request, "task.html", row=row, span=span, spans=tuple(SPANS), figures=figures, failures=failures,
        is_recorded=history is not None,
    )  # fmt: skip


def _figures(history: History, row: TaskRow, span: str) -> list[Figure]:
    now, step = time.time(), step_for(SPANS[span])
    points = history.charts.series(since=now - SPANS[span], until=now, step=step, task=row.name)
    moments = Moments(points[0].start if points else int(now), step, len(points))
    ended = (
        Series(name="succeeded", tone=Tone.GOOD, values=[one.counts["succeeded"] for one in points], filled=True),
        Series(name="failed", tone=Tone.BAD, values=[one.counts["failed"] for one in points], filled=True),
    )
    lengths = (
        Series(name="waited, p95", tone=Tone.WAIT, values=[one.waited_p95 for one in points]),
        Series(name="ran, p95", tone=Tone.PLAIN, values=[one.ran_p95 for one in points]),
    )
    found = [
        over_time(id="ended", title="Jobs that ended", moments=moments, series=ended),
        over_time(id="lengths", title="Waits and runs", moments=moments, series=lengths, unit=Unit.SECONDS),
    ]
    if row.total is not None:
        found += [
            histogram(id=name, title=title, bounds=BOUNDS, counts=counts, tone=tone)
            for name, title, counts, tone in (
                ("waits", "How long they waited", row.total.waited.counts, Tone.WAIT),
                ("runs", "How long they ran", row.total.ran.counts, Tone.PLAIN),
            )
        ]
    return found
