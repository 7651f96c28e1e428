"""Checkpoints in PostgreSQL."""

from __future__ import annotations

from typing import Final

from umbel.engine.postgres_store import PostgresStore, Step
from umbel.state.checkpoints import KEPT_SECONDS

__all__ = ("PostgresCheckpoints", "drop_checkpoints")


class PostgresCheckpoints:
    """The checkpoints of one database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store: Final = store

    def take(self, task_id: str, fence: int) -> dict[str, str] | None:
        """Return a job's cursors, which are this execution's now; None if a later one has them."""

        def work(step: Step) -> dict[str, str] | None:
            if not step.do("checkpoint_take", task_id, fence, KEPT_SECONDS):
                return None
            return dict(step.rows("checkpoint_cursors", task_id))

        return self._store.run(work)

    def save(self, task_id: str, fence: int, name: str, cursor: str) -> bool:
        """Keep a cursor; False if another execution has taken them."""

        def work(step: Step) -> bool:
            if not step.do("checkpoint_holds", KEPT_SECONDS, task_id, fence):
                return False
            step.do("checkpoint_save", task_id, name, cursor)
            return True

        return self._store.run(work)

    def drop(self, task_id: str) -> None:
        """Forget a job's cursors."""
        self._store.run(lambda step: drop_checkpoints(step, [task_id]))

    def sweep(self) -> None:
        """Drop what is kept no longer."""
        self._store.run(lambda step: step.do("checkpoint_sweep"))


def drop_checkpoints(step: Step, task_ids: list[str]) -> None:
    """Forget jobs' cursors, in the caller's transaction."""
    if task_ids:
        step.do("checkpoint_drop", sorted(task_ids))
