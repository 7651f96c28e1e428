"""Batches with RabbitMQ: the state store counts, and what it queues goes through its outbox to the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from umbel.engine.batches import Plan, Tally
from umbel.engine.beside_batches import BatchBook
from umbel.engine.rabbit_outbox import Outbox
from umbel.engine.rabbit_wire import keyed
from umbel.engine.store import Outgoing, Record

__all__ = ("RabbitBatches",)


class RabbitBatches:
    """The batches of a state store, whose jobs are published at the broker."""

    def __init__(self, book: BatchBook, outbox: Callable[[], Outbox], token: Callable[[], str]) -> None:
        """``outbox`` returns this process's own, ``token`` in whose name it is written."""
        self._book = book
        self._outbox = outbox
        self._token = token

    def open(self, plan: Plan) -> bool:
        """Begin a batch; False if it is there already."""
        callbacks = {kind: _with_keys(messages) for kind, messages in plan.callbacks.items()}
        return self._book.open(replace(plan, callbacks=callbacks))

    def add(self, batch_id: str, messages: Sequence[Outgoing]) -> int:
        """Publish jobs as members; return how many were new. Raises :exc:`BatchNotFound`, :exc:`BatchEnded`."""
        new, posted = self._book.add(self._token(), batch_id, _with_keys(messages))
        self._outbox().publish(posted)
        return new

    def close(self, batch_id: str) -> None:
        """Note that the batch may end."""
        self._turn("close", batch_id)

    def cancel(self, batch_id: str) -> bool:
        """Mark the batch cancelled; False if it is over, or there is none."""
        return self._turn("cancel", batch_id)

    def repair(self, batch_id: str) -> None:
        """Count the members anew, and publish what is due."""
        self._turn("recount", batch_id)

    def _turn(self, what: str, batch_id: str) -> bool:
        changed, posted = self._book.turn(self._token(), what, batch_id)
        self._outbox().publish(posted)
        return changed

    def stop(self, records: Sequence[Record]) -> None:
        """Cancel many jobs in one step; those that have ended stay."""
        self._book.stop(records)

    def read(self, batch_id: str) -> Tally | None:
        """Return a batch as it is now."""
        return self._book.read(batch_id)

    def find(self, limit: int) -> list[Tally]:
        """Return the newest batches."""
        return self._book.find(limit)

    def stale(self, before: float, limit: int) -> list[Tally]:
        """Return batches that have not ended, and of which nothing was heard since ``before``."""
        return self._book.stale(before, limit)

    def pending(self, batch_id: str) -> Iterator[list[tuple[str, bool]]]:
        """Yield the members that have not ended, and whether each has a message."""
        return self._book.pending(batch_id)

    def sweep(self) -> None:
        """Drop what is kept no longer."""
        self._book.sweep()


def _with_keys(messages: Sequence[Outgoing]) -> list[Outgoing]:
    # By its key a message is known however often it is published.
    return [keyed(one)[0].message for one in messages]
