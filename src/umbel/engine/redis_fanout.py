"""Broadcasts over Redis as Kombu sends them: remote control and events, by publish and subscribe."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from umbel.engine.redis_store import RedisStore

__all__ = ("RedisFanout",)


class RedisFanout:
    """What this process's listeners hear. One connection, opened with the first of them."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._pubsub: Any = None
        self._losses = 0
        self._topics: dict[str, bytes] = {}
        self._inbox: dict[str, deque[bytes]] = {}

    def topic(self, exchange: str, routing_key: str) -> bytes:
        """Return the channel on which Kombu publishes for ``exchange``."""
        database = self._store.client.connection_pool.connection_kwargs.get("db") or 0
        name = f"/{database}.{exchange}"
        return self._store.kombu(f"{name}/{routing_key.replace('#', '*')}" if routing_key else name)

    def publish(self, exchange: str, routing_key: str, payload: str) -> None:
        """Send to whoever listens now."""
        with self._store.asking() as client:
            client.publish(self.topic(exchange, routing_key), payload)

    def subscribe(self, queue: str, topic: bytes) -> None:
        """Let ``queue`` hear ``topic`` from when this returns."""
        with self._lock, self._store.asking() as client:
            if self._pubsub is None:
                self._pubsub, self._losses = client.pubsub(), self._store.losses
            self._topics[queue] = topic
            self._inbox.setdefault(queue, deque())
            # A server lets a user who may hear some channels only follow patterns that are written out in its rights.
            (self._pubsub.psubscribe if _is_pattern(topic) else self._pubsub.subscribe)(topic)
            # Only the server's word makes it sure that nothing is missed.
            while not self._confirmed(self._pubsub.get_message(timeout=5.0), topic):
                pass

    def _confirmed(self, message: Any, topic: bytes) -> bool:
        if message is None:
            return True
        self._sort(message)
        return bool(message["type"] in ("psubscribe", "subscribe") and message["channel"] == topic)

    def unsubscribe(self, queue: str) -> None:
        """Stop listening for ``queue``."""
        with self._lock:
            topic = self._topics.pop(queue, None)
            self._inbox.pop(queue, None)
            if topic is not None and topic not in self._topics.values():
                with self._store.translated():
                    (self._pubsub.punsubscribe if _is_pattern(topic) else self._pubsub.unsubscribe)(topic)

    def hears(self, queue: str) -> bool:
        """Whether ``queue`` is one of the listeners."""
        return queue in self._topics

    def take(self, queue: str, limit: int) -> list[bytes]:
        """Return up to ``limit`` messages that have come for ``queue``."""
        with self._lock:
            if self._pubsub is not None:
                with self._store.translated():
                    self._hear_again()
                    while (message := self._pubsub.get_message(timeout=0)) is not None:
                        self._sort(message)
            inbox = self._inbox.get(queue)
            return [inbox.popleft() for _ in range(min(limit, len(inbox)))] if inbox else []

    def _hear_again(self) -> None:
        """Open another connection where this one was lost without a word: nobody asks anything over it."""
        if self._losses != self._store.losses and self._pubsub.connection is not None:
            losses = self._store.losses
            self._pubsub.connection.disconnect()
            # It subscribes again to everything as soon as it is there.
            self._pubsub.connection.connect()
            self._losses = losses

    def _sort(self, message: Any) -> None:
        if message["type"] in ("pmessage", "message"):
            heard = message["pattern"] or message["channel"]
            for queue, topic in self._topics.items():
                if topic == heard:
                    self._inbox[queue].append(message["data"])

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable when something comes; None while nobody listens."""
        connection = self._pubsub.connection if self._pubsub is not None and self._topics else None
        socket = connection._get_socket() if connection is not None else None
        return None if socket is None else int(socket.fileno())

    def close(self) -> None:
        """Close the connection; the topics are heard again when somebody subscribes anew."""
        with self._lock:
            pubsub, self._pubsub = self._pubsub, None
            self._topics.clear()
            self._inbox.clear()
            if pubsub is not None:
                pubsub.close()


def _is_pattern(topic: bytes) -> bool:
    return any(sign in topic for sign in b"*?[")
