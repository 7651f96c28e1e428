"""Locks by name, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.locks import Grant

__all__ = ("PostgresLocks",)


class PostgresLocks:
    """The locks of one database. Jobs that wait are with the broker, and are not woken from here."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def acquire(self, name: str, owner: str, seconds: float, *, waiter: str | None = None) -> Grant:
        """Take the lock if it is free or ``owner``'s."""

        def take(step: Step) -> Grant | None:
            if step.do("lock_take", {"name": name, "owner": owner, "seconds": seconds}):
                # Only now, with the row ours: one that was drawn before another one's end could be smaller than his.
                return Grant(int(step.rows("lock_number", name)[0][0]), seconds, owner)
            rows = step.rows("lock_holder", name)
            # It may end between the two questions.
            return Grant(0, float(rows[0][1]), str(rows[0][2])) if rows else None

        while True:
            found = self._store.run(take)
            if found is not None:
                return found

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let locks last longer; False for one that was lost."""
        return self._store.run(lambda step: _renew(step, held, seconds))

    def release(self, name: str, fence: int) -> bool:
        """Free the lock; False if it had been lost."""
        return self._store.run(lambda step: step.do("lock_release", name, fence)) > 0

    def holder(self, name: str) -> Grant | None:
        """Return who has the lock; None when it is free."""
        rows = self._store.run(lambda step: step.rows("lock_holder", name))
        return Grant(int(rows[0][0]), float(rows[0][1]), str(rows[0][2])) if rows else None


def _renew(step: Step, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
    # In one order everywhere, so that two processes never wait for each other.
    lasts = {pair: step.do("lock_renew", seconds, *pair) > 0 for pair in sorted(held)}
    return [lasts[pair] for pair in held]
