"""Batches in PostgreSQL: each step is one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from umbel.engine.batches import KEPT_SECONDS, OPEN_SECONDS, Plan, Tally
from umbel.engine.postgres_counters import tally_of
from umbel.engine.postgres_outbox import post
from umbel.engine.postgres_records import store
from umbel.engine.postgres_store import PostgresStore, Step
from umbel.engine.state import Posted
from umbel.engine.store import Outgoing, Record
from umbel.errors import BatchEnded, BatchNotFound

__all__ = ("PostgresBatches", "fire")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Outgoing).decode


class PostgresBatches:
    """The batches of one database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def open(self, plan: Plan) -> bool:
        """Begin a batch; False if it is there already."""
        values = (plan.id, plan.name, plan.allowed, plan.share, plan.owner, plan.opener, OPEN_SECONDS)
        rows = [
            (plan.id, kind, number, _encode(one).decode())
            for kind, messages in plan.callbacks.items()
            for number, one in enumerate(messages)
        ]

        def work(step: Step) -> bool:
            if not step.do("batch_open", *values):
                return False
            step.each("batch_callback", rows)
            return True

        return self._store.run(work)

    def add(self, token: str, batch_id: str, messages: Sequence[Outgoing]) -> tuple[int, list[Posted]]:
        """Put jobs into the outbox as members; return how many were new, and what is to be published."""

        def work(step: Step) -> list[Posted]:
            found = step.rows("batch_lock", batch_id)
            if not found:
                raise BatchNotFound(batch_id)
            rows = [(batch_id, one.task_id) for one in messages]
            counts = step.each_count("batch_member", rows)
            new = [one for one, count in zip(messages, counts, strict=True) if count]
            if new and tally_of(found[0]).takes_no_more:
                raise BatchEnded(batch_id)
            step.do("batch_grow", len(new), OPEN_SECONDS, batch_id)
            queues = sorted({one.queue for one in new})
            if queues:
                step.do("note_queue", queues)
            return list(post(step, token, new))

        posted = self._store.run(work)
        return len(posted), posted

    def turn(self, token: str, what: str, batch_id: str) -> tuple[bool, list[Posted]]:
        """Change a batch; return whether that changed anything."""

        def work(step: Step) -> tuple[bool, list[Posted]]:
            # Before its members are looked at: who counts one holds this row.
            step.rows("batch_lock", batch_id)
            if not step.do(f"batch_{what}", {"id": batch_id}):
                return False, []
            return True, list(post(step, token, fire(step, tally_of(step.rows("batch_lock", batch_id)[0]))))

        return self._store.run(work)

    def stop(self, records: Sequence[Record]) -> None:
        """Cancel many jobs in one step; those that have ended stay."""
        # In one order everywhere, so that two callers never wait for each other.
        order = sorted(records, key=lambda one: one.task_id)

        def work(step: Step) -> None:
            step.each("batch_stop", [{"id": one.task_id} for one in order])
            store(step, order)

        self._store.run(work)

    def read(self, batch_id: str) -> Tally | None:
        """Return a batch as it is now."""
        return next(iter(self._rows("batch_read", batch_id)), None)

    def find(self, limit: int) -> list[Tally]:
        """Return the newest batches."""
        return self._rows("batch_find", limit)

    def stale(self, before: float, limit: int) -> list[Tally]:
        """Return batches that have not ended, and of which nothing was heard since ``before``."""
        return self._rows("batch_stale", before, limit)

    def _rows(self, name: str, *values: Any) -> list[Tally]:
        return [tally_of(row) for row in self._store.run(lambda step: step.rows(name, *values))]

    def pending(self, batch_id: str) -> Iterator[list[tuple[str, bool]]]:
        """Yield the members that have not ended, and whether each has a message."""
        last = ""
        while True:
            page = self._page(batch_id, last)
            if not page:
                return
            yield page
            last = page[-1][0]

    def _page(self, batch_id: str, last: str) -> list[tuple[str, bool]]:
        rows = self._store.run(lambda step: step.rows("batch_pending", batch_id, last))
        return [(task_id, queued) for task_id, queued in rows]

    def sweep(self) -> None:
        """Drop what is kept no longer: of chords too."""
        self._store.run(lambda step: step.do("sweep_counters"))


def fire(step: Step, tally: Tally) -> list[Outgoing]:
    """Return the callbacks that are due of a batch whose row this transaction holds; they are dropped from it."""
    due = tally.due()
    if not due:
        return []
    messages: list[Outgoing] = []
    for kind in due:
        found = step.rows("batch_called", tally.id, kind)
        messages += [_decode(text) for _, text in sorted(found)]
    ends = "finally" in due
    over = ends or tally.finished is not None
    step.do("batch_fired", " ".join((*tally.fired, *due)), ends, KEPT_SECONDS if over else OPEN_SECONDS, tally.id)
    return messages
