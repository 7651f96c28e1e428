"""The table of the outbox, in the application's own database, where its rows live and die with the application's own.

One row is one message that a committed transaction has dispatched and that nobody has published yet; a row that could
not be published stands aside with its error. Put the table among your own, so that your migrations make it::

    from umbel.jobs.outbox_table import outbox_table

    outbox_table(Base.metadata)
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Double, Engine, Integer, MetaData, SmallInteger, Table, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.functions import FunctionElement

__all__ = ("TABLE", "create_outbox", "database_time", "outbox_table")


class database_time(FunctionElement[float]):
    """Unix seconds by the database's own clock: hosts that share one differ in theirs."""

    type = Double()
    inherit_cache = True


@compiles(database_time, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


@compiles(database_time, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


def outbox_table(metadata: MetaData) -> Table:
    """Return the table ``umbel_outbox`` as part of ``metadata``."""
    return Table(
        "umbel_outbox",
        metadata,
        # Never given twice, so that nobody strikes off a newer row than the one that was published.
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        # Several applications may share a database.
        Column("app", Text, nullable=False),
        Column("task_id", Text, nullable=False),
        Column("task", Text, nullable=False),
        Column("queue", Text, nullable=False),
        Column("priority", SmallInteger, nullable=False),
        Column("due", Double),
        # The whole envelope, as a dispatch without a transaction sends it.
        Column("payload", Text, nullable=False),
        # The key of a job that is Unique, as JSON.
        Column("unique_key", Text),
        Column("created", Double, nullable=False, default=database_time()),
        # Why it stands aside; NULL while it waits.
        Column("error", Text),
        sqlite_autoincrement=True,
    )


#: The same table, as Umbel itself uses it.
TABLE: Final = outbox_table(MetaData())


def create_outbox(bind: Engine | Connection) -> None:
    """Make the table unless it is there. With an async engine: ``await connection.run_sync(create_outbox)``."""
    statement = CreateTable(TABLE, if_not_exists=True)
    if isinstance(bind, Connection):
        bind.execute(statement)
    else:
        with bind.begin() as connection:
            connection.execute(statement)
