"""Which jobs of the history are meant, and how the database finds them without looking at all of them.

One of the conditions is looked up in an index, in the order of numbers; the others are looked at on the rows that it
finds, :data:`LOOKED_AT` of them at a time. Numbers grow with time, so a range of times is a range of numbers, found by
bisection.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Column, ColumnElement, Connection, Integer, Select, UnaryExpression, and_, func, or_, select

from umbel.monitor.index_range import HIGHEST, IndexRange
from umbel.monitor.names import Kind, number_of
from umbel.monitor.tables import JOBS, TAGS
from umbel.states import JobState

__all__ = ("EVERY", "LOOKED_AT", "JobFilter", "Stretch", "Times", "stretch_of", "stretches_of", "times_of")

#: The number of a name; 0, which none has, for a name that is not known.
_Numbers: TypeAlias = Callable[[Kind, str], int]
#: Clocks of those who dispatch differ, and stores are read one after the other.
_SLACK: Final = 300.0
_TEXT_MOST: Final = 200
#: So many rows one page looks at, and one count.
LOOKED_AT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Jobs that fit everything that is given. Times are unix seconds."""

    #: Those that somebody has chosen, by their ids.
    ids: tuple[str, ...] | None = None
    states: frozenset[JobState] = frozenset()
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    owner: str | None = None
    release: str | None = None
    worker: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    batch_id: str | None = None
    fingerprint: str | None = None
    #: Dispatched at this time or later.
    since: float | None = None
    #: Dispatched earlier than this.
    until: float | None = None
    #: Not ended at this time or later.
    ended_until: float | None = None
    #: In the id, the arguments or the error, whatever the case of its letters.
    text: str | None = None
    #: In the arguments: ``name=value`` for a named one, where text needs no quotes; else anything in them.
    argument: str | None = None


EVERY: Final = JobFilter()


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rows that one page looks at: those of an index between two numbers."""

    #: Selects the columns that are asked for, of all rows that fit.
    conditions: tuple[ColumnElement[bool], ...]
    #: The newest first, as the index has them.
    order: tuple[UnaryExpression[Any], ...]
    #: The number of a row: the job's own, or that in the table which is looked up.
    number: ColumnElement[int]
    #: Whether there may be more behind it: the lowest number that it looks at.
    last: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """A range of times as one of numbers."""

    above: int | None
    upto: int | None


def stretch_of(
    connection: Connection,
    wanted: JobFilter,
    before: int | None,
    *,
    looked_at: int | None = None,
    times: Times | None = None,
) -> Stretch:
    """Return what to look at for the page of ``wanted`` that comes ``before`` a number.

    ``looked_at``: so many rows at most, :data:`LOOKED_AT` unless said. ``times`` is what :func:`times_of` has found,
    where that is known already.
    """
    return stretches_of(connection, [wanted], before, looked_at=looked_at, times=times)[0]


def stretches_of(
    connection: Connection,
    several: Sequence[JobFilter],
    before: int | None = None,
    *,
    looked_at: int | None = None,
    times: Times | None = None,
) -> list[Stretch]:
    """Return what to look at for each of ``several`` filters of the same times, with one question for all of them."""
    # The same names stand in all of them.
    number: _Numbers = cache(lambda kind, name: number_of(connection, kind, name) or 0)
    known = times or times_of(connection, several[0])
    parts = [_parts(number, wanted, known, before) for wanted in several]
    by_rows = connection.dialect.name == "postgresql"
    ends = [part.end(looked_at or LOOKED_AT, by_rows=by_rows).scalar_subquery() for part in parts if part.others]
    found = iter(connection.execute(select(*ends)).one() if ends else ())
    return [part.stretch(next(found) if part.others else None, by_rows=by_rows) for part in parts]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a filter says, by how the database finds it."""

    #: By which rows are found.
    range: IndexRange
    #: What leads from the table that is looked up to the jobs.
    joined: tuple[ColumnElement[bool], ...]
    #: Which jobs, where they are chosen; their own index finds them.
    chosen: tuple[ColumnElement[bool], ...]
    #: What is looked at on those rows.
    others: tuple[ColumnElement[bool], ...]

    def end(self, looked_at: int, *, by_rows: bool) -> Select[Any]:
        """Return what tells the lowest number that a page looks at; NULL, or less than two, if it comes to the end."""
        number, there = self.range.number, self.range.conditions(by_rows=by_rows)
        if self.range.column is None and not self.chosen:
            # All rows, so that there are no more of them than numbers.
            return select(func.max(number) - (looked_at - 1)).where(*there)
        return select(number).where(*self.chosen, *there).order_by(*self.range.order).offset(looked_at - 1).limit(1)

    def stretch(self, end: int | None, *, by_rows: bool) -> Stretch:
        """Return it down to the number ``end``."""
        last = end if end is not None and end > 1 else None
        there = (self.range if last is None else self.range.down_to(last)).conditions(by_rows=by_rows)
        return Stretch((*self.joined, *self.chosen, *there, *self.others), self.range.order, self.range.number, last)


def _parts(number: _Numbers, wanted: JobFilter, times: Times, before: int | None) -> _Parts:
    found = list(_indexed(number, wanted))
    by_tag = wanted.tag is not None
    chosen = () if wanted.ids is None else (JOBS.c.task_id.in_(wanted.ids),)
    # What leaves least leads.
    first = [(TAGS.c.tag, wanted.tag)] if by_tag else [] if chosen else found[:1]
    column, value = first[0] if first else (None, None)
    return _Parts(
        range=IndexRange(
            number=TAGS.c.job if by_tag else JOBS.c.number, column=column, value=value, **_bounds(times, before)
        ),
        joined=(JOBS.c.number == _looked_at(TAGS.c.job),) if by_tag else (),
        chosen=() if by_tag else chosen,
        others=(
            *(chosen if by_tag else ()),
            *(_looked_at(column) == value for column, value in (found if by_tag else found[len(first) :])),
            *_others(number, wanted),
        ),
    )


def times_of(connection: Connection, wanted: JobFilter) -> Times:
    """Return the times of ``wanted`` as numbers, with some slack; they are looked at exactly afterwards."""
    since, until = wanted.since, wanted.until
    return Times(
        above=None if since is None else _number_at(connection, since - _SLACK),
        upto=None if until is None else _number_at(connection, until + _SLACK),
    )


def _bounds(times: Times, before: int | None) -> dict[str, int | None]:
    # Whoever asks may have written any number.
    last = None if before is None else max(-1, min(before - 1, HIGHEST))
    upto = [bound for bound in (times.upto, last) if bound is not None]
    return {"low": None if times.above is None else times.above + 1, "high": min(upto, default=None)}


def _indexed(number: _Numbers, wanted: JobFilter) -> Iterator[tuple[Column[Any], Any]]:
    """Yield what an index serves, columns with their values, the one that most likely leaves least first."""
    for name in ("parent_id", "group_id", "batch_id", "root_id", "fingerprint", "owner"):
        value = getattr(wanted, name)
        if value is not None:
            yield JOBS.c[name], value
    state = next(iter(wanted.states)) if len(wanted.states) == 1 else None
    if state not in (None, JobState.SUCCEEDED):
        yield JOBS.c.state, str(state)
    if wanted.task is not None:
        yield JOBS.c.task, number("task", wanted.task)
    if wanted.queue is not None:
        yield JOBS.c.queue, number("queue", wanted.queue)
    if state is JobState.SUCCEEDED:
        yield JOBS.c.state, state.value


def _looked_at(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column's value as no index has it: an index other than the first would lead to rows without a bound."""
    return column + 0 if isinstance(column.type, Integer) else column.concat("")


def _others(number: _Numbers, wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
    if len(wanted.states) > 1:
        # No stretch of one index.
        yield _looked_at(JOBS.c.state).in_(sorted(state.value for state in wanted.states))
    if wanted.release is not None:
        yield JOBS.c.release == number("release", wanted.release)
    if wanted.worker is not None:
        yield JOBS.c.worker == number("worker", wanted.worker)
    if wanted.since is not None:
        yield JOBS.c.queued_at >= wanted.since
    if wanted.until is not None:
        yield JOBS.c.queued_at < wanted.until
    if wanted.ended_until is not None:
        yield or_(JOBS.c.ended_at.is_(None), JOBS.c.ended_at < wanted.ended_until)
    if wanted.argument:
        yield or_(*[JOBS.c.arguments.icontains(one, autoescape=True) for one in _spelt(wanted.argument[:_TEXT_MOST])])
    if wanted.text:
        columns = (JOBS.c.task_id, JOBS.c.arguments, JOBS.c.error_message, JOBS.c.error_type)
        yield or_(*[one.icontains(wanted.text[:_TEXT_MOST], autoescape=True) for one in columns])


def _spelt(argument: str) -> tuple[str, ...]:
    """Return how the JSON of arguments may say ``name=value``; whoever sent it may have put a space."""
    name, equals, value = argument.partition("=")
    if not equals or not name.isidentifier():
        return (argument,)
    key, text = json.dumps(name), json.dumps(value, ensure_ascii=False)
    ends = [f"{value}{end}" for end in ",}"] if _is_literal(value) else []
    return tuple(f"{key}:{space}{one}" for space in ("", " ") for one in (text, *ends))


def _is_literal(value: str) -> bool:
    """Whether JSON says it without quotes: a number, or one of its three words."""
    try:
        return not isinstance(json.loads(value), (str, list, dict))
    except (ValueError, RecursionError):
        return False


def _number_at(connection: Connection, time: float) -> int:
    """Return about the last number whose job was dispatched before ``time``; 0 if all were later."""
    low, high = 0, connection.scalar(select(func.max(JOBS.c.number))) or 0
    while low < high:
        middle = (low + high + 1) // 2
        below = select(JOBS.c.number, JOBS.c.queued_at).where(and_(JOBS.c.number > low, JOBS.c.number <= middle))
        row = connection.execute(below.order_by(JOBS.c.number.desc()).limit(1)).one_or_none()
        if row is None:
            # Nothing is left between them.
            low = middle
        elif row.queued_at < time:
            low = middle
        else:
            high = row.number - 1
    return low
