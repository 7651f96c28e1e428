"""Groups and chords in Redis, for the result backend."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

from umbel.engine.batches import CHORD_SECONDS
from umbel.engine.redis_store import RedisStore

__all__ = ("RedisGroups", "parts_of")

_CHORD_MS: Final = 1000 * CHORD_SECONDS


class RedisGroups:
    """The shapes of groups, and the counters of chords."""

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
        """Tell how many parts make chord ``group_id`` complete; the first who says it is right."""
        name = self._store.key(f"chord:{group_id}")
        with self._store.asking() as client:
            client.hsetnx(name, "size", size)
            client.hset(name, "closed", 1)
            client.pexpire(name, _left(expires) or _CHORD_MS)

    def grow(self, group_id: str, expires: float | None) -> None:
        """Let chord ``group_id`` wait for one part more."""
        name = self._store.key(f"chord:{group_id}")
        with self._store.asking() as client:
            client.hincrby(name, "total", 1)
            client.pexpire(name, _left(expires) or _CHORD_MS)

    def parts(self, group_id: str) -> list[tuple[str, bytes | str]]:
        """Return (id, result) of a chord's parts in their order."""
        with self._store.asking() as client:
            found = client.hgetall(self._store.key(f"chord:{group_id}:members"))
        rows = sorted((place, task_id, result) for task_id, place, result in parts_of(found))
        return [(task_id, result) for _, task_id, result in rows]

    def complete(self, before: float, limit: int) -> list[str]:
        """Return chords that are complete, whose callback has not been sent, and of which nothing was heard since."""
        name = self._store.key("chords:complete")
        with self._store.asking() as client:
            # Those that were given up.
            client.zremrangebyscore(name, 0, time.time() - CHORD_SECONDS)
            found = client.zrangebyscore(name, 0, before, start=0, num=limit)
        return [group_id.decode() for group_id in found]


def parts_of(found: Mapping[bytes, bytes]) -> Iterator[tuple[str, int, bytes]]:
    """Yield (id, place, result) of a chord's members, each of which stands there as its state, place and result."""
    for task_id, value in found.items():
        place, _, result = value[1:].partition(b"\n")
        yield task_id.decode(), int(place), result


def _left(expires: float | None) -> int | None:
    return None if expires is None else max(1, int((expires - time.time()) * 1000))
