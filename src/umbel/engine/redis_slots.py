"""Slots that several share, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.redis_store import RedisStore
from umbel.state.locks import Grant, Want
from umbel.state.slots import WOKEN_SECONDS, Slots

__all__ = ("RedisSlots",)


class RedisSlots(Slots):
    """The slots of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Take a slot for each for whom one is free or its owner's already; otherwise note who waits."""
        words: list[str | int] = []
        for one in wants:
            words += (one.name, one.owner, _milliseconds(one.seconds), one.most, one.waiter or "")
        found = self._store.run("slot_acquire", *words)
        return [Grant(int(fence), int(left) / 1000, owner.decode()) for fence, left, owner in found]

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let slots last longer; False for one that was lost."""
        words = [word for pair in held for word in pair]
        return [bool(lasts) for lasts in self._store.run("slot_renew", _milliseconds(seconds), *words)]

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free slots, and let the first who waits for each be due; False for one that had been lost."""
        words = [word for pair in held for word in pair]
        kept = _milliseconds(WOKEN_SECONDS)
        return [bool(freed) for freed in self._store.run("slot_release", kept, *words)]

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
