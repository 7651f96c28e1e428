"""How long the history keeps what: by age and by count, for each state, and for each step of the rollups.

Jobs go in steps of a thousand, each a transaction of its own, so that whoever records waits a moment at most; a job
goes with all that hangs on it. A job that has not ended is kept, unless a limit names its state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, select

from umbel.monitor.bulk import among
from umbel.monitor.database import Database
from umbel.monitor.failure_tally import FailureTally
from umbel.monitor.tables import ATTEMPTS, JOBS, LINES, MESSAGES, ROLLUPS, TAGS
from umbel.monitor.turn import take_turn
from umbel.states import JobState

__all__ = ("Limit", "Retention", "drop_ended", "pruning", "usual")

_AT_A_TIME: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long jobs of one state are kept after they ended, and how many of them; None is without end."""

    age: timedelta | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept."""

    jobs: Mapping[JobState, Limit] = field(
        default_factory=lambda: {
            JobState.SUCCEEDED: Limit(age=timedelta(days=7), most=1_000_000),
            JobState.CANCELLED: Limit(age=timedelta(days=7), most=1_000_000),
            JobState.EXPIRED: Limit(age=timedelta(days=7), most=1_000_000),
            JobState.FAILED: Limit(age=timedelta(days=30), most=1_000_000),
        }
    )
    #: By the seconds of a step.
    rollups: Mapping[int, timedelta] = field(
        default_factory=lambda: {60: timedelta(days=2), 3600: timedelta(days=60), 86_400: timedelta(days=730)}
    )


def usual(age: float, failures_age: float, most: int) -> Retention:
    """Return what is kept by three numbers: seconds for what failed and for the rest, and how many of each state."""
    ages = {state: failures_age if state is JobState.FAILED else age for state in JobState if state.finished}
    return Retention(jobs={state: Limit(age=timedelta(seconds=age), most=most) for state, age in ages.items()})


def pruning(database: Database, retention: Retention) -> Iterator[int]:
    """Drop what is above the limits; yield after each transaction how many jobs went with it."""
    now = time.time()
    for state, limit in retention.jobs.items():
        for wanted in _too_many(database, state, limit, now):
            step = _AT_A_TIME
            while step == _AT_A_TIME:
                step = database.write(lambda connection, wanted=wanted: _drop(connection, wanted))  # type: ignore[misc]
                yield step
    for seconds, age in retention.rollups.items():
        old = (ROLLUPS.c.step == seconds) & (ROLLUPS.c.start < now - age.total_seconds())
        database.write(lambda connection, old=old: connection.execute(delete(ROLLUPS).where(old)))  # type: ignore[misc]
    database.give_back()


def _too_many(database: Database, state: JobState, limit: Limit, now: float) -> Iterator[Select[int]]:
    """Yield statements that find the numbers of jobs that are to go."""
    in_state = select(JOBS.c.number).where(JOBS.c.state == state.value)
    if limit.age is not None:
        since = JOBS.c.ended_at if state.finished else JOBS.c.queued_at
        yield in_state.where(since < now - limit.age.total_seconds()).order_by(since)
    if limit.most is not None:
        # Counting as far as the limit is dear: once, and not for each step.
        with database.reading() as connection:
            last = connection.scalar(in_state.order_by(JOBS.c.number.desc()).offset(limit.most).limit(1))
        if last is not None:
            yield in_state.where(JOBS.c.number <= last).order_by(JOBS.c.number)


def drop_ended(database: Database, numbers: Sequence[int]) -> list[str]:
    """Drop those of the jobs with these numbers that have ended, in one transaction; return their ids."""
    ended = [state.value for state in JobState if state.finished]

    def step(connection: Connection) -> list[str]:
        wanted = select(JOBS.c.number, JOBS.c.task_id).where(
            among(connection, JOBS.c.number, list(numbers)), JOBS.c.state.in_(ended)
        )
        take_turn(connection)
        found = connection.execute(wanted).all()
        _drop_these(connection, [row.number for row in found])
        return [row.task_id for row in found]

    return database.write(step)


def _drop(connection: Connection, wanted: Select[int]) -> int:
    take_turn(connection)
    numbers: Sequence[Any] = connection.scalars(wanted.limit(_AT_A_TIME)).all()
    _drop_these(connection, numbers)
    return len(numbers)


def _drop_these(connection: Connection, numbers: Sequence[Any]) -> None:
    if numbers:
        failures = FailureTally()
        failures.leave(connection, numbers)
        failures.write(connection)
        for one in (ATTEMPTS.c.job, TAGS.c.job, MESSAGES.c.job, LINES.c.job, JOBS.c.number):
            connection.execute(delete(one.table).where(among(connection, one, numbers)))
