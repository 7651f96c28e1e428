"""The batched Kombu channel: Celery's way into an engine.

A virtual transport whose unit is a batch. Publishing is one engine call; consuming in a worker is done by a
fetch thread that hands whole batches to Celery's event loop; acknowledgements go to the thread that settles.
Outside a worker (``inspect``, ``events``, scripts) the same channel polls, and settles at once.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from queue import Empty
from typing import Any, Final

from kombu.transport import virtual
from kombu.transport.virtual.exchange import FanoutExchange

from umbel.engine import envelope
from umbel.engine.broker_errors import sent_once
from umbel.engine.burial import letter_of
from umbel.engine.collecting import sink
from umbel.engine.delivered import Fed, Message, tagged
from umbel.engine.failures import FAILURES
from umbel.engine.fetcher import Fetcher
from umbel.engine.patience import until_back
from umbel.engine.registry import open_engine
from umbel.engine.store import Delivery, Engine, Outgoing, Settled
from umbel.errors import PayloadTooLarge, StoreError

__all__ = ("Channel", "Message", "QoS", "Transport")

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.02
_TOUCH_SECONDS: Final = 10.0


class QoS(virtual.QoS):
    """Acknowledgements of what was delivered. Thread-safe; nothing is kept but the deliveries."""

    def __init__(self, channel: Channel, prefetch_count: int = 0) -> None:
        self.channel: Channel = channel
        self.prefetch_count = prefetch_count or 0
        self._delivered: dict[int, Delivery] = {}
        #: Takes the end of the next message that is rejected. Set and used on the consuming thread.
        self.on_reject: Callable[[Delivery], None] | None = None

    _REJECTED: Final = "rejected by its worker"

    def can_consume(self) -> bool:
        """Whether another message may be delivered."""
        return not self.prefetch_count or len(self._delivered) < self.prefetch_count

    def append(self, message: Message, delivery_tag: int) -> None:
        """Note a delivered message."""
        if message.delivery is not None:
            self._delivered[delivery_tag] = message.delivery

    def get(self, delivery_tag: int) -> Delivery:
        """Return a delivered message that is not acknowledged yet."""
        return self._delivered[delivery_tag]

    def ack(self, delivery_tag: int) -> None:
        """Settle a message as done."""
        self._settle(delivery_tag, "ack")

    def reject(self, delivery_tag: int, requeue: bool = False) -> None:
        """Give a message back, or make a dead letter of it."""
        if requeue:
            self._settle(delivery_tag, "requeue")
            return
        delivery = self._delivered.pop(delivery_tag, None)
        if delivery is None:
            return
        if self.on_reject is not None:
            self.on_reject(delivery)
        else:
            letter = letter_of(delivery, self._REJECTED, release=self.channel.engine.release)
            self.channel.submit(Settled(delivery_tag, "ack", letter))

    def forget(self, delivery_tag: int) -> None:
        """Note that a message is settled elsewhere."""
        self._delivered.pop(delivery_tag, None)

    def _settle(self, delivery_tag: int, action: str) -> None:
        if self._delivered.pop(delivery_tag, None) is not None:
            self.channel.submit(Settled(delivery_tag, action))

    def restore_unacked(self) -> list[Any]:
        """Give everything back that is not acknowledged."""
        for tag in list(self._delivered):
            self._settle(tag, "requeue")
        return []

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Nothing: what a worker still holds when it ends goes back with its lease."""


class Channel(virtual.Channel):
    """A channel on an engine."""

    QoS = QoS
    Message = Message
    supports_fanout = True
    do_restore = False
    body_encoding = None
    from_transport_options = ()
    exchange_types: Final = {**virtual.Channel.exchange_types, "fanout": FanoutExchange}

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self.engine: Engine = connection.engine
        self._listening: set[str] = set()
        self._touched = 0.0

    # -- publishing -------------------------------------------------------------------------------------------

    def encode_body(self, body: Any, encoding: str | None = None) -> tuple[Any, str | None]:
        """Keep text as it is; bytes (compressed, encrypted) need base64 inside JSON."""
        if encoding is None:
            return (body, "utf-8") if isinstance(body, str) else super().encode_body(body, "base64")
        return super().encode_body(body, encoding)  # type: ignore[no-any-return]

    def _next_delivery_tag(self) -> Any:
        return self.engine.new_tag()

    def basic_publish(self, message: Any, exchange: str, routing_key: str, **kwargs: Any) -> Any:
        """Publish a message. Raises :exc:`ConnectionError` on a closed channel."""
        if self.connection is None:
            # Kombu has connected again while it declared a queue, and goes on with the channel that it had.
            raise ConnectionError("The connection was lost before the message was sent.")
        return super().basic_publish(message, exchange, routing_key, **kwargs)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        message = self.connection.protection.apply(message)
        outgoing = envelope.outgoing(queue, message, self._get_message_priority(message))
        # What a retried job carries of its failures is not the sender's.
        limited = outgoing.task_id is not None and FAILURES not in message["headers"]
        if limited and len(outgoing.payload) > self.connection.max_payload_bytes:
            name = str(message["headers"].get("task"))
            raise PayloadTooLarge(name, len(outgoing.payload), self.connection.max_payload_bytes)
        self.publish([outgoing])

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        payload = envelope.encode(self.connection.protection.apply(message))
        queues = sorted({queue for _, _, queue in self.get_table(exchange)})
        if queues:
            self.publish([Outgoing(queue, payload) for queue in queues])

    def publish(self, messages: list[Outgoing]) -> None:
        """Store ``messages``, or leave them to whoever collects them in this context."""
        collected = sink()
        if collected is not None:
            collected += messages
            return
        with sent_once():
            self.engine.enqueue(messages)

    # -- declaring --------------------------------------------------------------------------------------------

    def queue_declare(self, queue: str | None = None, passive: bool = False, **kwargs: Any) -> Any:
        """Declare a queue; one that deletes itself belongs to its listener."""
        self._transient = bool(kwargs.get("auto_delete") or kwargs.get("exclusive"))
        return super().queue_declare(queue, passive, **kwargs)

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        until_back(lambda: self.engine.names.declare(queue, transient=self._transient))

    _transient = False

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return until_back(lambda: self.engine.names.exists(queue))

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        until_back(lambda: self.engine.names.bind(exchange, routing_key or "", pattern or "", queue))

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return the bindings of ``exchange`` as every process declared them."""
        return until_back(lambda: self.engine.names.bindings(exchange))

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any) -> None:
        """Delete a queue and what waits in it."""
        if if_empty and self._size(queue):
            return
        self.engine.names.drop(queue)
        self.state.queue_bindings_delete(queue)

    def _size(self, queue: str) -> int:
        return until_back(lambda: self.engine.names.size(queue))

    def _purge(self, queue: str) -> int:
        return self.engine.purge(queue)

    # -- consuming --------------------------------------------------------------------------------------------

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> None:
        """Start to consume; without acknowledgement a message is removed as it is taken."""
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        if no_ack:
            self._listening.add(queue)
        self.connection.changed()

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop consuming."""
        self._listening.discard(self._tag_to_queue.get(consumer_tag, ""))
        super().basic_cancel(consumer_tag)
        if self.connection is not None:
            self.connection.changed()

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        self.connection.ensure_lease()
        for delivery in self.engine.fetch({queue: 0}, 1):
            return tagged(delivery, self.connection.protection)
        raise Empty()

    def poll_once(self, deliver: Callable[[dict[str, Any], str], None]) -> bool:
        """Deliver one message for this channel's consumers, outside a worker's loop; return whether there was one.

        One, because Kombu's callers count what they drain: a mailbox waits for its next answer in its next call.
        """
        self.touch()
        for queue in list(self._active_queues):
            for delivery in self._one_of(queue):
                # The others come first next time.
                self._active_queues.remove(queue)
                self._active_queues.append(queue)
                deliver(tagged(delivery, self.connection.protection), queue)
                return True
        return False

    def _one_of(self, queue: str) -> list[Delivery]:
        if queue in self._listening:
            return self.engine.take(queue, 1)
        if not self.qos.can_consume():
            return []
        self.connection.ensure_lease()
        return self.engine.fetch({queue: 0}, 1)

    def touch(self) -> None:
        """Keep this channel's own queues alive."""
        now = time.monotonic()
        if self._listening and now - self._touched > _TOUCH_SECONDS:
            self._touched = now
            self.engine.names.touch(self._listening)

    def release_slot(self) -> None:
        """Tell the fetcher that one fetched message is out of the way."""
        connection: Transport | None = self.connection
        fetcher = connection.fetcher if connection is not None else None
        if fetcher is not None:
            fetcher.finished()

    def submit(self, entry: Settled) -> None:
        """Settle ``entry``: soon in a worker, at once elsewhere."""
        connection: Transport | None = self.connection
        fetcher = connection.fetcher if connection is not None else None
        if fetcher is not None:
            fetcher.flusher.submit(entry)
            fetcher.finished()
        else:
            self.engine.settle([entry])


class Transport(virtual.Transport, Fed):
    """Kombu's view of an engine. The URL is kept whole."""

    Channel = Channel
    can_parse_url = True
    driver_type = "umbel"
    driver_name = "sqlite"
    default_port = None
    polling_interval = None
    connection_errors = (StoreError, sqlite3.Error, OSError)
    channel_errors = (*virtual.Transport.channel_errors, StoreError)
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"]), heartbeats=False
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        options = client.transport_options
        self.engine: Engine = open_engine(
            client.hostname,
            durability=options.get("durability", "normal"),
            crash_limit=options.get("crash_limit", 3),
            prefix=options.get("prefix", options.get("global_keyprefix", "")),
            keep=options.get("keep"),
            release=options.get("release"),
        )
        self.max_payload_bytes: int = options.get("max_payload_bytes", 1 << 30)
        self.protection = options.get("protection", self.protection)
        self.fetcher: Fetcher | None = None
        self._consumers: dict[str, Any] = {}

    def driver_version(self) -> str:
        """Return SQLite's version."""
        return sqlite3.sqlite_version

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """Return the URL; it holds no secret."""
        return uri

    def verify_connection(self, connection: Any) -> bool:
        """Nothing can be lost between here and a file."""
        return True

    def establish_connection(self) -> Any:
        """Open the store, so that a wrong URL fails here."""
        until_back(self.engine.check)
        return super().establish_connection()

    def close_connection(self, connection: Any) -> None:
        """Close the channels, and stop fetching."""
        fetcher, self.fetcher = self.fetcher, None
        if fetcher is not None:
            fetcher.stop()
        super().close_connection(connection)

    def attach(self, fetcher: Fetcher) -> None:
        """Let ``fetcher`` feed this connection's consumers through Celery's event loop."""
        self.fetcher = fetcher
        self.changed()

    def changed(self) -> None:
        """Tell the fetcher which queues are consumed now."""
        self._consumers = {queue: channel for channel in list(self.channels) for queue in channel._active_queues}
        if self.fetcher is not None:
            self.fetcher.consume(*self.consumed())

    def consumed(self) -> tuple[list[str], list[str]]:
        """Return the queues whose messages are acknowledged, and those that are only listened to."""
        held: list[str] = []
        heard: list[str] = []
        for channel in list(self.channels):
            for queue in channel._active_queues:
                (heard if queue in channel._listening else held).append(queue)
        return held, heard

    def touch(self) -> None:
        """Keep the queues of this connection's listeners alive."""
        for channel in list(self.channels):
            channel.touch()

    def ensure_lease(self) -> None:
        """Hold messages in this process's name, when it consumes without being a worker."""
        self.engine.ensure_lease(self.consumed()[0])

    def open(self, delivery: Delivery) -> dict[str, Any] | None:
        """Return the envelope of ``delivery``; None if nobody consumes its queue any more, or it is damaged."""
        channel = self._channel_of(delivery.queue)
        if channel is None:
            self._unwanted(delivery)
            return None
        try:
            raw: dict[str, Any] = tagged(delivery, self.protection)
            return raw
        except ValueError as error:
            logger.error("A message of queue %s is damaged and became a dead letter: %s", delivery.queue, error)
            letter = letter_of(delivery, str(error), error=error, release=self.engine.release)
            channel.submit(Settled(delivery.seq, "ack", letter))
            return None

    def peek(self, delivery: Delivery) -> dict[str, Any] | None:
        """Return the envelope of ``delivery``; None if :meth:`open` has something to say about it."""
        channel = self._channel_of(delivery.queue)
        try:
            return None if channel is None else tagged(delivery, self.protection)
        except ValueError:
            return None

    def deliver(self, delivery: Delivery, raw: dict[str, Any]) -> None:
        """Hand one message to its consumer; called on Celery's event loop."""
        self._deliver(raw, delivery.queue)

    def _channel_of(self, queue: str) -> Any:
        return self._consumers.get(queue)

    def _unwanted(self, delivery: Delivery) -> None:
        entry = Settled(delivery.seq, "requeue")
        if self.fetcher is not None:
            self.fetcher.flusher.submit(entry)
            self.fetcher.finished()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Nothing: the worker's consumer attaches a fetcher when it knows its pool."""

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver what comes within ``timeout`` seconds. Raises :exc:`socket.timeout` if nothing does."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if any(channel.poll_once(self._deliver) for channel in list(self.channels)):
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(_POLL_SECONDS)
