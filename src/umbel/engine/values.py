"""Multi-row inserts in few statements.

Each step of a statement lets go of the interpreter lock, so a hundred rows by ``executemany`` may wait a hundred
times for it in a busy process. Rows are inserted in chunks of sizes that the statement cache remembers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

__all__ = ("insert_rows",)

_SIZES: Final = (512, 128, 32, 8, 4, 2, 1)


def insert_rows(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run ``statement``, whose ``{rows}`` stands for the value tuples, for all of ``rows``."""
    at = 0
    while at < len(rows):
        size = next(size for size in _SIZES if size <= len(rows) - at)
        chunk = rows[at : at + size]
        connection.execute(_sized(statement, size, len(chunk[0])), list(chain.from_iterable(chunk)))
        at += size


@cache
def _sized(statement: str, rows: int, columns: int) -> str:
    one = "(" + ",".join("?" * columns) + ")"
    return statement.replace("{rows}", ",".join([one] * rows))
