"""Locks by name, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.locks import Grant, Locks, Want

__all__ = ("PostgresLocks", "counted", "in_order", "refused")


class PostgresLocks(Locks):
    """The locks of one database. Jobs that wait are with the broker, and are not woken from here."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Take each lock that is free or its owner's already."""
        return in_order(wants, lambda asked: self._store.run(lambda step: _take(step, asked)))

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let locks last longer; False for one that was lost."""
        return self._store.run(lambda step: _renew(step, held, seconds))

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free locks; False for one that had been lost."""
        return self._store.run(lambda step: counted(step, "lock_release", held))

    def holder(self, name: str) -> Grant | None:
        """Return who has the lock; None when it is free."""
        rows = self._store.run(lambda step: step.rows("lock_holder", name))
        return Grant(int(rows[0][0]), float(rows[0][1]), str(rows[0][2])) if rows else None


def in_order(wants: Sequence[Want], ask: Callable[[Sequence[Want]], list[Grant | None]]) -> list[Grant]:
    """Ask in one order everywhere, so that two processes never wait for each other; again where nothing was said."""
    answers: dict[int, Grant] = {}
    left = sorted(range(len(wants)), key=lambda at: wants[at].name)
    while left:
        found = ask([wants[at] for at in left])
        answers.update((at, one) for at, one in zip(left, found, strict=True) if one is not None)
        left = [at for at in left if at not in answers]
    return [answers[at] for at in range(len(wants))]


def counted(step: Step, statement: str, held: Sequence[tuple[str, int]]) -> list[bool]:
    """Run a statement for each, in one order everywhere; return which of them it has changed."""
    order = sorted(held)
    changed = dict(zip(order, step.each_count(statement, order), strict=True))
    return [changed[pair] > 0 for pair in held]


def _take(step: Step, wants: Sequence[Want]) -> list[Grant | None]:
    values = [{"name": one.name, "owner": one.owner, "seconds": one.seconds} for one in wants]
    taken = [count > 0 for count in step.each_count("lock_take", values)]
    # Only now, with the rows ours: one that was drawn before another one's end could be smaller than his.
    numbers = iter(
        step.each_row("lock_number", [(one.name,) for one, is_ours in zip(wants, taken, strict=True) if is_ours])
    )
    others = iter(
        step.each_rows("lock_holder", [(one.name,) for one, is_ours in zip(wants, taken, strict=True) if not is_ours])
    )
    return [
        Grant(int(next(numbers)[0]), one.seconds, one.owner) if is_ours else refused(next(others))
        for one, is_ours in zip(wants, taken, strict=True)
    ]


def refused(rows: Sequence[tuple[Any, ...]]) -> Grant | None:
    """Return the answer to who finds ``rows`` of holders; None when they have ended between the two questions."""
    return Grant(0, float(rows[0][1]), str(rows[0][2])) if rows else None


def _renew(step: Step, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
    # In one order everywhere, so that two processes never wait for each other.
    lasts = {pair: step.do("lock_renew", seconds, *pair) > 0 for pair in sorted(held)}
    return [lasts[pair] for pair in held]
