"""Workers: what each does and how it is configured; to drain, to give more slots or fewer; and the limits of all."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.job_filter import JobFilter
from umbel.states import JobState
from umbel.web.api.views import SeenWorkers
from umbel.web.pages.acting import act
from umbel.web.pages.fields import Name, Rate
from umbel.web.pages.recorded import recorded_now
from umbel.web.problems import Problem
from umbel.web.render import render
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router: Final = APIRouter()
_JOBS: Final = 10
Slots = Annotated[int, Form(ge=1, le=1000)]


@router.get("/workers")
def workers(request: Request, app: App, seen: SeenWorkers, by: Viewer) -> Response:
    """Show all workers, and all limits."""
    return render(request, "workers.html", rows=seen.all(), limits=app.limits.status())


@router.get("/workers/{name:path}")
def worker(request: Request, name: str, app: App, seen: SeenWorkers, by: Viewer) -> Response:
    """Show one worker."""
    row = seen.one(name)
    if row is None:
        raise Problem(404, "not-found", f"There is no worker {name!r} now: it may have ended.")
    found = recorded_now(app)
    failed = JobFilter(worker=name, states=frozenset({JobState.FAILED}))
    jobs = () if found.history is None else found.history.jobs.find(failed, limit=_JOBS).jobs
    return render(request, "worker.html", row=row, failed=jobs, trouble=found.trouble)


@router.post("/workers/{name:path}/drain")
def drain(request: Request, name: str, app: App, by: Operator) -> Response:
    """Let a worker end its jobs and go."""
    return act(request, "/workers", lambda: app.operations.workers.drain(name, by=by))


@router.post("/workers/{name:path}/grow")
def grow(request: Request, name: str, app: App, seen: SeenWorkers, by: Operator, slots: Slots = 1) -> Response:
    """Let a worker run more jobs at a time."""
    answer = act(request, _place(name), lambda: app.operations.workers.grow(name, slots, by=by))
    seen.forget()
    return answer


@router.post("/workers/{name:path}/shrink")
def shrink(request: Request, name: str, app: App, seen: SeenWorkers, by: Operator, slots: Slots = 1) -> Response:
    """Let a worker run fewer jobs at a time."""
    answer = act(request, _place(name), lambda: app.operations.workers.shrink(name, slots, by=by))
    seen.forget()
    return answer


@router.post("/limits")
def change(
    request: Request,
    app: App,
    by: Operator,
    name: Name,
    rate: Rate,
    burst: Annotated[int, Form(ge=0, le=100_000)] = 0,
) -> Response:
    """Change a limit for the whole fleet."""
    return act(request, "/workers", lambda: app.operations.limits.change(name, rate, burst=burst, by=by))


@router.post("/limits/reset")
def reset(request: Request, app: App, by: Operator, name: Name) -> Response:
    """Let what is declared hold again."""
    return act(request, "/workers", lambda: app.operations.limits.reset(name, by=by))


def _place(name: str) -> str:
    return f"/workers/{name}"
