"""``/jobs``: the jobs that fit what the address says, and what may be done to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter
from fastapi import Query as Asked
from starlette.requests import Request
from starlette.responses import Response

from umbel.errors import StoreError
from umbel.monitor.operations import JobSelection
from umbel.monitor.state_counts import count_states
from umbel.web.pages.acts import JOB_ACTS, NOTHING_CHOSEN, Act, act_of
from umbel.web.pages.job_query import JOB_FILTERS, TIMES, jobs_meant
from umbel.web.pages.posted import Posted, field
from umbel.web.pages.query import Query
from umbel.web.render import go_back, go_on, render
from umbel.web.signin.people import App, Operator, Viewer

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("router",)

router: Final = APIRouter()
_A_PAGE: Final = 50
_FEW: Final = 10


@router.get("/jobs")
def jobs(
    request: Request,
    app: App,
    by: Viewer,
    act: Annotated[str | None, Asked(max_length=40)] = None,
    chosen: bool = False,
    back: Annotated[str, Asked(alias="next", max_length=4000)] = "/jobs",
) -> Response:
    """Show a page of jobs; with ``act`` what would be done to all that fit, or with ``chosen`` to those of ``id``."""
    query = Query.of(request.query_params.multi_items(), (*JOB_FILTERS, "before"))
    if not app.settings.history:
        return render(request, "jobs_live.html", queues=app.engine.queues())
    if act is not None:
        if chosen and not query.all("id"):
            return go_back(request, back, NOTHING_CHOSEN, wrong=True)
        wanted_act, fixed = act_of(JOB_ACTS, act), query.fixed(*TIMES)
        return _preview(request, app, wanted_act, fixed, app.operations.jobs.preview(jobs_meant(fixed)))
    wanted = jobs_meant(query)
    return render(
        request,
        "jobs.html",
        query=query,
        page=app.history.jobs.find(wanted, before=query.number("before"), limit=_A_PAGE),
        counts=count_states(app.history.database, wanted),
        acts=JOB_ACTS,
        tasks=sorted(name for name in app.tasks if not name.startswith("celery.")),
        queues=_queue_names(app),
    )


def _queue_names(app: Umbel) -> list[str]:
    """Return what may be chosen; nothing while the store is away, which the history does not need."""
    try:
        return sorted(queue.name for queue in app.engine.queues())
    except StoreError:
        return []


@router.post("/jobs")
def act_on_jobs(request: Request, app: App, by: Operator, form: Posted) -> Response:
    """Do to all that fitted a preview what was previewed, one step of it."""
    query = Query.of(form.multi_items(), JOB_FILTERS)
    act = act_of(JOB_ACTS, field(form, "act"))
    selection = JobSelection.marked(jobs_meant(query), field(form, "mark"))
    done = getattr(app.operations.jobs, f"{act.name}_all")(selection, by=by)
    if done.next is not None:
        return _preview(request, app, act, query, done.next, said=(done.text, False))
    return go_on(request, "/jobs", said=done.text, wrong=bool(done.failed), **_given(query))


def _preview(request: Request, app: Umbel, act: Act, query: Query, selection: JobSelection, **more: Any) -> Response:
    shown = len(query.all("id")) or _FEW
    found = app.history.jobs.find(selection.where, before=selection.before or selection.upto + 1, limit=shown)
    return render(
        request, "jobs_act.html", act=act, query=query, given=_given(query), selection=selection, page=found, **more
    )


def _given(query: Query) -> dict[str, Any]:
    """Return filters as parameters of an address."""
    return {name: list(query.all(name)) for name, _ in query.given if name in JOB_FILTERS}
