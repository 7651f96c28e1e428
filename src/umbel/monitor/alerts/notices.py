"""What is to be told: taken by one process at a time, until it was told.

A notice is claimed before it is told, and noted after. Who dies between the two leaves a notice that may have been
told: it is told once more, and if nobody knows of that either, it is given up. What has failed for certain is tried
again, with growing pauses, for three days; others do not wait for it, but for what tells that the same incident is
over. A claim, or a pause, that a clock's step has put far into the future counts for nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select, update

from umbel.monitor.alerts.incidents import Incident
from umbel.monitor.database import Database
from umbel.monitor.tables import INCIDENTS, NOTICES
from umbel.plain_text import one_line

__all__ = ("Notice", "Notices")

#: So long a claim holds: longer than any channel takes.
_CLAIM_SECONDS: Final = 120.0
#: So often a notice is told of which nobody knows whether it was.
_UNSURE_MOST: Final = 2
_PAUSES: Final = (5.0, 30.0, 120.0, 600.0)
_GIVE_UP_SECONDS: Final = 3 * 86_400.0
_LOOKED_AT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one channel is to tell. ``id`` stays the same when it is told again."""

    number: int
    #: ``opened`` or ``ended``, or ``test``.
    kind: str
    channel: str
    incident: Incident
    claim: str = ""

    @property
    def id(self) -> str:
        """By what a receiver knows it again."""
        return f"alert-{self.incident.store}-{self.incident.number}-{self.kind}"


class Notices:
    """The notices of one store's incidents."""

    def __init__(self, database: Database, store: str) -> None:
        self._database: Final = database
        self._store: Final = store

    def claim(self, channels: Collection[str]) -> Notice | None:
        """Take the first notice that is due of any of ``channels``; None when there is none. Raises a StoreError."""
        with self._database.reading() as connection:
            if not _first_due(connection, self._store, channels):
                return None
        return self._database.write(lambda connection: self._take(connection, channels))

    def _take(self, connection: Connection, channels: Collection[str]) -> Notice | None:
        for row in _first_due(connection, self._store, channels):
            mine = (NOTICES.c.number == row.number) & NOTICES.c.done_at.is_(None)
            if row.unsure >= _UNSURE_MOST:
                said = "it may have been told twice, and nobody knows: given up"
                connection.execute(update(NOTICES).where(mine).values(done_at=time.time(), error=said))
                continue
            claim = secrets.token_hex(8)
            # Another one may have taken it since it was read.
            still = (NOTICES.c.unsure == row.unsure) & (NOTICES.c.claim.is_not_distinct_from(row.claim))
            taken = update(NOTICES).where(mine, still)
            told = {"claim": claim, "claimed_at": time.time(), "unsure": row.unsure + 1}
            if connection.execute(taken.values(**told)).rowcount:
                return _notice(row, claim)
        return None

    def told(self, notice: Notice) -> None:
        """Note that it was told."""
        self._note(notice, done_at=time.time())

    def failed(self, notice: Notice, reason: str, *, unsure: bool = False) -> None:
        """Note that it was not told, or with ``unsure`` that nobody knows; it is tried again later."""
        self._database.write(lambda connection: _fail(connection, notice, one_line(reason)[:500], unsure=unsure))

    def _note(self, notice: Notice, **values: Any) -> None:
        mine = _claimed(notice)
        self._database.write(lambda connection: connection.execute(update(NOTICES).where(mine).values(**values)))


def _claimed(notice: Notice) -> Any:
    return (NOTICES.c.number == notice.number) & (NOTICES.c.claim == notice.claim)


def _fail(connection: Connection, notice: Notice, reason: str, *, unsure: bool) -> None:
    row = connection.execute(select(NOTICES).where(_claimed(notice))).one_or_none()
    if row is None:
        # Another one has taken it meanwhile.
        return
    now, failures = time.time(), row.failures + 1
    values: dict[str, Any] = {"error": reason, "claim": None, "claimed_at": None, "failures": failures}
    if not unsure:
        values["unsure"] = row.unsure - 1
    values["due_at"] = now + _PAUSES[min(failures, len(_PAUSES)) - 1]
    began = notice.incident.ended_at if notice.kind == "ended" else notice.incident.opened_at
    if now - (began or now) > _GIVE_UP_SECONDS:
        values.update(done_at=now, error=f"given up: {reason}")
    connection.execute(update(NOTICES).where(_claimed(notice)).values(**values))


def _first_due(connection: Connection, store: str, channels: Collection[str]) -> list[Any]:
    """Return of each channel the first notice that is due, and that nobody tells now."""
    columns = [one.label(f"incident_{one.name}") for one in INCIDENTS.columns]
    wanted = select(NOTICES, *columns).join(INCIDENTS, INCIDENTS.c.number == NOTICES.c.incident)
    wanted = wanted.where(NOTICES.c.done_at.is_(None), INCIDENTS.c.store == store).order_by(NOTICES.c.number)
    found = []
    for channel in channels:
        rows = connection.execute(wanted.where(NOTICES.c.channel == channel).limit(_LOOKED_AT)).all()
        first = _first(rows, time.time())
        if first is not None:
            found.append(first)
    return found


def _first(rows: Sequence[Any], now: float) -> Any:
    told_first: set[int] = set()
    for row in rows:
        # That an incident is over is told after that it began.
        if row.incident not in told_first and _is_due(row, now) and not _is_claimed(row, now):
            return row
        told_first.add(row.incident)
    return None


def _is_due(row: Any, now: float) -> bool:
    return bool(row.due_at <= now or row.due_at > now + 2 * _PAUSES[-1])


def _is_claimed(row: Any, now: float) -> bool:
    return row.claimed_at is not None and abs(now - row.claimed_at) < _CLAIM_SECONDS


def _notice(row: Any, claim: str) -> Notice:
    incident = Incident(**{one.name: getattr(row, f"incident_{one.name}") for one in INCIDENTS.columns})
    return Notice(number=row.number, kind=row.kind, channel=row.channel, incident=incident, claim=claim)
