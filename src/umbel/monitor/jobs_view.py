"""Reading the history: pages of jobs, one job with all that belongs to it, and how many there are.

A page is cut by number, the newest first, and looks at no more than 10,000 rows: where only few of them fit, it ends
earlier, and says where the next one begins. So a page over a million jobs takes as long as one over ten thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from umbel.errors import JobNotFound
from umbel.monitor.database import Database
from umbel.monitor.job_filter import EVERY, JobFilter, stretch_of
from umbel.monitor.names import Names
from umbel.monitor.tables import ATTEMPTS, JOBS, MESSAGES, TAGS
from umbel.states import JobState

__all__ = ("NARROW", "Count", "JobDetails", "JobPage", "JobRow", "JobsView", "PastAttempt", "shown")

_PAGE_MOST: Final = 500
_COUNT_MOST: Final = 10_000
_FAMILY_MOST: Final = 100
_WIDE: Final = frozenset({"arguments", "result"})
#: The columns that a row of a list needs.
NARROW: Final = tuple(one for one in JOBS.columns if one.name not in _WIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job as lists show it. Times are unix seconds, ``waited`` and ``ran`` seconds."""

    number: int
    id: str
    state: JobState
    task: str | None
    queue: str | None
    worker: str | None
    release: str | None
    priority: int
    queued_at: float
    #: When its present message was queued; None where nothing tells.
    message_at: float | None
    due_at: float | None
    started_at: float | None
    ended_at: float | None
    waited: float | None
    ran: float | None
    attempts: int
    replays: int
    owner: str | None
    parent_id: str | None
    root_id: str | None
    group_id: str | None
    batch_id: str | None
    error_type: str | None
    error_message: str | None
    fingerprint: str | None
    #: JSON: done, total, message.
    progress: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, the newest first."""

    jobs: tuple[JobRow, ...]
    #: The number that the next page is ``before``; None when there is none.
    next: int | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; ``more``: at least so many."""

    number: int
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """One execution that has ended. ``state`` is a job's, or ``interrupted`` or ``deferred``."""

    state: str
    retries: int
    queued_at: float | None
    started_at: float | None
    ended_at: float
    worker: str | None
    release: str | None
    error_type: str | None = None
    error_message: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """All that is known of one job. ``arguments`` and ``result`` are JSON, with an ellipsis where they were cut."""

    job: JobRow
    arguments: str | None
    result: str | None
    tags: tuple[str, ...]
    attempts: tuple[PastAttempt, ...]
    parent: JobRow | None
    #: The first hundred.
    children: tuple[JobRow, ...]
    #: Whether its message is kept, so that it can be queued again.
    has_message: bool


class JobsView:
    """Reads jobs; safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def find(self, wanted: JobFilter = EVERY, *, before: int | None = None, limit: int = 50) -> JobPage:
        """Return a page of the jobs that fit, those whose number is below ``before``, the newest first."""
        limit = max(1, min(limit, _PAGE_MOST))
        with self._database.reading() as connection:
            stretch = stretch_of(connection, wanted, before)
            found = select(*NARROW).where(*stretch.conditions).order_by(*stretch.order).limit(limit)
            rows = connection.execute(found).all()
            return JobPage(
                jobs=shown(connection, rows),
                next=rows[-1].number if len(rows) == limit else stretch.last,
            )

    def count(self, wanted: JobFilter = EVERY, *, before: int | None = None, most: int = _COUNT_MOST) -> Count:
        """Return how many jobs fit, up to ``most``, among those that a page ``before`` a number looks at."""
        with self._database.reading() as connection:
            stretch = stretch_of(connection, wanted, before)
            fitting = select(stretch.number).where(*stretch.conditions).limit(most + 1).subquery()
            number = connection.scalar(select(func.count()).select_from(fitting)) or 0
            return Count(min(number, most), more=number > most or stretch.last is not None)

    def newest(self) -> int:
        """Return the number of the job that was heard of last; 0 if there is none."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.max(JOBS.c.number))) or 0

    def job(self, task_id: str) -> JobDetails:
        """Return all that is known of one job. Raises :exc:`JobNotFound`."""
        with self._database.reading() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.task_id == task_id)).one_or_none()
            if row is None:
                raise JobNotFound(task_id)
            job = shown(connection, [row])[0]
            tags = connection.scalars(select(TAGS.c.tag).where(TAGS.c.job == row.number).order_by(TAGS.c.tag)).all()
            kept = select(func.count()).select_from(MESSAGES).where(MESSAGES.c.job == row.number)
            return JobDetails(
                job=job,
                arguments=row.arguments,
                result=row.result,
                tags=tuple(tags),
                attempts=_attempts(connection, row, job),
                parent=_first(_family(connection, JOBS.c.task_id == row.parent_id)) if row.parent_id else None,
                children=_family(connection, JOBS.c.parent_id == task_id),
                has_message=bool(connection.scalar(kept)),
            )

    def message(self, task_id: str) -> str | None:
        """Return the envelope of a job that has not ended well; None when none is kept."""
        with self._database.reading() as connection:
            found = select(MESSAGES.c.payload).join(JOBS, JOBS.c.number == MESSAGES.c.job)
            return connection.scalar(found.where(JOBS.c.task_id == task_id))


def _family(connection: Connection, condition: ColumnElement[bool]) -> tuple[JobRow, ...]:
    found = select(*NARROW).where(condition).order_by(JOBS.c.number).limit(_FAMILY_MOST)
    return shown(connection, connection.execute(found).all())


def _first(rows: Sequence[JobRow]) -> JobRow | None:
    return rows[0] if rows else None


def _attempts(connection: Connection, row: Any, job: JobRow) -> tuple[PastAttempt, ...]:
    names = Names()
    found = connection.execute(select(ATTEMPTS).where(ATTEMPTS.c.job == row.number).order_by(ATTEMPTS.c.place)).all()
    names.learn(connection, (number for one in found for number in (one.worker, one.release)))
    attempts = [
        PastAttempt(
            worker=names.name(connection, one.worker),
            release=names.name(connection, one.release),
            **{name: getattr(one, name) for name in _ATTEMPT},
        )
        for one in found
    ]
    if job.state is JobState.SUCCEEDED and job.started_at is not None and job.ended_at is not None:
        times: dict[str, Any] = {"queued_at": row.message_at, "started_at": job.started_at, "ended_at": job.ended_at}
        place: dict[str, Any] = {"worker": job.worker, "release": job.release}
        attempts.append(PastAttempt(state=job.state.value, retries=row.retries, **times, **place))
    return tuple(sorted(attempts, key=lambda one: one.ended_at))


_ATTEMPT: Final = (
    "state",
    "retries",
    "queued_at",
    "started_at",
    "ended_at",
    "error_type",
    "error_message",
    "traceback",
)
#: What a row shows as it is.
_AS_IT_IS: Final = tuple(
    name for name in JobRow.__dataclass_fields__ if name not in {"id", "state", "task", "queue", "worker", "release"}
)


def shown(connection: Connection, rows: Sequence[Any]) -> tuple[JobRow, ...]:
    """Return rows of :data:`NARROW` as jobs."""
    names = Names()
    names.learn(connection, (number for row in rows for number in (row.task, row.queue, row.worker, row.release)))
    return tuple(
        JobRow(
            id=row.task_id,
            state=JobState(row.state),
            task=names.name(connection, row.task),
            queue=names.name(connection, row.queue),
            worker=names.name(connection, row.worker),
            release=names.name(connection, row.release),
            **{name: getattr(row, name) for name in _AS_IT_IS},
        )
        for row in rows
    )
