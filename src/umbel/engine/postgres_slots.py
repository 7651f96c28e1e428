"""Slots that several share, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.locks import Grant

__all__ = ("PostgresSlots",)


class PostgresSlots:
    """The slots of one database. Jobs that wait are with the broker, and are not woken from here."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def acquire(self, name: str, owner: str, seconds: float, *, most: int, waiter: str | None = None) -> Grant:
        """Take a slot if one is free or ``owner``'s."""

        def take(step: Step) -> Grant | None:
            step.rows("slot_lock", name)
            rows = step.rows("slot_take", {"name": name, "owner": owner, "seconds": seconds, "most": most})
            if rows:
                return Grant(int(rows[0][0]), seconds, owner)
            rows = step.rows("slot_holders", name)
            # It may end between the two questions.
            return Grant(0, float(rows[0][1]), str(rows[0][2])) if rows else None

        while True:
            found = self._store.run(take)
            if found is not None:
                return found

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let slots last longer; False for one that was lost."""
        return self._store.run(lambda step: _renew(step, held, seconds))

    def release(self, name: str, fence: int) -> bool:
        """Free a slot; False if it had been lost."""
        return self._store.run(lambda step: step.do("slot_release", name, fence)) > 0

    def holders(self, name: str) -> list[Grant]:
        """Return who has the slots."""
        rows = self._store.run(lambda step: step.rows("slot_holders", name))
        return [Grant(int(fence), float(left), str(owner)) for fence, left, owner in rows]


def _renew(step: Step, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
    # In one order everywhere, so that two processes never wait for each other.
    lasts = {pair: step.do("slot_renew", seconds, *pair) > 0 for pair in sorted(held)}
    return [lasts[pair] for pair in held]
