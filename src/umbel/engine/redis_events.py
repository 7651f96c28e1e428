"""What happened to jobs, in a stream of Redis, until it has been recorded."""

from __future__ import annotations

from typing import Any, Final

from umbel.engine.redis_store import RedisStore, identity
from umbel.engine.redis_wire import queue_of, read_element
from umbel.state.events import KEPT_SECONDS, Event, Heard, Logged, Queued, Teller, unpack_ends

__all__ = ("RedisEvents",)


class RedisEvents(Teller):
    """The log of one database. Its scripts write to it."""

    in_memory = True

    def __init__(self, store: RedisStore) -> None:
        super().__init__()
        self._store = store
        #: Each fetch says it by the way.
        self.heard: Final = Heard(self.is_kept)

    @property
    def known(self) -> bool:
        """Whether what happens is kept, as far as this process has heard."""
        return self.heard()

    def identity(self) -> str:
        return identity(self._store)

    def expect(self, seconds: float = KEPT_SECONDS) -> None:
        with self._store.asking() as client:
            client.set(self._store.key("recorder"), 1, px=max(1, int(seconds * 1000)))

    def is_kept(self) -> bool:
        with self._store.asking() as client:
            return bool(client.exists(self._store.key("recorder")))

    def read(self, limit: int, after: str | None = None) -> Logged | None:
        with self._store.asking() as client:
            start = "-" if after is None else f"({after}"
            entries = client.xrange(self._store.key("events"), min=start, count=limit)
        if not entries:
            return None
        events = (self._event(fields) for _, fields in entries)
        return Logged(entries[-1][0].decode(), tuple(one for one in events if one is not None))

    def _event(self, fields: dict[bytes, bytes]) -> Event | None:
        if b"e" in fields:
            found = unpack_ends(fields[b"e"], [int(one) for one in fields[b"r"].split()])
            return found if found.ends else None
        if b"q" not in fields:
            # Of a kind that this version does not know.
            return None
        key, due, element = fields[b"q"].split(b"\n", 2)
        payload, queued, priority, task_id = read_element(element)
        return Queued(
            task_id=task_id,
            queue=queue_of(self._store.prefix, key),
            priority=priority or 0,
            at=queued,
            due=float(due) or None,
            payload=payload,
        )

    def drop(self, last: str) -> None:
        at, _, number = last.partition("-")
        with self._store.asking() as client:
            client.xtrim(self._store.key("events"), minid=f"{at}-{int(number) + 1}", approximate=False)

    def lost(self) -> int:
        with self._store.asking() as client:
            return int(client.get(self._store.key("events-lost")) or 0)

    def size(self) -> int:
        with self._store.asking() as client:
            found: Any = client.xlen(self._store.key("events"))
        return int(found)
