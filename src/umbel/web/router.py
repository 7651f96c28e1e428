"""The jobs' router: status, result, live events and cancel, ready to be included in a FastAPI application.

    api.include_router(jobs.router(owner=lambda request: request.state.user))

    GET    /jobs/{id}          200 its status, 404
    GET    /jobs/{id}/result   200 its result, 409 not finished yet (Retry-After), 410 ended without one, 404
    GET    /jobs/{id}/events   server-sent events until it has finished, 204 nothing more to come, 404, 503
    GET    /jobs/batches/{id}  200 how far a batch is, 404
    DELETE /jobs/{id}          200 cancelled, 202 it ran and is being interrupted, 409 ended otherwise, 404

Errors are problem documents. A job of someone else answers like an unknown one. The store is read in threads, never
on the event loop; one watcher a process reads for all streams.
"""

# No postponed annotations here: FastAPI reads those of the inner functions, which refer to local names.
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse

from umbel.states import JobState
from umbel.web.batches import add_batch
from umbel.web.documents import CancelDocument, JobDocument, ProblemDocument, ResultDocument
from umbel.web.ownership import (
    EVERY_OWNER,
    Dependency,
    EveryOwner,
    caller_of,
    dependency,
    may_see,
    refuse_open_mount,
)
from umbel.web.problems import NO_STORE, SOON, Answer, Problem, ProblemRoute, ask_store, not_found
from umbel.web.sight import Sight
from umbel.web.stream import EVENT_STREAM_HEADERS, Client, events
from umbel.web.watcher import watcher_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.jobs.status import JobStatus

__all__ = ("EVERY_OWNER", "EveryOwner", "build_router")

_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_AT_WORK: Final = frozenset({JobState.RUNNING, JobState.PROGRESS})
_PROBLEM: Final = {"model": ProblemDocument, "content": {"application/problem+json": {}}}


def build_router(
    app: "Umbel",
    *,
    owner: Dependency | None = None,
    guard: Dependency | None = None,
    prefix: str = "/jobs",
    tags: Sequence[str] = ("jobs",),
) -> APIRouter:
    """Return the router of ``app``'s jobs.

    ``owner`` names the caller: a callable ``(request) -> str | None`` or any dependency; jobs dispatched with
    ``owner=`` are shown to that caller only. It may return :data:`EVERY_OWNER` for an operator. ``guard`` is a
    dependency that raises for who may not come in at all; it names nobody, so jobs with an owner stay hidden.

    Raises :class:`~umbel.errors.ConfigurationError` without both, unless ``app.settings.debug``.
    """
    refuse_open_mount(app, owner, guard)
    router = APIRouter(
        prefix=prefix,
        tags=list(tags),
        dependencies=[] if guard is None else [dependency(guard)],
        route_class=ProblemRoute,
        responses={404: {**_PROBLEM, "description": "No such job, or not yours"}},
    )
    caller = caller_of(owner, guard)
    visible = Depends(_visible_job(app, caller))
    _add_status(router, visible)
    add_batch(router, app, caller)
    _add_result(router, visible)
    _add_events(router, visible, app)
    _add_cancel(router, visible, app)
    return router


def _visible_job(app: "Umbel", caller_mark: Any) -> Callable[..., Awaitable["JobStatus"]]:
    async def visible(job_id: str, caller: Any = caller_mark) -> Any:
        if not _JOB_ID.fullmatch(job_id):
            raise not_found()
        job = await ask_store(app.status, job_id)
        if not may_see(caller, job):
            raise not_found()
        return job

    return visible


def _add_status(router: APIRouter, visible: Any) -> None:
    @router.get("/{job_id}", response_model=JobDocument)
    async def job_status(job: Any = visible) -> Response:
        """Return the status of a job."""
        return Answer(await ask_store(job.as_dict), headers=NO_STORE)


def _add_result(router: APIRouter, visible: Any) -> None:
    @router.get(
        "/{job_id}/result",
        response_model=ResultDocument,
        responses={
            409: {**_PROBLEM, "description": "Not finished yet: ask again after Retry-After"},
            410: {**_PROBLEM, "description": "Failed, cancelled or expired: there will be no result"},
        },
    )
    async def job_result(job: Any = visible) -> Response:
        """Return what a job returned; a 200 always carries a result."""
        body = await ask_store(job.as_dict)
        if job.state is JobState.SUCCEEDED:
            return Answer({key: body[key] for key in ("id", "state", "result")}, headers=NO_STORE)
        raise _without_result(body["state"], job.state.finished, body["error"])


def _without_result(state: str, finished: bool, error: str | None) -> Problem:
    if not finished:
        detail = f"The job has not finished yet ({state}): ask again later, or listen to its events."
        return Problem(409, "job-not-finished", detail, retry=SOON, state=state)
    if state == JobState.FAILED:
        return Problem(410, "job-failed", "The job failed, so there is no result.", state=state, error=error)
    return Problem(410, f"job-{state}", f"The job was {state}, so there is no result.", state=state)


def _add_events(router: APIRouter, visible: Any, app: "Umbel") -> None:
    @router.get(
        "/{job_id}/events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "Events until the job has finished"},
            204: {"description": "The job has finished and the client has seen it: do not reconnect"},
            503: {**_PROBLEM, "description": "Too many listeners in this process"},
        },
    )
    async def job_events(job: Any = visible, last_event_id: Annotated[str | None, Header()] = None) -> Response:
        """Stream the changes of a job: `state`, `progress`, at the end `finished`; resumes by `Last-Event-ID`."""
        client = Client(last_event_id)
        sight = await ask_store(Sight.of, job)
        if sight.finished and client.has_seen(sight):
            return Response(status_code=204, headers=NO_STORE)
        watcher = watcher_of(app)
        if watcher.full:
            raise Problem(503, "too-many-listeners", "Too many clients listen here now: poll the status.", retry=SOON)
        return StreamingResponse(
            events(watcher, sight, client), media_type="text/event-stream", headers=EVENT_STREAM_HEADERS
        )


def _add_cancel(router: APIRouter, visible: Any, app: "Umbel") -> None:
    @router.delete(
        "/{job_id}",
        response_model=CancelDocument,
        responses={
            202: {"model": CancelDocument, "description": "It was running and is being interrupted"},
            409: {**_PROBLEM, "description": "It has already succeeded, failed or expired"},
        },
    )
    async def cancel_job(job: Any = visible) -> Response:
        """Cancel a job, durably: one that waits never starts, one that runs is interrupted. Again is no error."""
        code = 202 if job.state in _AT_WORK else 200
        state: JobState = await ask_store(app.cancel, job.id)
        return Answer({"id": job.id, "state": str(state)}, code, headers=NO_STORE)
