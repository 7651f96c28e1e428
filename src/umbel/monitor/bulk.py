"""Many rows in one statement, made from the tables' own columns.

On SQLite the driver runs a prepared statement for each row, without values that SQLAlchemy puts together. On PostgreSQL
all rows go as one JSON text, which the server makes rows of: one round trip, and one parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.selectable import TableValuedAlias

__all__ = ("Insert", "Update", "among")

_json: Final = msgspec.json.Encoder().encode
_SQLITE: Final = sqlite.dialect(paramstyle="qmark")
_POSTGRESQL: Final[Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]


class _Rows:
    """A statement for many rows; each row is a tuple of the values of ``columns``."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._table: Final = table
        self._columns: Final = tuple(columns)

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it for all of ``rows``."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(self._for_each, list(rows))
        else:
            told = [dict(zip(self._columns, row, strict=True)) for row in rows]
            connection.execute(self._for_all, {"rows": _json(told).decode()})

    @cached_property
    def _for_each(self) -> str:
        compiled = self._each().compile(dialect=_SQLITE)
        # Each row gives its values in this order.
        assert [name.removeprefix("_") for name in compiled.positiontup or ()] == list(self._columns)
        return str(compiled)

    @cached_property
    def _for_all(self) -> Executable:
        return self._all(_recordset(self._table, self._columns))

    def _each(self) -> Any:
        raise NotImplementedError

    def _all(self, told: TableValuedAlias) -> Executable:
        raise NotImplementedError


class Insert(_Rows):
    """Insert rows; of those whose key is there already, ``keep`` that one, ``replace`` it, or ``fail``."""

    def __init__(self, table: Table, *, known: Literal["fail", "keep", "replace"] = "fail") -> None:
        super().__init__(table, [one.name for one in table.columns])
        self._known = known

    def _each(self) -> Any:
        return self._with_known(sqlite.insert(self._table).values({name: bindparam(name) for name in self._columns}))

    def _all(self, told: TableValuedAlias) -> Executable:
        statement: Executable = self._with_known(
            postgresql.insert(self._table).from_select(self._columns, select(*told.c))
        )
        return statement

    def _with_known(self, statement: Any) -> Any:
        if self._known == "fail":
            return statement
        keys = list(self._table.primary_key.columns)
        if self._known == "keep":
            return statement.on_conflict_do_nothing(index_elements=keys)
        rest = {one.name: statement.excluded[one.name] for one in self._table.columns if not one.primary_key}
        return statement.on_conflict_do_update(index_elements=keys, set_=rest)


class Update(_Rows):
    """Set ``columns`` of the rows that are named by ``key``, which stands last in each tuple."""

    def __init__(self, table: Table, columns: Sequence[str], key: str) -> None:
        super().__init__(table, [*columns, key])
        self._key: Final = table.c[key]

    def _each(self) -> Any:
        values: dict[str, Any] = {name: bindparam(name) for name in self._columns[:-1]}
        return update(self._table).values(values).where(self._key == bindparam(f"_{self._key.name}"))

    def _all(self, told: TableValuedAlias) -> Executable:
        values = {name: told.c[name] for name in self._columns[:-1]}
        return update(self._table).values(values).where(self._key == told.c[self._key.name])


def _recordset(table: Table, columns: Iterable[str]) -> TableValuedAlias:
    """Return rows made of the parameter ``rows``, a JSON text."""
    typed = [column(name, table.c[name].type.dialect_impl(_POSTGRESQL)) for name in columns]
    rows = cast(bindparam("rows", type_=Text()), JSON)
    return func.json_to_recordset(rows).table_valued(*typed, name="told").render_derived(with_types=True)


def among(connection: Connection, one: Column[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that ``one`` is one of ``values``, however many these are, with one parameter."""
    if connection.dialect.name == "sqlite":
        given = func.json_each(_json(list(values)).decode()).table_valued("value")
        return one.in_(select(given.c.value))
    return one == any_(cast(list(values), postgresql.ARRAY(one.type)))
