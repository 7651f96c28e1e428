"""Queues and bindings in Redis, in Kombu's own form, so that plain Celery's clients and workers see the same."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import BAND, read_element
from umbel.engine.waits import longest, waited

__all__ = ("RedisNames",)

_TRANSIENT_SECONDS: Final = 60.0
_BANDS: Final = ("", f"{BAND}3", f"{BAND}6", f"{BAND}9")
#: So many lines of a shared queue are looked at, those whose turn is next.
_LINES: Final = 20


class RedisNames:
    """The queues of one database."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._known: set[str] = set()

    def forget(self) -> None:
        """Drop what is remembered (after a fork)."""
        self._known.clear()

    def note(self, names: Iterable[str]) -> None:
        """Remember lasting queues, so that they are listed and counted."""
        new = set(names) - self._known
        if new:
            self._store.sustain(["SADD", self._store.key("queues"), *new])
            self._known |= new

    def all(self) -> list[str]:
        """Return the names of the lasting queues."""
        with self._store.asking() as client:
            return sorted(name.decode() for name in client.smembers(self._store.key("queues")))

    def declare(self, name: str, *, transient: bool) -> None:
        """Make queue ``name`` known; a transient one goes when its listener is gone."""
        if transient:
            self.touch([name])
        else:
            self.note([name])

    def exists(self, name: str) -> bool:
        """Whether queue ``name`` has been declared, or holds something."""
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            pipe.sismember(self._store.key("queues"), name)
            pipe.hexists(self._store.key("listeners"), name)
            pipe.exists(*(self._store.kombu(name + band) for band in _BANDS))
            return any(pipe.execute())

    def size(self, name: str) -> int:
        """Return how many messages of queue ``name`` are ready."""
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            for band in _BANDS:
                pipe.llen(self._store.kombu(name + band))
            pipe.llen(self._store.key(f"front:{name}"))
            pipe.zcard(self._store.key(f"ring:{name}"))
            return int(sum(pipe.execute()))

    def waits(self) -> dict[str, float]:
        """Return how long what is next has been due, in each queue: of each band, and of the next lines."""
        names, key = self.all(), self._store.key
        with self._store.asking() as client:
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.zrange(key(f"ring:{name}"), 0, _LINES - 1)
            lines = dict(zip(names, pipe.execute() if names else (), strict=True))
            heads = [(name, self._store.kombu(name + band)) for name in names for band in _BANDS]
            heads += [(name, self._store.kombu(name + BAND) + line) for name in names for line in lines[name]]
            for _, head in heads:
                # Takers pop at the right.
                pipe.lrange(head, -1, -1)
            pipe.time()
            *found, (seconds, micros) = pipe.execute()
        now = seconds + micros / 1_000_000
        return longest((name, _waited(one[0], now)) for (name, _), one in zip(heads, found, strict=True) if one)

    def drop(self, name: str) -> None:
        """Remove a queue: a transient one with its bindings, of a lasting one only what waits in it."""
        with self._store.asking() as client:
            transient = client.hdel(self._store.key("listeners"), name)
            lines = client.zrange(self._store.key(f"ring:{name}"), 0, -1)
            lists = [self._store.kombu(name + band) for band in _BANDS]
            lists += [self._store.kombu(name + BAND) + line for line in lines]
            client.delete(*lists, self._store.key(f"ring:{name}"))
            client.hdel(self._store.key("turns"), *lists[: len(_BANDS)])
            if transient:
                self._unbind(client, name)

    def _unbind(self, client: Any, name: str) -> None:
        ending = f"{BAND}{name}".encode()
        for exchange in client.smembers(self._store.key("exchanges")):
            key = self._store.kombu(f"_kombu.binding.{exchange.decode()}")
            gone = [member for member in client.smembers(key) if member.endswith(ending)]
            if gone:
                client.srem(key, *gone)

    def mark_paused(self, name: str, *, paused: bool) -> None:
        """Note whether queue ``name``, which is made if there is none, may be fetched from."""
        self.note([name])
        self._store.sustain(["SADD" if paused else "SREM", self._store.key("paused"), name])

    def paused(self) -> set[str]:
        """Return the names of the queues from which nothing is fetched."""
        with self._store.asking() as client:
            return {name.decode() for name in client.smembers(self._store.key("paused"))}

    def touch(self, names: Iterable[str]) -> None:
        """Note that the listeners of ``names`` are alive."""
        marks = [word for name in names for word in (name, time.time())]
        if marks:
            self._store.sustain(["HSET", self._store.key("listeners"), *marks])

    def sweep(self) -> None:
        """Drop the queues whose listeners are gone."""
        limit = time.time() - _TRANSIENT_SECONDS
        with self._store.asking() as client:
            for name, seen in client.hgetall(self._store.key("listeners")).items():
                if float(seen) < limit:
                    self.drop(name.decode())

    # -- bindings ---------------------------------------------------------------------------------------------

    def bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Let ``exchange`` feed ``queue``."""
        member = BAND.join((routing_key, pattern, queue))
        self._store.sustain(
            ["SADD", self._store.key("exchanges"), exchange],
            ["SADD", self._store.kombu(f"_kombu.binding.{exchange}"), member],
        )

    def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return (routing key, pattern, queue) of everything bound to ``exchange``."""
        with self._store.asking() as client:
            found = client.smembers(self._store.kombu(f"_kombu.binding.{exchange}"))
        return [(key, pattern, queue) for key, pattern, queue in (value.decode().split(BAND) for value in found)]


def _waited(element: bytes, now: float) -> float | None:
    payload, queued, _, _ = read_element(element)
    return waited(queued, payload, now)
