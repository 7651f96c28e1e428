"""Replays with care as they stand in the history, so that they outlive the process in which they were begun.

    book = CanaryBook(history.database)
    book.add(run, by, store="5f0c", plan=plan, runner="me")
    book.keep(run.id, "me", plan)

One runner at a time goes on with each: it says so by keeping the plan, at least every few seconds. Who has not been
heard of for :data:`SILENT_SECONDS` has ended, and another one may take it over; it keeps nothing any more then. A clock
that is wrong by more than that costs a second runner, which the store's letters keep apart by their numbers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from umbel.jobs.canary import CanaryPlan
from umbel.monitor.actors import Actor, Role
from umbel.monitor.database import Database
from umbel.monitor.tables import CANARIES
from umbel.monitor.texts import head

__all__ = ("SILENT_SECONDS", "CanaryBook", "CanaryRun", "Orphan")

#: For so long a runner may be silent.
SILENT_SECONDS: Final = 20.0
#: So many that have ended are told of.
_KEPT: Final = 50
_WORDS_MOST: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRun:
    """One replay with care, as it is now. Times are unix seconds."""

    id: str
    #: Whoever began it.
    by: str
    #: The filter in words, and how many fitted.
    where: str
    previewed: int
    began: float
    replayed: int = 0
    succeeded: int = 0
    failed: int = 0
    ended: float | None = None
    #: ``done``, ``failed``, ``undecided``, ``stopped``, or ``broken``; None while it goes on.
    end: str | None = None
    #: How many were not replayed.
    left: int | None = None

    @property
    def counts(self) -> str:
        """How far it is."""
        return f"{self.replayed:,} replayed, {self.succeeded:,} succeeded, {self.failed:,} failed again"

    @property
    def text(self) -> str:
        """A sentence for a person."""
        left = "the rest was left alone" if self.left is None else f"{self.left:,} left alone"
        match self.end:
            case None:
                return f"{self.counts}; it goes on."
            case "done":
                return f"{self.counts}; all were replayed."
            case "failed":
                return f"{self.counts}: that is too many, {left}."
            case "undecided":
                return f"{self.counts}: some had not ended in time, {left}."
            case "stopped":
                return f"{self.counts}; it was stopped."
            case _:
                return f"{self.counts}; it could not go on, the log says why."


@dataclass(frozen=True, slots=True)
class Orphan:
    """A canary that was taken over."""

    id: str
    by: Actor
    plan: CanaryPlan


class CanaryBook:
    """The canaries of a history; safe to share among threads. Each method raises a :exc:`StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def add(self, run: CanaryRun, by: Actor, *, store: str, plan: CanaryPlan, runner: str) -> None:
        """Write down one that begins, and forget the oldest of many that have ended."""
        row = {
            "id": run.id,
            "store": store,
            "began": run.began,
            "actor": by.name,
            "role": by.role.value,
            "via": by.via,
            "words": head(run.where, _WORDS_MOST),
            "previewed": run.previewed,
            "plan": _text(plan),
            "stop": False,
            "runner": runner,
            "beat": time.time(),
        }
        self._database.write(lambda connection: _insert(connection, row))

    def all(self) -> tuple[CanaryRun, ...]:
        """Return those that go on, and the last ones that have ended; the newest first."""
        with self._database.reading() as connection:
            found = connection.execute(select(CANARIES).order_by(CANARIES.c.began.desc()).limit(2 * _KEPT))
            return tuple(map(_run, found))

    def get(self, canary_id: str) -> CanaryRun | None:
        """Return one."""
        with self._database.reading() as connection:
            row = connection.execute(select(CANARIES).where(CANARIES.c.id == canary_id)).first()
            return None if row is None else _run(row)

    def stop(self, canary_id: str) -> None:
        """Let its runner end it with its next step."""
        wanted = update(CANARIES).where(CANARIES.c.id == canary_id).values(stop=True)
        self._database.write(lambda connection: connection.execute(wanted))

    def is_stopped(self, canary_id: str) -> bool:
        """Whether somebody wants no more of it."""
        with self._database.reading() as connection:
            return bool(connection.scalar(select(CANARIES.c.stop).where(CANARIES.c.id == canary_id)))

    def keep(self, canary_id: str, runner: str, plan: CanaryPlan) -> bool:
        """Keep how far it is; False when it is another runner's by now, or has ended."""
        return self._change(canary_id, runner, plan=_text(plan), beat=time.time())

    def end(self, canary_id: str, runner: str, plan: CanaryPlan, outcome: str) -> bool:
        """Write down that it is over; False as with :meth:`keep`."""
        left = None if plan.end is None else plan.left
        return self._change(canary_id, runner, plan=_text(plan), ended=time.time(), outcome=outcome, untouched=left)

    def _change(self, canary_id: str, runner: str, **values: Any) -> bool:
        mine = (CANARIES.c.id == canary_id, CANARIES.c.runner == runner, CANARIES.c.ended.is_(None))
        wanted = update(CANARIES).where(*mine).values(**values)
        return bool(self._database.write(lambda connection: connection.execute(wanted).rowcount))

    def take_over(self, store: str, runner: str, *, silent: float = SILENT_SECONDS) -> Orphan | None:
        """Become the runner of one of ``store`` whose own one has been silent for so long; None when there is none."""
        left_alone = (
            CANARIES.c.store == store,
            CANARIES.c.ended.is_(None),
            CANARIES.c.runner != runner,
            CANARIES.c.beat < time.time() - silent,
        )
        # Nearly always there is none, and nobody has to wait for the turn to write.
        with self._database.reading() as connection:
            if connection.scalar(select(CANARIES.c.id).where(*left_alone).limit(1)) is None:
                return None

        def take(connection: Connection) -> Orphan | None:
            row = connection.execute(select(CANARIES).where(*left_alone).order_by(CANARIES.c.began).limit(1)).first()
            if row is None:
                return None
            mine = update(CANARIES).where(CANARIES.c.id == row.id, CANARIES.c.runner == row.runner)
            if not connection.execute(mine.values(runner=runner, beat=time.time())).rowcount:
                return None
            return Orphan(row.id, Actor(row.actor, Role(row.role), row.via), _plan(row.plan))

        return self._database.write(take)


def _insert(connection: Connection, row: dict[str, Any]) -> None:
    ended = select(CANARIES.c.id).where(CANARIES.c.ended.is_not(None)).order_by(CANARIES.c.began.desc())
    old = list(connection.scalars(ended.offset(_KEPT - 1).limit(_KEPT)))
    connection.execute(delete(CANARIES).where(CANARIES.c.id.in_(old)))
    connection.execute(insert(CANARIES).values(row))


def _run(row: Row[Any]) -> CanaryRun:
    step = _plan(row.plan).step
    return CanaryRun(
        id=row.id,
        by=row.actor,
        where=row.words,
        previewed=row.previewed,
        began=row.began,
        replayed=step.replayed,
        succeeded=step.succeeded,
        failed=step.failed,
        ended=row.ended,
        end=row.outcome,
        left=row.untouched,
    )


def _text(plan: CanaryPlan) -> str:
    return msgspec.json.encode(plan).decode()


def _plan(text: str) -> CanaryPlan:
    return msgspec.json.decode(text, type=CanaryPlan)
