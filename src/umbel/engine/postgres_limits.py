"""Starts under a limit, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.engine import sql_limits
from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.limits import Ask, Rule, Start, Waiting

__all__ = ("PostgresLimits",)


class PostgresLimits:
    """The limits of one database. Jobs that wait are with the broker, and are not woken from here."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def reserve(self, asks: Sequence[Ask]) -> list[Start]:
        """Grant a start to each that may start now, promise one to each that may not."""
        return self._store.run(lambda step: _reserve(step, asks))

    def give_back(self, ask: Ask) -> None:
        """Let others have the start that was promised to ``ask``."""
        self._store.run(lambda step: sql_limits.give_back(step, ask))

    def change(self, base: str, rule: Rule | None) -> None:
        """Let ``rule`` hold for limit ``base`` from now on."""
        if rule is None:
            self._store.run(lambda step: step.do("limit_reset", base))
        else:
            self._store.run(lambda step: step.do("limit_change", base, rule.count, rule.seconds, rule.burst))

    def changes(self) -> dict[str, Rule]:
        """Return what has been changed."""
        return self._store.run(sql_limits.changes)

    def promised(self, owner: str, bases: Sequence[str]) -> dict[str, float]:
        """Return those of these limits for a start under which ``owner`` waits, and when it has that."""
        return self._store.run(lambda step: sql_limits.promised(step, owner, bases))

    def waiting(self, bases: Sequence[str]) -> list[Waiting]:
        """Return what waits for each of these limits."""
        return self._store.run(lambda step: _waiting(step, bases))


def _reserve(step: Step, asks: Sequence[Ask]) -> list[Start]:
    # In one order everywhere, so that two processes never wait for each other. The time is told when they are ours.
    for name in sorted({limit.name for ask in asks for limit in ask.limits}):
        step.do("limit_lock", name)
    ((now,),) = step.rows("now")
    return sql_limits.reserve_all(step, asks, now)


def _waiting(step: Step, bases: Sequence[str]) -> list[Waiting]:
    ((now,),) = step.rows("now")
    return [sql_limits.waiting(step, base, now) for base in bases]
