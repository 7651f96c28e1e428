"""A piece of an index: rows of one value, between two numbers, in such words that a database goes along that index.

PostgreSQL guesses what a bound leaves from when it last looked at the table. Numbers only grow, so that the number of a
job that came later seems to leave next to nothing, and the key seems to be the way; in truth it leads past most of the
table. A comparison of rows can be served by one index alone, and its guess does not come from the numbers.
SQLite guesses nothing of the kind, and finds only the first column of a comparison of rows by its index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, UnaryExpression, literal, tuple_

__all__ = ("HIGHEST", "IndexRange")

#: What a number may be in either database.
_LOWEST: Final = 0
HIGHEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRange:
    """Rows of an index over ``column`` and ``number``; where no column is said, of the key, which is the number."""

    number: Column[int]
    column: Column[Any] | None = None
    value: Any = None
    #: The least number and the greatest; None for one without a bound.
    low: int | None = None
    high: int | None = None

    def down_to(self, low: int) -> IndexRange:
        """Return the part of it whose numbers are ``low`` and greater."""
        return replace(self, low=low if self.low is None else max(low, self.low))

    def conditions(self, *, by_rows: bool) -> tuple[ColumnElement[bool], ...]:
        """Return what selects its rows; ``by_rows`` as PostgreSQL needs it."""
        if self.column is None:
            return tuple(self._bounds())
        if not by_rows:
            return (self.column == self.value, *self._bounds())
        row = tuple_(self.column, self.number)
        low, high = self.low or _LOWEST, HIGHEST if self.high is None else self.high
        # An index over the rows that have a value serves who says so.
        there = (self.column.is_not(None),) if self.column.nullable else ()
        return (*there, row >= self._at(low), row <= self._at(high))

    @property
    def order(self) -> tuple[UnaryExpression[Any], ...]:
        """The greatest number first."""
        first = () if self.column is None else (self.column.desc(),)
        return (*first, self.number.desc())

    def _at(self, number: int) -> Any:
        assert self.column is not None
        return tuple_(literal(self.value, self.column.type), literal(number, self.number.type))

    def _bounds(self) -> Iterator[ColumnElement[bool]]:
        if self.low is not None:
            yield self.number >= self.low
        if self.high is not None:
            yield self.number <= self.high
