"""Workflows: a job with all that came of the same root, and with its group, as the history knows them.

Bounded to a hundred jobs, however many there are: the job itself with its ancestors and its first children, members of
their groups with what came of them, and of the others those that were dispatched first. Costs a few looks into indexes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, or_, select

from umbel.errors import JobNotFound
from umbel.monitor.bulk import among
from umbel.monitor.database import Database
from umbel.monitor.jobs_view import NARROW, Count, JobRow, shown
from umbel.monitor.tables import JOBS

__all__ = ("JOBS_MOST", "Workflow", "Workflows")

#: So many jobs of a workflow are read.
JOBS_MOST: Final = 100
_CHILDREN_MOST: Final = 30
_GROUP_MOST: Final = 50
#: Of so many jobs it is looked what came of them.
_LOOKS_MOST: Final = 200
_ANCESTORS_MOST: Final = 20
_COUNT_MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """Jobs of one root, in the order in which they were dispatched."""

    #: The root's id; it need not be among them.
    root: str
    jobs: tuple[JobRow, ...]
    #: How many more there are.
    left_out: Count

    @property
    def is_single(self) -> bool:
        """Whether there is but one job, so that there is nothing to draw."""
        return len(self.jobs) == 1 and not self.left_out.number


class Workflows:
    """Reads workflows."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def of(self, task_id: str) -> Workflow:
        """Return the workflow that a job belongs to. Raises :exc:`JobNotFound`."""
        with self._database.reading() as connection:
            own = next(_rows(connection, JOBS.c.task_id == task_id, 1), None)
            if own is None:
                raise JobNotFound(task_id)
            root = own.root_id or task_id
            found = _unlike(_wanted(connection, own, root))
            jobs = shown(connection, sorted(found, key=lambda row: row.number))
            groups = {one.group_id for one in jobs if one.group_id is not None}
            every = _counted(connection, root, groups)
        known = sum(1 for one in jobs if one.root_id == root or one.group_id in groups)
        return Workflow(root=root, jobs=jobs, left_out=Count(max(0, every.number - known), more=every.more))


def _wanted(connection: Connection, own: Any, root: str) -> Iterator[Any]:
    """Yield what is to be shown, the most telling first."""
    near = [own, *_ancestors(connection, own, root)]
    yield from near
    near += list(_rows(connection, JOBS.c.parent_id == own.task_id, _CHILDREN_MOST))
    # Members of a group that was dispatched by no job have roots of their own.
    for group in sorted({row.group_id for row in near if row.group_id is not None}):
        near += _rows(connection, JOBS.c.group_id == group, _GROUP_MOST)
    yield from near
    yield from _descendants(connection, [row.task_id for row in near])
    yield from _rows(connection, JOBS.c.root_id == root, JOBS_MOST)


def _ancestors(connection: Connection, own: Any, root: str) -> Iterator[Any]:
    yield from _rows(connection, JOBS.c.task_id == root, 1)
    parent, number = own.parent_id, 0
    while parent is not None and parent != root and number < _ANCESTORS_MOST:
        above = next(_rows(connection, JOBS.c.task_id == parent, 1), None)
        if above is None:
            return
        yield above
        parent, number = above.parent_id, number + 1


def _descendants(connection: Connection, ids: Sequence[str]) -> Iterator[Any]:
    """Yield what came of jobs, what came of that, and so on."""
    todo = list(ids)
    # One look each: an index gives the first of a million children, but not those of several jobs in their order.
    for number in range(_LOOKS_MOST):
        if number >= len(todo):
            return
        for row in _rows(connection, JOBS.c.parent_id == todo[number], JOBS_MOST):
            yield row
            if row.task_id not in todo:
                todo.append(row.task_id)


def _rows(connection: Connection, condition: ColumnElement[bool], limit: int) -> Iterator[Any]:
    found = select(*NARROW).where(condition).order_by(JOBS.c.number).limit(limit)
    yield from connection.execute(found).all()


def _unlike(rows: Iterable[Any]) -> list[Any]:
    """Return the first rows of different jobs."""
    found: dict[int, Any] = {}
    for row in rows:
        found.setdefault(row.number, row)
        if len(found) >= JOBS_MOST:
            break
    return list(found.values())


def _counted(connection: Connection, root: str, groups: set[str]) -> Count:
    """Return how many jobs came of ``root``, or are members of ``groups``."""
    theirs = or_(JOBS.c.root_id == root, among(connection, JOBS.c.group_id, sorted(groups)))
    few = select(JOBS.c.number).where(theirs).limit(_COUNT_MOST + 1).subquery()
    number = connection.scalar(select(func.count()).select_from(few)) or 0
    return Count(min(number, _COUNT_MOST), more=number > _COUNT_MOST)
