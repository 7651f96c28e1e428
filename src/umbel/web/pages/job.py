"""``/jobs/{id}``: one job, with where it is now, every attempt, what it logged, and what may be done to it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from umbel.errors import JobNotFound, StoreError
from umbel.monitor.whereabouts import Place, Whereabouts
from umbel.web.pages.acting import act
from umbel.web.pages.job_life import life_of
from umbel.web.pages.json_text import given_list, given_object, pretty
from umbel.web.pages.posted import Posted, field
from umbel.web.pages.recorded import recorded_now
from umbel.web.pages.workflow import graph_of
from umbel.web.problems import Problem
from umbel.web.render import go_on, render
from umbel.web.signin.people import App, Operator, Viewer

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.history import History
    from umbel.monitor.jobs_view import JobDetails
    from umbel.monitor.operations import Outcome

__all__ = ("router",)

router: Final = APIRouter()
_PLAIN: Final = ("cancel", "retry", "put_back")


@router.get("/jobs/{job_id:path}")
def job(request: Request, job_id: str, app: App, by: Viewer) -> Response:
    """Show one job; of one that is not recorded, or not yet, where it is. Raises :exc:`JobNotFound`."""
    now = recorded_now(app)
    history = now.history
    where = _where(app, job_id, history)
    found = _details(history, job_id, where)
    if history is None or found is None:
        return render(request, "job_live.html", job_id=job_id, where=where, trouble=now.trouble)
    args, kwargs = _arguments(found)
    return render(
        request,
        "job.html",
        where=where,
        found=found,
        life=life_of(found, time.time()),
        arguments=pretty(found.arguments),
        result=pretty(found.result),
        args=args,
        kwargs=kwargs,
        logged=history.lines.of(job_id),
        graph=graph_of(request, history, job_id),
    )


@router.post("/jobs/{job_id:path}")
def act_on_job(request: Request, job_id: str, app: App, by: Operator, form: Posted) -> Response:
    """Do to one job what its page offers."""
    word, own = field(form, "act"), f"/jobs/{job_id}"
    if word in _PLAIN:
        return act(request, own, lambda: _plain(app, by, word, job_id))
    if word == "delete":
        done = app.operations.jobs.delete(job_id, by=by)
        return go_on(request, "/jobs", said=done.text)
    if word == "rerun":
        done = _rerun(app, by, job_id, form)
        return go_on(request, f"/jobs/{done.job_id}", said=done.text)
    raise Problem(422, "unknown-action", f"There is no action {word[:40]!r} for a job.")


def _plain(app: Umbel, by: Actor, word: str, job_id: str) -> Outcome:
    done: Outcome = getattr(app.operations.jobs, word)(job_id, by=by)
    return done


def _rerun(app: Umbel, by: Actor, job_id: str, form: Posted) -> Outcome:
    if not field(form, "edited"):
        return app.operations.jobs.rerun(job_id, by=by)
    args, kwargs = given_list(field(form, "args")), given_object(field(form, "kwargs"))
    return app.operations.jobs.rerun(job_id, by=by, args=args, kwargs=kwargs, queue=field(form, "queue") or None)


def _where(app: Umbel, job_id: str, history: History | None) -> Whereabouts:
    """Return where a job is; while the store is away what the history knows of it is there all the same."""
    try:
        return app.where.find(job_id)
    except StoreError as error:
        if history is None or not _is_known(history, job_id):
            raise
        text = f"Where it is now cannot be told. {error}"
        return Whereabouts(id=job_id, place=Place.UNKNOWN, code="unknown", text=text)


def _is_known(history: History, job_id: str) -> bool:
    try:
        history.jobs.job(job_id)
    except JobNotFound:
        return False
    return True


def _details(history: History | None, job_id: str, where: Whereabouts) -> JobDetails | None:
    """Return what the history has of a job; None where it is known without that. Raises :exc:`JobNotFound`."""
    try:
        if history is None:
            raise JobNotFound(job_id)
        return history.jobs.job(job_id)
    except JobNotFound:
        if where.place is Place.UNKNOWN:
            raise
        return None


def _arguments(found: JobDetails) -> tuple[str, str]:
    """Return the arguments as somebody may edit them; empty ones where they are not known whole."""
    try:
        args, kwargs = json.loads(found.arguments or "[[],{}]")
    except (ValueError, TypeError):
        args, kwargs = [], {}
    return _written(args), _written(kwargs)


def _written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
