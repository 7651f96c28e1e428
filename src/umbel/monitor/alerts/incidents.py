"""Incidents: each thing that is wrong, from when it began until it was over, and that it is to be told.

An incident is opened, and ended, in one transaction with the notices of that, one for each channel; of two processes
that look at the same, one opens it. So what is told follows from what is written, whoever dies in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from umbel.monitor.alerts.symptoms import Rule, Symptom
from umbel.monitor.bulk import among
from umbel.monitor.database import Database
from umbel.monitor.names import take_numbers
from umbel.monitor.tables import INCIDENTS, NOTICES
from umbel.monitor.texts import clean

__all__ = ("ENDED", "OPENED", "Incident", "IncidentPage", "Incidents")

OPENED: Final = "opened"
ENDED: Final = "ended"
_PAGE_MOST: Final = 200
_AT_A_TIME: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One thing that is, or was, wrong. Times are unix seconds."""

    number: int
    store: str
    rule: str
    subject: str
    summary: str
    opened_at: float
    ended_at: float | None = None
    acknowledged_at: float | None = None
    acknowledged_by: str | None = None
    #: Channels that have not been told of it, and what the last try of one of them said.
    untold: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    """Some incidents, the newest first; ``next`` is what the next page is ``before``."""

    incidents: tuple[Incident, ...]
    next: int | None


class Incidents:
    """The incidents of a history."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    # -- reading --------------------------------------------------------------------------------------------------

    def find(
        self, *, going_on: bool = False, rule: str | None = None, before: int | None = None, limit: int = 50
    ) -> IncidentPage:
        """Return a page, the newest first; ``going_on``: only those that have not ended. Raises a :exc:`StoreError`."""
        limit = max(1, min(limit, _PAGE_MOST))
        wanted = select(INCIDENTS).order_by(INCIDENTS.c.number.desc()).limit(limit)
        if going_on:
            wanted = wanted.where(INCIDENTS.c.ended_at.is_(None))
        if rule is not None:
            wanted = wanted.where(INCIDENTS.c.rule == rule)
        if before is not None:
            wanted = wanted.where(INCIDENTS.c.number < before)
        with self._database.reading() as connection:
            found = _shown(connection, connection.execute(wanted).all())
        return IncidentPage(incidents=found, next=found[-1].number if len(found) == limit else None)

    def get(self, number: int) -> Incident | None:
        """Return one; None when there is none of this number, or not any more."""
        with self._database.reading() as connection:
            rows = connection.execute(select(INCIDENTS).where(INCIDENTS.c.number == number)).all()
            return next(iter(_shown(connection, rows)), None)

    def counts(self) -> dict[str, int]:
        """Return how many go on, by each rule."""
        going_on = select(INCIDENTS.c.rule, func.count()).where(INCIDENTS.c.ended_at.is_(None))
        with self._database.reading() as connection:
            rows = connection.execute(going_on.group_by(INCIDENTS.c.rule)).all()
        found: dict[str, int] = {row[0]: row[1] for row in rows}
        return {rule.value: found.get(rule.value, 0) for rule in Rule}

    # -- writing --------------------------------------------------------------------------------------------------

    def acknowledge(self, number: int, by: str) -> Incident | None:
        """Note that somebody looks after it, and return it; who was first stays. None when there is none."""
        theirs = (INCIDENTS.c.number == number) & INCIDENTS.c.acknowledged_at.is_(None)
        noted = update(INCIDENTS).where(theirs).values(acknowledged_at=time.time(), acknowledged_by=clean(by)[:200])
        self._database.write(lambda connection: connection.execute(noted))
        return self.get(number)

    def open(self, store: str, symptoms: Sequence[Symptom], channels: Iterable[str]) -> int:
        """Open incidents, but for those that go on; return how many are new."""
        if not symptoms:
            return 0
        told = tuple(channels)
        return self._database.write(lambda connection: _open(connection, store, symptoms, told))

    def end(self, incidents: Sequence[Incident], channels: Iterable[str]) -> int:
        """End incidents, but for those that have ended; return how many were."""
        if not incidents:
            return 0
        told = tuple(channels)
        return self._database.write(lambda connection: _end(connection, incidents, told))

    def going_on(self, store: str) -> tuple[Incident, ...]:
        """Return those of one store that have not ended."""
        wanted = select(INCIDENTS).where(INCIDENTS.c.store == store, INCIDENTS.c.ended_at.is_(None))
        with self._database.reading() as connection:
            return tuple(_incident(row) for row in connection.execute(wanted).all())

    def prune(self, before: float) -> int:
        """Drop those that ended before a unix time, with their notices; return how many those were."""
        old = select(INCIDENTS.c.number).where(INCIDENTS.c.ended_at < before).limit(_AT_A_TIME)

        def drop(connection: Connection) -> int:
            numbers = connection.scalars(old).all()
            if numbers:
                connection.execute(delete(NOTICES).where(among(connection, NOTICES.c.incident, numbers)))
                connection.execute(delete(INCIDENTS).where(among(connection, INCIDENTS.c.number, numbers)))
            return len(numbers)

        return self._database.write(drop)


def _open(connection: Connection, store: str, symptoms: Sequence[Symptom], channels: Sequence[str]) -> int:
    # Whoever takes numbers holds off all others who open any.
    first = take_numbers(connection, "incident", len(symptoms)) + 1
    known = select(INCIDENTS.c.rule, INCIDENTS.c.subject)
    rows = connection.execute(known.where(INCIDENTS.c.store == store, INCIDENTS.c.ended_at.is_(None))).all()
    open_now = {(row.rule, row.subject) for row in rows}
    opened: list[int] = []
    for number, one in enumerate(symptoms, first):
        if (one.rule.value, one.subject) not in open_now:
            open_now.add((one.rule.value, one.subject))
            opened.append(number)
            about = {"rule": one.rule.value, "subject": one.subject, "summary": one.summary}
            connection.execute(insert(INCIDENTS).values(number=number, store=store, opened_at=time.time(), **about))
    _tell(connection, opened, OPENED, channels)
    return len(opened)


def _end(connection: Connection, incidents: Sequence[Incident], channels: Sequence[str]) -> int:
    ended = []
    for one in incidents:
        mine = (INCIDENTS.c.number == one.number) & INCIDENTS.c.ended_at.is_(None)
        if connection.execute(update(INCIDENTS).where(mine).values(ended_at=time.time())).rowcount:
            ended.append(one.number)
    _tell(connection, ended, ENDED, channels)
    return len(ended)


def _tell(connection: Connection, incidents: Sequence[int], kind: str, channels: Sequence[str]) -> None:
    rows = [(incident, channel) for incident in incidents for channel in channels]
    if not rows:
        return
    first = take_numbers(connection, "notice", len(rows)) + 1
    usual: dict[str, Any] = {"kind": kind, "due_at": time.time(), "failures": 0, "unsure": 0}
    numbered = [
        {"number": number, "incident": incident, "channel": channel, **usual}
        for number, (incident, channel) in enumerate(rows, first)
    ]
    connection.execute(insert(NOTICES), numbered)


def _shown(connection: Connection, rows: Sequence[Any]) -> tuple[Incident, ...]:
    """Return incidents with what is still to be told of them."""
    numbers = [row.number for row in rows]
    left = select(NOTICES.c.incident, NOTICES.c.channel, NOTICES.c.error, NOTICES.c.done_at)
    untold: dict[int, list[str]] = {}
    errors: dict[int, str] = {}
    for row in connection.execute(left.where(among(connection, NOTICES.c.incident, numbers))).all():
        if row.done_at is None:
            untold.setdefault(row.incident, []).append(row.channel)
        if row.error is not None:
            errors[row.incident] = row.error
    return tuple(
        _incident(row, untold=tuple(sorted(set(untold.get(row.number, ())))), error=errors.get(row.number))
        for row in rows
    )


def _incident(row: Any, **more: Any) -> Incident:
    return Incident(**{column.name: getattr(row, column.name) for column in INCIDENTS.columns}, **more)
