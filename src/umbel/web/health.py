"""``/healthz``: 200 while the store can be read, else 503; says nothing else, so it is for everybody."""

from __future__ import annotations

import logging
from typing import Final

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from umbel.web.signin.people import App

__all__ = ("router",)

logger = logging.getLogger("umbel.web")
router: Final = APIRouter()


@router.get("/healthz")
def health(app: App) -> Response:
    """Tell whether the store can be read."""
    try:
        app.engine.queues()
    except Exception as error:
        logger.error("not healthy: %s", error)
        return JSONResponse({"status": "unavailable"}, 503)
    return JSONResponse({"status": "ok"})
