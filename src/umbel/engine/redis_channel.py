"""The batched channel on Redis: the same as any engine's, with Kombu's way to broadcast."""

from __future__ import annotations

from typing import Any

import redis

from umbel.engine import envelope
from umbel.engine.channel import Channel, Transport
from umbel.engine.redis import RedisEngine
from umbel.engine.redis_address import shown

__all__ = ("RedisChannel", "RedisTransport")


class RedisChannel(Channel):
    """A channel on the Redis engine."""

    engine: RedisEngine

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        #: The queues of this channel that are bound to a broadcast exchange, with what they listen to.
        self._topics: dict[str, bytes] = {}

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        protected = self.connection.protection.apply(message)
        self.engine.fanout.publish(exchange, routing_key or "", envelope.encode(protected))

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        super()._queue_bind(exchange, routing_key, pattern, queue)
        if self.typeof(exchange).type == "fanout":
            self._topics[queue] = self.engine.fanout.topic(exchange, routing_key or "")

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> None:
        """Start to consume; a broadcast is heard from now on, and needs no acknowledgement."""
        topic = self._topics.get(queue)
        if topic is not None:
            self.engine.fanout.subscribe(queue, topic)
        super().basic_consume(queue, no_ack or topic is not None, callback, consumer_tag, **kwargs)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop consuming."""
        queue = self._tag_to_queue.get(consumer_tag, "")
        super().basic_cancel(consumer_tag)
        if self.engine.fanout.hears(queue):
            self.engine.fanout.unsubscribe(queue)


class RedisTransport(Transport):
    """Kombu's view of the Redis engine."""

    Channel = RedisChannel
    # Celery and Kombu ask for it where Redis differs from AMQP.
    driver_type = "redis"
    driver_name = "redis"

    def driver_version(self) -> str:
        """Return redis-py's version."""
        return redis.__version__

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """Return the URL without its password."""
        return uri if include_password else shown(uri)
