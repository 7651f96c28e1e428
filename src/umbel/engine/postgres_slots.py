"""Slots that several share, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine.postgres_locks import counted, in_order, refused
from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.locks import Grant, Want
from umbel.state.slots import Slots

__all__ = ("PostgresSlots",)


class PostgresSlots(Slots):
    """The slots of one database. Jobs that wait are with the broker, and are not woken from here."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Take a slot for each for whom one is free or its owner's already."""
        return in_order(wants, lambda asked: self._store.run(lambda step: _take(step, asked)))

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let slots last longer; False for one that was lost."""
        return self._store.run(lambda step: _renew(step, held, seconds))

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free slots; False for one that had been lost."""
        return self._store.run(lambda step: counted(step, "slot_release", held))

    def holders(self, name: str) -> list[Grant]:
        """Return who has the slots."""
        rows = self._store.run(lambda step: step.rows("slot_holders", name))
        return [Grant(int(fence), float(left), str(owner)) for fence, left, owner in rows]


def _take(step: Step, wants: Sequence[Want]) -> list[Grant | None]:
    step.each_rows("slot_lock", [(name,) for name in dict.fromkeys(one.name for one in wants)])
    values = [{"name": one.name, "owner": one.owner, "seconds": one.seconds, "most": one.most} for one in wants]
    taken = step.each_rows("slot_take", values)
    others = iter(
        step.each_rows("slot_holders", [(one.name,) for one, rows in zip(wants, taken, strict=True) if not rows])
    )
    return [
        Grant(int(rows[0][0]), one.seconds, one.owner) if rows else refused(next(others))
        for one, rows in zip(wants, taken, strict=True)
    ]


def _renew(step: Step, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
    # In one order everywhere, so that two processes never wait for each other.
    lasts = {pair: step.do("slot_renew", seconds, *pair) > 0 for pair in sorted(held)}
    return [lasts[pair] for pair in held]
