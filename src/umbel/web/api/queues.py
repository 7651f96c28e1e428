"""Queues and limits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from umbel.errors import UnknownName
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.shapes.queues import LimitShape, QueueShape
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.values import Given, PathName, Text
from umbel.web.api.views import SeenQueues
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(tags=["queues"], responses=PROBLEMS)


class Purge(Given):
    """What may be dropped at most."""

    expected: Annotated[
        int | None,
        Field(
            ge=0,
            le=10**12,
            description="How many wait as far as you know: with more nothing is dropped, unless `upto` says which.",
        ),
    ] = None
    upto: Annotated[
        int | None,
        Field(ge=0, le=2**62, description="The queue's `mark` when you looked: what was queued after it stays."),
    ] = None


class LimitChange(Given):
    """What is to hold."""

    rate: Annotated[Text, Field(min_length=1, description="`100/m`, a number of slots, or `none` to lift it.")]
    burst: Annotated[int, Field(ge=0, le=100_000, description="Make it a token bucket of this size.")] = 0


@router.get("/queues")
def list_queues(seen: SeenQueues, by: Viewer) -> list[QueueShape]:
    """List all queues, those that nobody consumes first."""
    return [QueueShape.of(one) for one in seen.all()]


@router.get("/queues/{name}")
def show_queue(seen: SeenQueues, by: Viewer, name: PathName) -> QueueShape:
    """Show one queue."""
    found = seen.one(name)
    if found is None:
        raise UnknownName("queue", name)
    return QueueShape.of(found)


@router.post("/queues/{name}/pause")
def pause_queue(app: App, by: Operator, name: PathName) -> OutcomeAnswer:
    """Let nobody on any host take a job from a queue until it is resumed."""
    return OutcomeAnswer.of(app.operations.queues.pause(name, by=by))


@router.post("/queues/{name}/resume")
def resume_queue(app: App, by: Operator, name: PathName) -> OutcomeAnswer:
    """Let a queue be taken from again."""
    return OutcomeAnswer.of(app.operations.queues.resume(name, by=by))


@router.post("/queues/{name}/purge")
def purge_queue(app: App, by: Operator, name: PathName, wanted: Purge) -> OutcomeAnswer:
    """Drop what waits in a queue, delayed included; running jobs go on."""
    return OutcomeAnswer.of(app.operations.queues.purge(name, by=by, expected=wanted.expected, upto=wanted.upto))


@router.get("/limits", tags=["limits"])
def list_limits(app: App, by: Viewer) -> list[LimitShape]:
    """List all limits, with what waits for them."""
    return [LimitShape.model_validate(one) for one in app.limits.status()]


@router.put("/limits/{name}", tags=["limits"])
def change_limit(app: App, by: Operator, name: PathName, wanted: LimitChange) -> OutcomeAnswer:
    """Change a limit for the whole fleet, until it is reset: that of a task, `queue:NAME`, or one of the list."""
    return OutcomeAnswer.of(app.operations.limits.change(name, wanted.rate, burst=wanted.burst, by=by))


@router.delete("/limits/{name}", tags=["limits"])
def reset_limit(app: App, by: Operator, name: PathName) -> OutcomeAnswer:
    """Let what is declared hold again."""
    return OutcomeAnswer.of(app.operations.limits.reset(name, by=by))
