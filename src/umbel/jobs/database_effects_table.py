"""The table of effects that happen once per key, in the application's own database, beside what they are.

One row is one effect that a committed transaction has caused, with its result. Put the table among your own, so that
your migrations make it::

    from umbel.jobs.database_effects_table import effects_table

    effects_table(Base.metadata)
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, Double, Engine, Index, MetaData, Table, Text
from sqlalchemy.schema import CreateIndex, CreateTable

from umbel.jobs.outbox_table import database_time

__all__ = ("EFFECTS", "create_effects", "effects_table")


def effects_table(metadata: MetaData) -> Table:
    """Return the table ``umbel_effect`` as part of ``metadata``."""
    table = Table(
        "umbel_effect",
        metadata,
        # Several applications may share a database.
        Column("app", Text, primary_key=True),
        Column("name", Text, primary_key=True),
        # As JSON; NULL while its transaction has not come to its end.
        Column("result", Text),
        Column("created", Double, nullable=False, default=database_time()),
        Column("expires", Double, nullable=False),
    )
    Index("umbel_effect_expires", table.c.expires)
    return table


#: The same table, as Umbel itself uses it.
EFFECTS: Final = effects_table(MetaData())


def create_effects(bind: Engine | Connection) -> None:
    """Make the table unless it is there. With an async engine: ``await connection.run_sync(create_effects)``."""
    if isinstance(bind, Engine):
        with bind.begin() as connection:
            create_effects(connection)
        return
    bind.execute(CreateTable(EFFECTS, if_not_exists=True))
    for index in EFFECTS.indexes:
        bind.execute(CreateIndex(index, if_not_exists=True))
