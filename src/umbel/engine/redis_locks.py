"""Locks by name, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.redis_store import RedisStore
from umbel.state.locks import Grant

__all__ = ("RedisLocks",)


class RedisLocks:
    """The locks of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def acquire(self, name: str, owner: str, seconds: float, *, waiter: str | None = None) -> Grant:
        """Take the lock if it is free or ``owner``'s; otherwise note who waits."""
        fence, left, holder = self._store.run("lock_acquire", name, owner, _milliseconds(seconds), waiter or "")
        return Grant(int(fence), int(left) / 1000, holder.decode())

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let locks last longer; False for one that was lost."""
        words = [word for pair in held for word in pair]
        return [bool(lasts) for lasts in self._store.run("lock_renew", _milliseconds(seconds), *words)]

    def release(self, name: str, fence: int) -> bool:
        """Free the lock, and let the first who waits be due; False if it had been lost."""
        return bool(self._store.run("lock_release", name, fence))

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
