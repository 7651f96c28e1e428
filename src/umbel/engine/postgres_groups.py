"""Groups and chords in PostgreSQL, for the result backend."""

from __future__ import annotations

from umbel.engine.postgres_counters import announced
from umbel.engine.postgres_documents import as_bytes, as_stored
from umbel.engine.postgres_store import PostgresStore

__all__ = ("PostgresGroups",)


class PostgresGroups:
    """The shapes of groups, and the counters of chords."""

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
        """Tell how many parts make chord ``group_id`` complete; the first who says it is right."""
        self._store.run(lambda step: step.do("announce", announced(group_id, size, 0, expires)))

    def grow(self, group_id: str, expires: float | None) -> None:
        """Let chord ``group_id`` wait for one part more."""
        self._store.run(lambda step: step.do("announce", announced(group_id, None, 1, expires)))

    def parts(self, group_id: str) -> list[tuple[str, bytes | str]]:
        """Return (id, result) of a chord's parts in their order."""
        rows = self._store.run(lambda step: step.rows("brought", group_id))
        return [(task_id, as_stored(result, is_text)) for task_id, result, is_text in rows]

    def complete(self, before: float, limit: int) -> list[str]:
        """Return chords that are complete, whose callback has not been sent, and of which nothing was heard since."""
        return [row[0] for row in self._store.run(lambda step: step.rows("chords_complete", before, limit))]
