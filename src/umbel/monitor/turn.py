"""Whose turn it is to write down jobs, or to drop them: one transaction's at a time.

On SQLite whoever writes is alone in any case.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from umbel.monitor.tables import NUMBERS

__all__ = ("take_turn",)


def take_turn(connection: Connection) -> None:
    """Wait for the turn; it lasts until the transaction ends."""
    connection.execute(select(NUMBERS.c.last).where(NUMBERS.c.kind == "job").with_for_update()).all()
