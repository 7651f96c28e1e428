"""A row of the outbox as an object that a session writes. Apart from the table, because a relay needs no ORM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import registry

from umbel.jobs.outbox_table import TABLE

if TYPE_CHECKING:
    from umbel.jobs.outbox_watch import Watch

__all__ = ("Letter",)


class Letter:
    """One row. The session that it is added to writes it, with everything else that it writes."""

    id: int

    def __init__(self, watch: Watch, **values: Any) -> None:
        self.watch = watch
        for name, value in values.items():
            setattr(self, name, value)


registry(metadata=TABLE.metadata).map_imperatively(Letter, TABLE)
