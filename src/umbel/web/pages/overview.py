"""The first page: queues, workers and the newest dead letters, as they are now."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from umbel.web.overview import Overview, Reader
from umbel.web.render import render
from umbel.web.signin.people import App

__all__ = ("router",)

router: Final = APIRouter()


@router.get("/")
def overview(request: Request, app: App) -> Response:
    """Show what is going on."""
    seen = Reader(app).overview()
    return render(request, "overview.html", overview=seen, trouble=_trouble(seen))


def _trouble(overview: Overview) -> list[str]:
    """Return what somebody must do something about, the most urgent first."""
    found = []
    waiting = [queue for queue in overview.unserved if queue.ready or queue.delayed]
    if waiting:
        names = [queue.name for queue in waiting]
        listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        found.append(f"No worker consumes {listed}: start one with 'umbel worker -Q {','.join(names)}'.")
    elif not overview.workers:
        found.append("No worker is running: start one with 'umbel worker'.")
    for queue in overview.queues:
        if queue.paused:
            found.append(f"Queue {queue.name} is paused: 'umbel resume {queue.name}' lets its jobs start again.")
    return found
