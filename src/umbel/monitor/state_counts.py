"""How many jobs are in each state, for whoever chooses among them: exact for the few, and enough for the many.

Each state is counted up to ten thousand, by the index that serves it, so that it costs the same over a million jobs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, func, select

from umbel.monitor.database import Database
from umbel.monitor.job_filter import EVERY, JobFilter, Times, stretch_of, times_of
from umbel.monitor.jobs_view import Count
from umbel.states import JobState

__all__ = ("count_states",)

#: So many jobs of a state are counted, and so many looked at where an index does not tell all.
_MOST: Final = 10_000
_LOOKED_AT: Final = 2000


def count_states(database: Database, wanted: JobFilter = EVERY) -> dict[JobState, Count]:
    """Return how many of the jobs that fit are in each state, whatever states ``wanted`` names."""
    with database.reading() as connection:
        times = times_of(connection, wanted)
        return {state: _counted(connection, replace(wanted, states=frozenset({state})), times) for state in JobState}


def _counted(connection: Connection, wanted: JobFilter, times: Times) -> Count:
    stretch = stretch_of(connection, wanted, None, looked_at=_LOOKED_AT, times=times)
    few = select(stretch.number).where(*stretch.conditions).limit(_MOST + 1).subquery()
    number = connection.scalar(select(func.count()).select_from(few)) or 0
    return Count(min(number, _MOST), more=number > _MOST or stretch.last is not None)
