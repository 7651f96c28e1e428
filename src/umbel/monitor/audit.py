"""The audit log: who did what to what, when, and how it ended.

    history.audit.write(by, "queue.pause", "mail", outcome="done")
    page = history.audit.find(AuditFilter(actor="ann"), before=None, limit=50)

It stands in the history's database, also where ``UMBEL_HISTORY`` is off and no jobs are recorded. Entries are only ever
added; they go when they are :data:`KEPT` old. ``action`` is a word of ours with a dot (``job.cancel``), ``target`` what
it was done to (an id, a name, a filter in words), ``detail`` what more there is to know, as JSON. No entry holds
arguments, results or tokens. Costs one insert; a page is cut by number and looks at no more than 50,000 entries.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select

from umbel.monitor.actors import Actor
from umbel.monitor.database import Database
from umbel.monitor.names import take_numbers
from umbel.monitor.tables import AUDIT
from umbel.monitor.texts import head, word

__all__ = ("EVERY_ENTRY", "KEPT", "AuditEntry", "AuditFilter", "AuditLog", "AuditPage")

logger = logging.getLogger("umbel.audit")

#: How long entries are kept.
KEPT: Final = timedelta(days=400)
#: The outcome of what was done; anything else says what went wrong.
DONE: Final = "done"
_PAGE_MOST: Final = 500
_LOOKED_AT: Final = 50_000
_TEXT_MOST: Final = 2000
_SEARCH_MOST: Final = 200
_AT_A_TIME: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that somebody did, or tried to do."""

    number: int
    #: Unix seconds.
    at: float
    actor: str
    role: str
    via: str
    action: str
    target: str
    #: A JSON object; None when there was nothing to add.
    detail: str | None
    #: ``done``, ``refused``, or one sentence that says what went wrong.
    outcome: str

    @property
    def succeeded(self) -> bool:
        """Whether it was done."""
        return self.outcome == DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Entries that fit everything that is given. ``action`` may be the word before the dot. Times are unix seconds."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: float | None = None
    until: float | None = None
    #: Only what was not done.
    failed: bool = False
    #: In the target, the detail or the outcome, whatever the case of its letters.
    text: str | None = None


EVERY_ENTRY: Final = AuditFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Some entries, the newest first."""

    entries: tuple[AuditEntry, ...]
    #: The number that the next page is ``before``; None when there is none.
    next: int | None


class AuditLog:
    """Writes and reads entries; safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def write(
        self,
        actor: Actor,
        action: str,
        target: str,
        detail: Mapping[str, Any] | None = None,
        outcome: str = DONE,
        at: float | None = None,
    ) -> None:
        """Add one entry; it is logged too. Raises a :exc:`StoreError` when it cannot be kept."""
        row = {
            "at": time.time() if at is None else at,
            "actor": actor.name,
            "role": actor.role.value,
            "via": actor.via,
            "action": word(action) or "unknown",
            "target": head(target, _TEXT_MOST),
            "detail": _text(detail),
            "outcome": head(outcome, _TEXT_MOST),
        }
        logger.info("%s (%s) %s %r: %s", row["actor"], row["via"], row["action"], row["target"], row["outcome"])
        self._database.write(lambda connection: _insert(connection, row))

    def find(self, wanted: AuditFilter = EVERY_ENTRY, *, before: int | None = None, limit: int = 50) -> AuditPage:
        """Return a page of the entries that fit, those whose number is below ``before``, the newest first."""
        limit = max(1, min(limit, _PAGE_MOST))
        with self._database.reading() as connection:
            newest = before if before is not None else (connection.scalar(select(func.max(AUDIT.c.number))) or 0) + 1
            last = newest - _LOOKED_AT
            looked_at = (AUDIT.c.number < newest, AUDIT.c.number >= last)
            found = select(AUDIT).where(*looked_at, *_conditions(wanted)).order_by(AUDIT.c.number.desc()).limit(limit)
            entries = tuple(AuditEntry(**row._mapping) for row in connection.execute(found))
        more = entries[-1].number if len(entries) == limit else last
        return AuditPage(entries=entries, next=more if more > 1 else None)

    def newest(self) -> int:
        """Return the number of the newest entry; 0 when there is none."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.max(AUDIT.c.number))) or 0

    def actors(self) -> tuple[str, ...]:
        """Return who has done anything lately, by name."""
        return self._words(AUDIT.c.actor)

    def actions(self) -> tuple[str, ...]:
        """Return what has been done lately."""
        return self._words(AUDIT.c.action)

    def _words(self, column: ColumnElement[str]) -> tuple[str, ...]:
        newest = select(column.label("word")).order_by(AUDIT.c.number.desc()).limit(_PAGE_MOST).subquery()
        with self._database.reading() as connection:
            return tuple(sorted(connection.scalars(select(newest.c.word).distinct())))

    def prune(self, age: timedelta = KEPT) -> int:
        """Drop what is older than ``age``; return how many entries those were."""
        old = select(AUDIT.c.number).where(AUDIT.c.at < time.time() - age.total_seconds()).order_by(AUDIT.c.number)
        wanted = delete(AUDIT).where(AUDIT.c.number.in_(old.limit(_AT_A_TIME)))
        dropped, step = 0, _AT_A_TIME
        while step == _AT_A_TIME:
            step = self._database.write(lambda connection: connection.execute(wanted).rowcount)
            dropped += step
        return dropped


def _text(detail: Mapping[str, Any] | None) -> str | None:
    return head(json.dumps(detail, ensure_ascii=False, default=str), _TEXT_MOST) if detail else None


def _insert(connection: Connection, row: Mapping[str, Any]) -> None:
    # Who takes a number holds off all others, so that numbers grow in the order of commits.
    number = take_numbers(connection, "audit", 1) + 1
    connection.execute(insert(AUDIT).values(number=number, **row))


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.actor:
        yield AUDIT.c.actor == wanted.actor
    if wanted.action:
        yield or_(
            AUDIT.c.action == wanted.action,
            AUDIT.c.action.startswith(f"{wanted.action[:_SEARCH_MOST]}.", autoescape=True),
        )
    if wanted.target:
        yield AUDIT.c.target == wanted.target
    if wanted.since is not None:
        yield AUDIT.c.at >= wanted.since
    if wanted.until is not None:
        yield AUDIT.c.at < wanted.until
    if wanted.failed:
        yield AUDIT.c.outcome != DONE
    if wanted.text:
        columns = (AUDIT.c.target, AUDIT.c.detail, AUDIT.c.outcome)
        yield or_(*[one.icontains(wanted.text[:_SEARCH_MOST], autoescape=True) for one in columns])
