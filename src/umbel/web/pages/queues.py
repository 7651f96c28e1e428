"""Queues: what is in each, how long jobs wait, who consumes it; to pause, to resume, to purge, to limit."""

from __future__ import annotations

import time
from typing import Annotated, Final

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.histograms import BOUNDS
from umbel.monitor.queues_view import LATELY, QueuesView
from umbel.web.charts.bars import histogram
from umbel.web.pages.acting import act
from umbel.web.pages.fields import Mark, Name, Rate, Whole
from umbel.web.pages.recorded import recorded_now
from umbel.web.problems import Problem
from umbel.web.render import go_on, render
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router: Final = APIRouter()


@router.get("/queues")
def queues(request: Request, app: App, by: Viewer) -> Response:
    """Show all queues."""
    found = recorded_now(app)
    rows = QueuesView(app, found.history).all()
    return render(request, "queues.html", rows=rows, is_recorded=found.history is not None, trouble=found.trouble)


@router.get("/queues/{name:path}")
def queue(request: Request, name: str, app: App, by: Viewer) -> Response:
    """Show one queue."""
    found = recorded_now(app)
    row = QueuesView(app, found.history).one(name)
    if row is None:
        raise Problem(404, "not-found", f"There is no queue {name!r}.")
    waits = None
    if row.lately is not None and row.lately.waited.total:
        waits = histogram(id="waits", title="Waits of the last hour", bounds=BOUNDS, counts=row.lately.waited.counts)
    tasks = {}
    if found.history is not None:
        now = time.time()
        tasks = found.history.totals.by("task", since=now - LATELY, until=now, queue=name)
    return render(request, "queue.html", row=row, waits=waits, tasks=tasks, trouble=found.trouble)


@router.post("/queues/{name:path}/pause")
def pause(request: Request, name: str, app: App, by: Operator) -> Response:
    """Let the jobs of a queue wait."""
    return act(request, _place(name), lambda: app.operations.queues.pause(name, by=by))


@router.post("/queues/{name:path}/resume")
def resume(request: Request, name: str, app: App, by: Operator) -> Response:
    """Let the jobs of a queue start again."""
    return act(request, _place(name), lambda: app.operations.queues.resume(name, by=by))


@router.post("/queues/{name:path}/purge")
def purge(
    request: Request,
    name: str,
    app: App,
    by: Operator,
    expected: Whole,
    upto: Mark = None,
    confirm: Name = "",
    everything: Annotated[bool, Form(alias="all")] = False,
) -> Response:
    """Drop what waits in a queue, if its name was typed; unless told otherwise, what was shown."""
    if confirm.strip() != name:
        return go_on(request, _place(name), f"Nothing was dropped: type {name!r} to drop its jobs.", wrong=True)
    bounds = {} if everything else {"expected": expected, "upto": upto}
    return act(request, _place(name), lambda: app.operations.queues.purge(name, by=by, **bounds))


@router.post("/queues/{name:path}/limit")
def limit(
    request: Request, name: str, app: App, by: Operator, rate: Rate, burst: Annotated[int, Form(ge=0, le=100_000)] = 0
) -> Response:
    """Limit how often jobs of a queue start."""
    own = f"queue:{name}"
    return act(request, _place(name), lambda: app.operations.limits.change(own, rate, burst=burst, by=by))


def _place(name: str) -> str:
    return f"/queues/{name}"
