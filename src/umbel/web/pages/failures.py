"""``/failures``: failures that are alike, as one."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from umbel.web.render import render
from umbel.web.signin.people import App, Viewer

__all__ = ("router",)

router: Final = APIRouter()
_MOST: Final = 100


@router.get("/failures")
def failures(request: Request, app: App, by: Viewer) -> Response:
    """Show groups of failures, the largest first."""
    groups = app.history.failures.find(limit=_MOST + 1) if app.settings.history else ()
    return render(
        request,
        "failures.html",
        is_recorded=app.settings.history,
        groups=groups[:_MOST],
        more=len(groups) > _MOST,
    )
