"""Locks by name, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.redis_store import RedisStore
from umbel.state.locks import Grant, Locks, Want

__all__ = ("RedisLocks",)


class RedisLocks(Locks):
    """The locks of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Take each lock that is free or its owner's already; otherwise note who waits."""
        words = [word for one in wants for word in (one.name, one.owner, _milliseconds(one.seconds), one.waiter or "")]
        found = self._store.run("lock_acquire", *words)
        return [Grant(int(fence), int(left) / 1000, owner.decode()) for fence, left, owner in found]

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let locks last longer; False for one that was lost."""
        words = [word for pair in held for word in pair]
        return [bool(lasts) for lasts in self._store.run("lock_renew", _milliseconds(seconds), *words)]

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free locks, and let the first who waits for each be due; False for one that had been lost."""
        words = [word for pair in held for word in pair]
        return [bool(freed) for freed in self._store.run("lock_release", *words)]

    def holder(self, name: str) -> Grant | None:
        """Return who has the lock; None when it is free."""
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            pipe.get(self._store.key(f"lock:{name}"))
            pipe.pttl(self._store.key(f"lock:{name}"))
            found, left = pipe.execute()
        if found is None:
            return None
        fence, _, owner = found.partition(b"\n")
        return Grant(int(fence), max(left, 0) / 1000, owner.decode())


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
