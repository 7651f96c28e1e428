"""What jobs have logged: a row of the history for each execution that has logged something, with all of its lines.

Costs nothing for a job that logs nothing. A page over jobs never reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import select

from umbel.monitor.database import Database
from umbel.monitor.tables import JOBS, LINES
from umbel.monitor.texts import clean
from umbel.state.events import Line, Lines

__all__ = ("ExecutionLines", "JobLines", "row_of")

_EXECUTIONS_MOST: Final = 100
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[Line, ...]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionLines:
    """What one execution has logged: the first ``head`` of ``lines``, then ``dropped`` more, then the rest of them."""

    #: How many tries came before it.
    retries: int
    ended_at: float
    lines: tuple[Line, ...]
    head: int
    dropped: int


class JobLines:
    """Reads lines; safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def of(self, task_id: str) -> tuple[ExecutionLines, ...]:
        """Return what a job has logged, the newest hundred executions in their order; nothing for an unknown one."""
        wanted = select(LINES).join(JOBS, JOBS.c.number == LINES.c.job).where(JOBS.c.task_id == task_id)
        newest = wanted.order_by(LINES.c.ended_at.desc()).limit(_EXECUTIONS_MOST)
        with self._database.reading() as connection:
            rows = connection.execute(newest).all()
        return tuple(
            ExecutionLines(
                retries=row.retries,
                ended_at=row.ended_at,
                lines=_decode(row.lines),
                head=row.head,
                dropped=row.dropped,
            )
            for row in reversed(rows)
        )


def row_of(job: int, ended_at: float, retries: int, told: Lines) -> tuple[Any, ...]:
    """Return what the end of an execution tells as a row of the table."""
    # Lone surrogates are no JSON.
    lines = [(one.at, clean(one.level), clean(one.logger), clean(one.text)) for one in told.lines]
    return job, ended_at, retries, told.head, told.dropped, _encode(lines).decode()
