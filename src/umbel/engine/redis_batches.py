"""Batches in Redis: each step is one script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from umbel.engine.batches import Plan, Tally
from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import message, pack, record_fields
from umbel.engine.store import Outgoing, Record
from umbel.errors import BatchEnded, BatchNotFound, StoreUnreachable

__all__ = ("RedisBatchBook", "RedisBatches", "tally_in")

_PAGE: Final = 500
#: What is asked again when its answer is lost: a member is one however often it is added.
_TRIES: Final = 3


class RedisBatchBook:
    """What is the same where Redis is the broker and where it stands beside one."""

    def __init__(self, store: RedisStore, note: Callable[[Iterable[str]], None]) -> None:
        """``note`` remembers the names of queues."""
        self._store = store
        self._note = note

    def open(self, plan: Plan) -> bool:
        """Begin a batch; False if it is there already."""
        self._note({one.queue for messages in plan.callbacks.values() for one in messages})
        words: list[Any] = [plan.id, plan.name, plan.allowed, int(plan.share), plan.owner or "", plan.opener or ""]
        for kind, messages in plan.callbacks.items():
            words += [kind, self._packed(messages)]
        return bool(self._store.run("batch_open", *words))

    def _packed(self, messages: Sequence[Outgoing]) -> bytes:
        return pack([message(self._store.prefix, one) for one in messages])

    def stop(self, records: Sequence[Record]) -> None:
        """Cancel many jobs in one step; those that have ended stay."""
        self._insist("batch_stop", pack([record_fields(one) for one in records]))

    def read(self, batch_id: str) -> Tally | None:
        """Return a batch as it is now."""
        return next(iter(self._read([batch_id])), None)

    def find(self, limit: int) -> list[Tally]:
        """Return the newest batches."""
        with self._store.asking() as client:
            ids = client.zrange(self._store.key("batches"), 0, limit - 1, desc=True)
        return self._read([one.decode() for one in ids])

    def stale(self, before: float, limit: int) -> list[Tally]:
        """Return batches that have not ended, and of which nothing was heard since ``before``."""
        with self._store.asking() as client:
            ids = client.zrange(self._store.key("batches:open"), 0, -1)
        found = [one for one in self._read([one.decode() for one in ids]) if one.updated < before]
        return sorted(found, key=lambda one: one.updated)[:limit]

    def _read(self, ids: Sequence[str]) -> list[Tally]:
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            for one in ids:
                pipe.hgetall(self._store.key(f"batch:{one}"))
            answers = pipe.execute() if ids else []
        return [tally_in(one, fields) for one, fields in zip(ids, answers, strict=True) if fields]

    def pending(self, batch_id: str) -> Iterator[list[tuple[str, bool]]]:
        """Yield the members that have not ended, and whether each has a message."""
        cursor = 0
        while True:
            with self._store.asking() as client:
                cursor, page = client.hscan(self._store.key(f"batch:{batch_id}:members"), cursor, count=_PAGE)
                ids = [task_id.decode() for task_id, state in page.items() if state == b"p"]
                pipe = client.pipeline(transaction=False)
                for task_id in ids:
                    pipe.exists(self._store.key(f"job:{task_id}"))
                queued = pipe.execute() if ids else []
            if ids:
                yield [(task_id, bool(there)) for task_id, there in zip(ids, queued, strict=True)]
            if not cursor:
                return

    def sweep(self) -> None:
        """Drop the names of batches that have expired."""
        for name in ("batches", "batches:open", "batches:held"):
            with self._store.asking() as client:
                ids = client.zrange(self._store.key(name), 0, _PAGE - 1)
                pipe = client.pipeline(transaction=False)
                for one in ids:
                    pipe.exists(self._store.key(f"batch:{one.decode()}"))
                gone = [one for one, there in zip(ids, pipe.execute() if ids else [], strict=True) if not there]
                if gone:
                    client.zrem(self._store.key(name), *gone)

    def _added(self, batch_id: str, status: int) -> None:
        if status < 0:
            raise BatchNotFound(batch_id)
        if not status:
            raise BatchEnded(batch_id)

    def _insist(self, name: str, *words: Any) -> Any:
        """Run a script that may run twice, again when its answer was lost."""
        for left in range(_TRIES - 1, -1, -1):
            try:
                return self._store.run(name, *words)
            except StoreUnreachable:
                if not left:
                    raise
        raise AssertionError("the loop returns or raises")


class RedisBatches(RedisBatchBook):
    """The batches of a server that holds the messages too."""

    def add(self, batch_id: str, messages: Sequence[Outgoing]) -> int:
        """Queue jobs as members; return how many were new. Raises :exc:`BatchNotFound`, :exc:`BatchEnded`."""
        self._note({one.queue for one in messages})
        status, new = self._insist("batch_add", batch_id, self._packed(messages))
        self._added(batch_id, status)
        return int(new)

    def close(self, batch_id: str) -> None:
        """Note that the batch may end."""
        self._insist("batch_turn", batch_id, "close")

    def cancel(self, batch_id: str) -> bool:
        """Mark the batch cancelled; False if it is over, or there is none."""
        return bool(self._store.run("batch_turn", batch_id, "cancel"))

    def repair(self, batch_id: str) -> None:
        """Count the members anew, and queue what is due."""
        self._insist("batch_turn", batch_id, "recount")


def tally_in(batch_id: str, fields: dict[bytes, bytes]) -> Tally:
    """Return the batch in a hash's fields."""
    text = {
        name.decode(): value.decode() for name, value in fields.items() if name not in (b"then", b"catch", b"finally")
    }
    finished = text.get("finished")
    return Tally(
        id=batch_id,
        name=text["name"],
        allowed=int(text["allowed"]),
        share=text["share"] == "1",
        owner=text["owner"] or None,
        opener=text["opener"] or None,
        closed=text["closed"] == "1",
        cancelled=text["cancelled"] == "1",
        total=int(text["total"]),
        done=int(text["done"]),
        failed=int(text["failed"]),
        gone=int(text["gone"]),
        fired=tuple(text["fired"].split()),
        created=float(text["created"]),
        updated=float(text["updated"]),
        finished=None if finished is None else float(finished),
        held="held" in text,
    )
