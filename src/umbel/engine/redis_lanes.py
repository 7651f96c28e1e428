"""Who has which lane of a shared queue, in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from umbel.engine.lanes import LANES, LOOK_SECONDS
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import pack

__all__ = ("RedisLanes",)


class RedisLanes:
    """The lanes of one server."""

    def __init__(self, store: RedisStore) -> None:
        self._store: Final = store
        self.look_seconds = LOOK_SECONDS

    def queues(self) -> set[str]:
        """Return the queues that have lanes."""
        with self._store.asking() as client:
            return {name.decode() for name in client.smembers(self._store.key("laned"))}

    def place(self, queue: str, shares: Mapping[str, int], sizes: Sequence[int] | None = None) -> list[int] | None:
        """Return the lane of each share, into which so many of its messages are about to go; None to look first."""
        wanted, seen = pack(list(shares.items())), pack(list(sizes) if sizes is not None else [])
        found, *lanes = self._store.run("state_lanes", queue, LANES, self.look_seconds, wanted, seen)
        return [int(lane) for lane in lanes] if found else None

    def sweep(self, queue: str) -> None:
        """Forget the shares of which nothing waits."""
        kept, counts = self._store.key(f"lane-shares:{queue}"), self._store.key(f"lanes:{queue}")
        with self._store.asking() as client:
            heads = [int(head or 0) for head in client.hmget(counts, [f"h{lane}" for lane in range(LANES)])]
            for share, place in client.hscan_iter(kept, count=1000):
                lane, number = map(int, place.split())
                # One that comes back just now gets a lane anew.
                if number <= heads[lane]:
                    client.hdel(kept, share)
