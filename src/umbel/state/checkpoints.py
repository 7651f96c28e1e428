"""Checkpoints: how far a job's iterators are, so that its next execution goes on from there.

Each execution of a job has a number, its fence, larger than those of all before it. Whoever takes a job's checkpoints
has them from then on: what an earlier execution still saves, because its process was only taken for dead, is refused.
Costs: one round trip when a job's first iterator begins, and one for each save.
"""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ("KEPT_SECONDS", "Checkpoints")

#: For so long after their last save checkpoints wait for their job to run again.
KEPT_SECONDS: Final = 30 * 86_400


class Checkpoints(Protocol):
    """The checkpoints of one store."""

    def take(self, task_id: str, fence: int) -> dict[str, str] | None:
        """Return a job's cursors by their names, which are this execution's now; None if a later one has them."""

    def save(self, task_id: str, fence: int, name: str, cursor: str) -> bool:
        """Keep a cursor; False if another execution has taken them."""

    def drop(self, task_id: str) -> None:
        """Forget a job's cursors."""
