"""Groups and chords in Redis, for the result backend."""

from __future__ import annotations

import time
from typing import Final

from umbel.engine.redis_store import RedisStore

__all__ = ("RedisGroups",)

_CHORD_MS: Final = 7 * 86_400_000


class RedisGroups:
    """The shapes of groups, and the parts of chords."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def save(self, group_id: str, meta: bytes | str, expires: float | None) -> None:
        """Keep the shape of a group, where Celery's clients look for it."""
        with self._store.asking() as client:
            client.set(self._store.kombu(f"celery-taskset-meta-{group_id}"), meta, px=_left(expires))

    def read(self, group_id: str) -> bytes | str | None:
        """Return a group's shape, or None."""
        with self._store.asking() as client:
            found: bytes | None = client.get(self._store.kombu(f"celery-taskset-meta-{group_id}"))
        return found

    def forget(self, group_id: str) -> None:
        """Drop a group's shape."""
        with self._store.asking() as client:
            client.delete(self._store.kombu(f"celery-taskset-meta-{group_id}"))

    def set_size(self, group_id: str, size: int, expires: float | None) -> None:
        """Tell how many parts make chord ``group_id`` complete."""
        with self._store.asking() as client:
            client.hset(self._store.key(f"chord:{group_id}"), "size", size)
            client.pexpire(self._store.key(f"chord:{group_id}"), _left(expires) or _CHORD_MS)

    def grow(self, group_id: str, expires: float | None) -> None:
        """Let chord ``group_id`` wait for one part more."""
        with self._store.asking() as client:
            client.hincrby(self._store.key(f"chord:{group_id}"), "extra", 1)
            client.pexpire(self._store.key(f"chord:{group_id}"), _left(expires) or _CHORD_MS)

    def parts(self, group_id: str) -> list[tuple[str, bytes | str]]:
        """Return (id, result) of a chord's parts in their order."""
        with self._store.asking() as client:
            found = client.hgetall(self._store.key(f"chord:{group_id}:parts"))
        rows = []
        for task_id, value in found.items():
            place, _, result = value.partition(b"\n")
            rows.append((int(place), task_id.decode(), result))
        return [(task_id, result) for _, task_id, result in sorted(rows)]


def _left(expires: float | None) -> int | None:
    return None if expires is None else max(1, int((expires - time.time()) * 1000))
