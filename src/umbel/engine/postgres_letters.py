"""Dead letters in PostgreSQL: each step is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from umbel.engine.letters import ANY, DeadLetter, LetterBook, LetterFilter, LetterLimits, ReplayEnd
from umbel.engine.postgres_store import PostgresStore, Step

__all__ = ("PostgresLetters", "end_letter")


class PostgresLetters(LetterBook):
    """The dead letters of one database."""

    def __init__(self, store: PostgresStore, limits: LetterLimits) -> None:
        self._store = store
        self.limits = limits

    def find(
        self, wanted: LetterFilter = ANY, *, limit: int = 100, after: int | None = None, oldest: bool = False
    ) -> list[DeadLetter]:
        values = {**asdict(wanted), "limit": limit, "after": after, "oldest": oldest}
        values["numbers"] = None if wanted.numbers is None else list(wanted.numbers)
        return [DeadLetter(*row) for row in self._store.run(lambda step: step.rows("letters_find", values))]

    def read(self, keys: Sequence[str]) -> list[DeadLetter]:
        return [DeadLetter(*row) for row in self._store.run(lambda step: step.rows("letters_read", list(keys)))]

    def get(self, number: int) -> DeadLetter | None:
        rows = self._store.run(lambda step: step.rows("letters_get", number))
        return DeadLetter(*rows[0]) if rows else None

    def count(self) -> int:
        return int(self._store.run(lambda step: step.rows("letters_count"))[0][0])

    def drop(self, numbers: Sequence[int]) -> int:
        return self._store.run(lambda step: step.do("letters_drop", list(numbers)))

    def prune(self) -> int:
        limits = self.limits
        return self._store.run(
            lambda step: step.do("letters_prune_old", limits.seconds) + step.do("letters_prune_many", limits.most)
        )


def end_letter(step: Step, end: DeadLetter | ReplayEnd) -> None:
    """Write what a job's end means for its dead letter."""
    if isinstance(end, ReplayEnd):
        step.do("letter_close" if end.closed else "letter_reopen", end.key)
        return
    values: dict[str, Any] = asdict(end)
    values["payload"] = end.payload.encode(errors="replace").decode().replace("\0", "\ufffd")
    step.do("letter_bury", values)
