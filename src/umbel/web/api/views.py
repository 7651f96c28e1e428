"""What reads the live side of an application, one for a site: some of it is kept for seconds, however many look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from umbel.app import Umbel
from umbel.monitor.batches_view import BatchesView
from umbel.monitor.queues_view import QueuesView
from umbel.monitor.schedules_view import SchedulesView
from umbel.monitor.tasks_view import TasksView
from umbel.monitor.workers_view import WorkersView
from umbel.web.pages.recorded import recorded_now
from umbel.web.signin.people import App

__all__ = ("Seen", "SeenQueues", "SeenWorkers", "Views")


@dataclass(frozen=True, slots=True)
class Views:
    """Those of one application."""

    app: Umbel
    batches: BatchesView
    schedules: SchedulesView
    tasks: TasksView

    @classmethod
    def of(cls, app: Umbel) -> Views:
        """Return new ones."""
        history = app.history
        return cls(app, BatchesView(app, history), SchedulesView(app), TasksView(app, history))


def _views(request: Request, app: App) -> Views:
    state = request.app.state
    known: Views | None = getattr(state, "api_views", None)
    if known is None or known.app is not app:
        known = state.api_views = Views.of(app)
    return known


def _workers(request: Request, app: App) -> WorkersView:
    state = request.app.state
    known: WorkersView | None = getattr(state, "workers_view", None)
    if known is None:
        known = state.workers_view = WorkersView(app)
    return known


def _queues(app: App) -> QueuesView:
    return QueuesView(app, recorded_now(app).history)


Seen = Annotated[Views, Depends(_views)]
#: Beside them, because who works, and what waits, is known without the history too.
SeenQueues = Annotated[QueuesView, Depends(_queues)]
SeenWorkers = Annotated[WorkersView, Depends(_workers)]
