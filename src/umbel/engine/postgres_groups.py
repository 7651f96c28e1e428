"""Groups and chords in PostgreSQL, for the result backend."""

from __future__ import annotations

import time
from typing import Any, Final

from umbel.engine.postgres_store import PostgresStore

__all__ = ("PostgresGroups", "as_bytes", "as_stored")

_CHORD_SECONDS: Final = 7 * 86_400.0


def as_bytes(value: bytes | str) -> tuple[bytes, bool]:
    """Return a document as it is stored, and whether it is text."""
    return (value.encode(errors="surrogatepass"), True) if isinstance(value, str) else (value, False)


def as_stored(value: Any, is_text: bool) -> bytes | str:
    """Return a document as it was given."""
    return bytes(value).decode(errors="surrogatepass") if is_text else bytes(value)


class PostgresGroups:
    """The shapes of groups, and the parts of chords."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def save(self, group_id: str, meta: bytes | str, expires: float | None) -> None:
        """Keep the shape of a group."""
        self._store.run(lambda step: step.do("save_group", group_id, *as_bytes(meta), expires))

    def read(self, group_id: str) -> bytes | str | None:
        """Return a group's shape, or None."""
        rows = self._store.run(lambda step: step.rows("read_group", group_id))
        return as_stored(*rows[0]) if rows else None

    def forget(self, group_id: str) -> None:
        """Drop a group's shape."""
        self._store.run(lambda step: step.do("forget_group", group_id))

    def set_size(self, group_id: str, size: int, expires: float | None) -> None:
        """Tell how many parts make chord ``group_id`` complete."""
        until = expires or time.time() + _CHORD_SECONDS
        self._store.run(lambda step: step.do("chord_size", group_id, size, until))

    def grow(self, group_id: str, expires: float | None) -> None:
        """Let chord ``group_id`` wait for one part more."""
        until = expires or time.time() + _CHORD_SECONDS
        self._store.run(lambda step: step.do("chord_grow", group_id, until))

    def parts(self, group_id: str) -> list[tuple[str, bytes | str]]:
        """Return (id, result) of a chord's parts in their order."""
        rows = self._store.run(lambda step: step.rows("chord_parts", group_id))
        return [(task_id, as_stored(result, is_text)) for task_id, result, is_text in rows]
