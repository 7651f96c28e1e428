"""Checkpoints in Redis."""

from __future__ import annotations

from typing import Final

from umbel.engine.redis_store import RedisStore
from umbel.state.checkpoints import KEPT_SECONDS

__all__ = ("RedisCheckpoints",)

_MARK: Final = b"="


class RedisCheckpoints:
    """The checkpoints of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def take(self, task_id: str, fence: int) -> dict[str, str] | None:
        """Return a job's cursors, which are this execution's now; None if a later one has them."""
        fields = self._store.run("checkpoint_take", task_id, fence, KEPT_SECONDS)
        if fields is None:
            return None
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return {name[1:].decode(): cursor.decode() for name, cursor in pairs if name.startswith(_MARK)}

    def save(self, task_id: str, fence: int, name: str, cursor: str) -> bool:
        """Keep a cursor; False if another execution has taken them."""
        return bool(self._store.run("checkpoint_save", task_id, fence, KEPT_SECONDS, name, cursor))

    def drop(self, task_id: str) -> None:
        """Forget a job's cursors."""
        with self._store.asking() as client:
            client.delete(self._store.key(f"checkpoint:{task_id}"))
