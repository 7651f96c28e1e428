"""Batches: to cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk

__all__ = ("BatchOperations",)


class BatchOperations:
    """``jobs.operations.batches``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk

    def cancel(self, batch_id: str, *, by: Actor) -> Outcome:
        """Cancel a batch: waiting members never start, running ones are stopped.

        Raises :exc:`BatchNotFound`, :exc:`BatchEnded`.
        """
        with self._desk.action(by, "batch.cancel", batch_id) as entry:
            found = self._app.cancel_batch(batch_id)
            entry.note(pending=found.pending)
        members = f"{found.pending:,} of its {found.total:,} members are still to be taken back."
        text = f"Batch {batch_id} is cancelled; {members}"
        return Outcome(text=text, target=batch_id, count=found.pending)
