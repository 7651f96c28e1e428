"""What is done to all that fit: how many those are, then, with the mark of that look, the act itself, step by step.

    GET  /api/bulk/jobs?state=failed&task=shop.charge             {"count": 120, "more": false, "mark": "…"}
    POST /api/bulk/jobs/retry?state=failed&task=shop.charge       {"mark": "…"}

A step does a bounded number; while the answer has a `next` mark, the next step is asked for with that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from umbel.monitor.operations import JobSelection, LetterSelection
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.shapes.letters import CanaryShape
from umbel.web.api.shapes.shape import BulkAnswer, OutcomeAnswer, Preview
from umbel.web.api.values import Given, Mark, Name
from umbel.web.api.wanted import JobQuery, LetterQuery, MatchQuery
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(prefix="/bulk", tags=["bulk"], responses=PROBLEMS)


class JobAct(StrEnum):
    """What is done to jobs."""

    CANCEL = "cancel"
    RETRY = "retry"
    RERUN = "rerun"
    DELETE = "delete"


class LetterAct(StrEnum):
    """What is done to dead letters."""

    REPLAY = "replay"
    DROP = "drop"


class QueueAct(StrEnum):
    """What is done to queues."""

    PAUSE = "pause"
    RESUME = "resume"


class Previewed(Given):
    """What was looked at."""

    mark: Mark


class CanaryWanted(Previewed):
    """A replay with care of what was looked at."""

    failure_rate: Annotated[float, Field(ge=0, lt=1, description="It stops when more than this part fails again.")] = (
        0.1
    )
    patience: Annotated[float, Field(ge=1, le=86_400, description="Seconds that a step may take to end.")] = 600


class Names(Given):
    """Names, as the look has told them."""

    names: Annotated[list[Name], Field(min_length=1, max_length=500)]


@router.get("/jobs")
def preview_jobs(app: App, by: Viewer, query: Annotated[JobQuery, Query()]) -> Preview:
    """Tell how many jobs fit now."""
    return Preview.model_validate(app.operations.jobs.preview(query.filter()))


@router.post("/jobs/{act}")
def act_on_jobs(
    app: App, by: Operator, act: JobAct, query: Annotated[JobQuery, Query()], wanted: Previewed
) -> BulkAnswer:
    """Do something to all jobs that fitted when they were looked at, one step of it."""
    jobs = app.operations.jobs
    acts = {
        JobAct.CANCEL: jobs.cancel_all,
        JobAct.RETRY: jobs.retry_all,
        JobAct.RERUN: jobs.rerun_all,
        JobAct.DELETE: jobs.delete_all,
    }
    return BulkAnswer.of(acts[act](JobSelection.marked(query.filter(), wanted.mark), by=by))


@router.get("/dead-letters")
def preview_letters(app: App, by: Viewer, query: Annotated[LetterQuery, Query()]) -> Preview:
    """Tell how many dead letters fit now."""
    return Preview.model_validate(app.operations.letters.preview(query.filter()))


@router.post("/dead-letters/canary", status_code=202)
def begin_canary(app: App, by: Operator, query: Annotated[LetterQuery, Query()], wanted: CanaryWanted) -> CanaryShape:
    """Begin to replay with care what was looked at: one, then 5 in a hundred, then all, unless too many fail again."""
    run = app.operations.letters.begin_canary(
        LetterSelection.marked(query.filter(), wanted.mark),
        by=by,
        failure_rate=wanted.failure_rate,
        patience=wanted.patience,
    )
    return CanaryShape.model_validate(run)


@router.post("/dead-letters/{act}")
def act_on_letters(
    app: App, by: Operator, act: LetterAct, query: Annotated[LetterQuery, Query()], wanted: Previewed
) -> BulkAnswer:
    """Replay or drop all dead letters that fitted when they were looked at, one step of it."""
    letters = app.operations.letters
    acts = {LetterAct.REPLAY: letters.replay_all, LetterAct.DROP: letters.drop_all}
    return BulkAnswer.of(acts[act](LetterSelection.marked(query.filter(), wanted.mark), by=by))


@router.get("/queues")
def preview_queues(app: App, by: Viewer, query: Annotated[MatchQuery, Query()]) -> list[str]:
    """Tell which queues fit a pattern."""
    return list(app.operations.queues.matching(query.match))


@router.post("/queues/{act}")
def act_on_queues(app: App, by: Operator, act: QueueAct, wanted: Names) -> OutcomeAnswer:
    """Pause or resume queues."""
    queues = app.operations.queues
    acts = {QueueAct.PAUSE: queues.pause, QueueAct.RESUME: queues.resume}
    return OutcomeAnswer.of(acts[act](*wanted.names, by=by))


@router.get("/workers")
def preview_workers(app: App, by: Viewer, query: Annotated[MatchQuery, Query()]) -> list[str]:
    """Tell which workers fit a pattern."""
    return list(app.operations.workers.matching(query.match))


@router.post("/workers/drain")
def drain_workers(app: App, by: Operator, wanted: Names) -> OutcomeAnswer:
    """Let workers take no new jobs, end those that run, and go."""
    return OutcomeAnswer.of(app.operations.workers.drain(*wanted.names, by=by))
