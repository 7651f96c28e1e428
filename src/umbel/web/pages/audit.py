"""The audit log: who did what, with filters in the address."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.audit import AuditFilter
from umbel.web.problems import Problem
from umbel.web.render import render
from umbel.web.signin.people import App

__all__ = ("router",)

router: Final = APIRouter()
_Text = Annotated[str, Query(max_length=200)]
_Number = Annotated[int | None, Query(ge=1, le=2**62)]


@router.get("/audit")
def audit(
    request: Request,
    app: App,
    actor: _Text = "",
    action: _Text = "",
    target: _Text = "",
    text: _Text = "",
    since: _Text = "",
    until: _Text = "",
    failed: bool = False,
    before: _Number = None,
) -> Response:
    """Show a page of it."""
    wanted = AuditFilter(
        actor=actor or None,
        action=action or None,
        target=target or None,
        text=text or None,
        since=_start(since),
        until=_start(until, days=1),
        failed=failed,
    )
    log = app.history.audit
    return render(
        request,
        "audit.html",
        page=log.find(wanted, before=before),
        actors=log.actors(),
        actions=log.actions(),
        wanted={"actor": actor, "action": action, "target": target, "text": text, "since": since, "until": until},
        failed=failed,
        before=before,
        filtered=wanted != AuditFilter(),
    )


def _start(day: str, days: int = 0) -> float | None:
    """Return when a day began, in UTC, or how many ``days`` later; None for no day."""
    if not day:
        return None
    try:
        found = date.fromisoformat(day) + timedelta(days=days)
    except (ValueError, OverflowError):
        raise Problem(422, "invalid-request", f"{day!r} is no day: write it as 2026-01-31.") from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()
