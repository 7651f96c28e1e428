"""What handlers of the dashboard and the API ask for.

    @router.post("/queues/{name}/pause")
    def pause(name: str, app: App, by: Operator) -> Response: ...

``Viewer`` and ``Operator`` are the :class:`Actor` who asks; an ``Operator`` may act, others get 403. Beside that
every request of the site that is not safe (POST, PUT, PATCH, DELETE) needs an operator and is checked for forgery, by
:func:`protect`, whatever its handler asks for. ``App`` is the application whose jobs are shown.
"""

from __future__ import annotations

import logging
from typing import Annotated, Final

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from umbel.app import Umbel
from umbel.errors import UmbelError
from umbel.monitor.actors import Actor
from umbel.web.problems import Problem
from umbel.web.signin.forgery import SAFE, check_forgery
from umbel.web.signin.next_page import path_of

__all__ = ("App", "Operator", "Viewer", "operator", "protect", "viewer")

logger = logging.getLogger("umbel.web")

#: What changes nothing but what the asking browser itself keeps.
_OWN_AFFAIRS: Final = frozenset({"/signin", "/signout", "/theme"})


def viewer(request: Request) -> Actor:
    """Return who asks. Raises a :exc:`Problem` (401) where nobody was let in."""
    actor: Actor | None = getattr(request.state, "actor", None)
    if actor is None:
        raise Problem(401, "not-signed-in", "Sign in, or send a token: 'Authorization: Bearer TOKEN'.")
    return actor


def operator(request: Request) -> Actor:
    """Return who asks, if they may act. Raises a :exc:`Problem` (403)."""
    actor = viewer(request)
    if not actor.may_act:
        raise Problem(403, "not-permitted", f"{actor.name} may look and not act: that needs the role operator.")
    return actor


async def protect(request: Request) -> None:
    """Let nothing be changed by who may not, or by a forged request. A dependency of the whole site."""
    if request.method in SAFE:
        return
    if path_of(request.scope) not in _OWN_AFFAIRS:
        if not viewer(request).may_act:
            await run_in_threadpool(_note_refusal, request)
        operator(request)
    await check_forgery(request)


def _note_refusal(request: Request) -> None:
    """Write down that somebody wanted to act who may not; what they wanted goes by its address."""
    try:
        target = f"{request.method} {path_of(request.scope)}"
        _app(request).history.audit.write(viewer(request), "web.act", target, outcome="refused")
    except UmbelError as error:
        # They are refused all the same.
        logger.error("The audit log could not be written: %s", error)


def _app(request: Request) -> Umbel:
    app: Umbel = request.app.state.site.app
    return app


App = Annotated[Umbel, Depends(_app)]
Viewer = Annotated[Actor, Depends(viewer)]
Operator = Annotated[Actor, Depends(operator)]
