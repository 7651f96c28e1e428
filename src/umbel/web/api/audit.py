"""The audit log: who did what to what, when, and how it ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from umbel.monitor.audit import AuditFilter
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.cursors import cursor_of, number_in
from umbel.web.api.shapes.audit import AuditEntryShape, AuditList
from umbel.web.api.values import Cursor, Given, Moment, Name, PageSize, Text
from umbel.web.signin.people import App, Viewer

__all__ = ("router",)

router = APIRouter(tags=["audit"], responses=PROBLEMS)


class AuditQuery(Given):
    """Which entries: those that fit everything that is given."""

    actor: Name | None = None
    action: Annotated[Name | None, Field(description="A whole word, or what stands before its dot.")] = None
    target: Name | None = None
    since: Moment | None = None
    until: Moment | None = None
    failed: Annotated[bool, Field(description="Only what was not done.")] = False
    text: Text | None = None
    limit: PageSize = 50
    cursor: Cursor = None


@router.get("/audit")
def list_audit(app: App, by: Viewer, query: Annotated[AuditQuery, Query()]) -> AuditList:
    """List what was done, and what was refused or has failed, the newest first."""
    values = query.model_dump(exclude={"limit", "cursor"})
    before = number_in("audit", query.cursor)
    page = app.history.audit.find(AuditFilter(**values), before=before, limit=query.limit)
    return AuditList(entries=[AuditEntryShape.of(entry) for entry in page.entries], next=cursor_of("audit", page.next))
