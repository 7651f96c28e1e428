"""Who has which lane of a shared queue, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from umbel.engine.lanes import LANES, LOOK_SECONDS, LaneCounts
from umbel.engine.postgres_store import PostgresStore, Step

__all__ = ("PostgresLanes",)


class PostgresLanes:
    """The lanes of one database. Whoever asks about a queue has its row, so that two never choose at a time."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store
        self.look_seconds = LOOK_SECONDS

    def queues(self) -> set[str]:
        """Return the queues that have lanes."""
        return {queue for (queue,) in self._store.run(lambda step: step.rows("lane_queues"))}

    def place(self, queue: str, shares: Mapping[str, int], sizes: Sequence[int] | None = None) -> list[int] | None:
        """Return the lane of each share, into which so many of its messages are about to go; None to look first."""

        def work(step: Step) -> list[int] | None:
            step.do("lanes_open", {"queue": queue, "lanes": LANES})
            tails, heads, before, looked, now = step.rows("lanes_lock", queue)[0]
            counts = LaneCounts(tails, heads, before, looked)
            if counts.is_old(now, self.look_seconds):
                if sizes is None:
                    return None
                counts.look(sizes, now)
            known = {share: (lane, number) for share, lane, number in step.rows("lane_shares", queue, list(shares))}
            placed = {share: counts.put(known.get(share), count) for share, count in shares.items()}
            step.each("lane_share", [(queue, share, *place) for share, place in placed.items()])
            step.do("lanes_write", counts.tails, counts.heads, counts.before, counts.looked, queue)
            return [lane for lane, _ in placed.values()]

        return self._store.run(work)

    def sweep(self, queue: str) -> None:
        """Forget the shares of which nothing waits."""
        self._store.run(lambda step: step.do("lane_sweep", queue))
