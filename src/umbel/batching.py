"""What an application offers for batches."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from umbel.ids import new_id

if TYPE_CHECKING:
    from umbel.jobs.batch_status import BatchStatus
    from umbel.jobs.batches import AsyncBatch, Batch, BatchBlock
    from umbel.jobs.silence import Silence

__all__ = ("WithBatches",)

#: A batch of which nothing was heard for so long is looked at.
_QUIET_SECONDS: Final = 60.0


class WithBatches:
    """A part of :class:`umbel.Umbel`."""

    def batch(
        self,
        name: str,
        *,
        allow_failures: int | float | str | bool = 0,
        then: Any = None,
        catch: Any = None,
        finally_: Any = None,
        owner: str | None = None,
    ) -> BatchBlock:
        """Return a block in which jobs are added to a new batch, for ``with`` or ``async with``.

            with jobs.batch("import", allow_failures=5, then=report.s(), finally_=clean_up.si(path)) as batch:
                batch.add_many(load, rows)

        ``then`` is queued when all members have ended and no more than ``allow_failures`` (a number, a share such as
        ``"10%"``, or ``True`` for any) have not succeeded; ``catch`` at the first one beyond that; ``finally_`` when
        all have ended in whatever way: each once. They are signatures, and get the batch's id first, as links get a
        result, unless they are immutable (``task.si()``). ``owner``: who may see it through the router. See
        :mod:`umbel.jobs.batches`. Raises :exc:`ConfigurationError`.
        """
        from umbel.jobs.batches import BatchBlock

        app: Any = self
        return BatchBlock(
            app, name, allow_failures=allow_failures, then=then, catch=catch, finally_=finally_, owner=owner
        )

    def current_batch(self) -> Batch | None:
        """Return the batch of the job that runs here, or whose callback it is; None if it has none."""
        from umbel.jobs.batches import Batch, current_batch

        app: Any = self
        found = current_batch(app)
        return None if found is None else Batch(app, found)

    def current_async_batch(self) -> AsyncBatch | None:
        """Return the same for coroutines."""
        from umbel.jobs.batches import AsyncBatch, current_batch

        app: Any = self
        found = current_batch(app)
        return None if found is None else AsyncBatch(app, found)

    def batch_status(self, batch_id: str) -> BatchStatus:
        """Return how far a batch is. Raises :exc:`BatchNotFound`."""
        from umbel.jobs.batches import Batch

        app: Any = self
        return Batch(app, batch_id).status()

    def cancel_batch(self, batch_id: str) -> BatchStatus:
        """Cancel a batch. Raises :exc:`BatchNotFound`, and :exc:`BatchEnded` when it is over."""
        from umbel.jobs.batches import cancel_batch

        app: Any = self
        return cancel_batch(app, batch_id)

    def find_batches(self, limit: int = 100) -> list[BatchStatus]:
        """Return the newest batches."""
        from umbel.jobs.batch_status import status_of

        app: Any = self
        return [status_of(tally) for tally in app.engine.batches.find(limit)]

    def sweep_batches(self, quiet: float = _QUIET_SECONDS) -> int:
        """Look after batches that wait for what will not come; workers do so every minute."""
        from umbel.jobs.batch_sweep import sweep_batches

        app: Any = self
        return sweep_batches(app, self._sweeper, self._silence, quiet=quiet)

    @cached_property
    def _silence(self) -> Silence:
        from umbel.jobs.silence import Silence

        return Silence()

    @cached_property
    def _sweeper(self) -> str:
        return f"sweeper-{new_id()}"
