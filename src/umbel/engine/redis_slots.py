"""Slots that several share, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.redis_store import RedisStore
from umbel.state.locks import Grant

__all__ = ("RedisSlots",)


class RedisSlots:
    """The slots of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def acquire(self, name: str, owner: str, seconds: float, *, most: int, waiter: str | None = None) -> Grant:
        """Take a slot if one is free or ``owner``'s; otherwise note who waits."""
        words = (name, owner, _milliseconds(seconds), most, waiter or "")
        fence, left, holder = self._store.run("slot_acquire", *words)
        return Grant(int(fence), int(left) / 1000, holder.decode())

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let slots last longer; False for one that was lost."""
        words = [word for pair in held for word in pair]
        return [bool(lasts) for lasts in self._store.run("slot_renew", _milliseconds(seconds), *words)]

    def release(self, name: str, fence: int) -> bool:
        """Free a slot, and let the first who waits be due; False if it had been lost."""
        return bool(self._store.run("slot_release", name, fence))

    def holders(self, name: str) -> list[Grant]:
        """Return who has the slots."""
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            pipe.time()
            pipe.zrange(self._store.key(f"slots:{name}"), 0, -1, withscores=True)
            pipe.hgetall(self._store.key(f"slot-owners:{name}"))
            (seconds, micros), found, owners = pipe.execute()
        now = seconds + micros / 1e6
        lasting = [(fence, ends / 1000 - now) for fence, ends in found if ends / 1000 > now]
        return [Grant(int(fence), left, owners[fence].decode()) for fence, left in lasting if fence in owners]


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
