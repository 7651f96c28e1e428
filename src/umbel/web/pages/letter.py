"""``/dead/{key}``: one dead letter, with every attempt, and what may be done to it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from umbel.engine.failures import failures_in
from umbel.errors import JobNotFound
from umbel.monitor.messages import told_by
from umbel.web.pages.json_text import pretty
from umbel.web.pages.posted import Posted, field
from umbel.web.problems import Problem
from umbel.web.render import go_on, render
from umbel.web.signin.people import App, Operator, Viewer

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("router",)

router: Final = APIRouter()


@router.get("/dead/{key:path}")
def letter(request: Request, key: str, app: App, by: Viewer) -> Response:
    """Show one dead letter. Raises :exc:`LetterNotFound`."""
    found = app.dead_letters.show(key)
    return render(
        request,
        "letter.html",
        letter=found,
        failures=failures_in(found.failures),
        # As the history would keep them: nothing of a message that is encrypted.
        arguments=pretty(told_by(found.payload).arguments),
        is_recorded=_is_recorded(app, found.task_id),
    )


@router.post("/dead/{key:path}")
def act_on_letter(request: Request, key: str, app: App, by: Operator, form: Posted) -> Response:
    """Do to one letter what its page offers."""
    match field(form, "act"):
        case "replay":
            done = app.operations.letters.replay(key, by=by)
            # Its success drops the letter at once.
            path = f"/jobs/{done.target}" if _is_recorded(app, done.target) else "/dead"
            return go_on(request, path, said=done.text)
        case "drop":
            done = app.operations.letters.drop(key, by=by)
            return go_on(request, "/dead", said=done.text)
        case act:
            raise Problem(422, "unknown-action", f"There is no action {act[:40]!r} for a dead letter.")


def _is_recorded(app: Umbel, task_id: str | None) -> bool:
    if task_id is None or not app.settings.history:
        return False
    with contextlib.suppress(JobNotFound):
        app.history.jobs.job(task_id)
        return True
    return False
