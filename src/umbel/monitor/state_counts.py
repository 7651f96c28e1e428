"""How many jobs are in each state, for whoever chooses among them: exact for the few, and enough for the many.

Each state is counted up to ten thousand, by the index that serves it, so that it costs the same over a million jobs.
Two questions are asked for all states: where each count ends, and then the counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ScalarSelect, func, select

from umbel.monitor.database import Database
from umbel.monitor.job_filter import EVERY, JobFilter, Stretch, stretches_of
from umbel.monitor.jobs_view import Count
from umbel.states import JobState

__all__ = ("count_states",)

#: So many jobs of a state are counted, and so many looked at where an index does not tell all.
_MOST: Final = 10_000
_LOOKED_AT: Final = 2000


def count_states(database: Database, wanted: JobFilter = EVERY) -> dict[JobState, Count]:
    """Return how many of the jobs that fit are in each state, whatever states ``wanted`` names."""
    each = [replace(wanted, states=frozenset({state})) for state in JobState]
    with database.reading() as connection:
        stretches = stretches_of(connection, each, looked_at=_LOOKED_AT)
        numbers = connection.execute(select(*map(_counted, stretches))).one()
    return {
        state: Count(min(number, _MOST), more=number > _MOST or stretch.last is not None)
        for state, stretch, number in zip(JobState, stretches, numbers, strict=True)
    }


def _counted(stretch: Stretch) -> ScalarSelect[Any]:
    few = select(stretch.number).where(*stretch.conditions).limit(_MOST + 1).subquery()
    return select(func.count()).select_from(few).scalar_subquery()
