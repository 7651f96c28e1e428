"""Workers: to look at, to drain, to give more slots or fewer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from umbel.errors import UnknownName
from umbel.monitor.operations.workers import SLOTS_MOST
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.shapes.shape import OutcomeAnswer
from umbel.web.api.shapes.workers import WorkerDetailShape, WorkerShape
from umbel.web.api.values import Given, PathName
from umbel.web.api.views import SeenWorkers
from umbel.web.signin.people import App, Operator, Viewer

__all__ = ("router",)

router = APIRouter(prefix="/workers", tags=["workers"], responses=PROBLEMS)


class Slots(Given):
    """How many."""

    slots: Annotated[int, Field(ge=1, le=SLOTS_MOST)] = 1


@router.get("")
def list_workers(seen: SeenWorkers, by: Viewer) -> list[WorkerShape]:
    """List the live worker processes, by name."""
    return [WorkerShape.of(one) for one in seen.all()]


@router.get("/{name}")
def show_worker(seen: SeenWorkers, by: Viewer, name: PathName) -> WorkerDetailShape:
    """Show one worker process with the configuration that holds in it."""
    found = seen.one(name)
    if found is None:
        raise UnknownName("worker", name, ": it may have ended")
    return WorkerDetailShape.of(found)


@router.post("/{name}/drain")
def drain_worker(app: App, by: Operator, name: PathName) -> OutcomeAnswer:
    """Let a worker take no new jobs, end those that run, and go."""
    return OutcomeAnswer.of(app.operations.workers.drain(name, by=by))


@router.post("/{name}/grow")
def grow_worker(app: App, by: Operator, name: PathName, wanted: Slots) -> OutcomeAnswer:
    """Let a worker run more jobs at a time, until it ends."""
    return OutcomeAnswer.of(app.operations.workers.grow(name, wanted.slots, by=by))


@router.post("/{name}/shrink")
def shrink_worker(app: App, by: Operator, name: PathName, wanted: Slots) -> OutcomeAnswer:
    """Let a worker run fewer jobs at a time, one at least; running ones go on."""
    return OutcomeAnswer.of(app.operations.workers.shrink(name, wanted.slots, by=by))
