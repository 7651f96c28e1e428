"""Kombu's own transport for RabbitMQ, with jobs led through the engine.

Exchanges, queues, bindings, remote control and events are Kombu's and the broker's, untouched. Two things differ: a
job that is published goes through :class:`umbel.engine.rabbit.RabbitEngine`, which knows it from then on and has it
confirmed; and in a worker the queues of jobs are consumed by the engine's fetch thread, not on Celery's event loop.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from kombu.transport import pyamqp
from kombu.transport.virtual.base import Base64

from umbel.engine.broker_errors import sent_once
from umbel.engine.burial import letter_of
from umbel.engine.channel import QoS
from umbel.engine.collecting import sink
from umbel.engine.delivered import Fed, Message, tagged
from umbel.engine.failures import FAILURES
from umbel.engine.fetcher import Fetcher
from umbel.engine.rabbit import RabbitEngine
from umbel.engine.rabbit_wire import outgoing
from umbel.engine.registry import open_engine
from umbel.engine.store import Delivery, Settled
from umbel.errors import PayloadTooLarge, StoreError

__all__ = ("Desk", "RabbitChannel", "RabbitSSLTransport", "RabbitTransport")

logger = logging.getLogger(__name__)

_OWN: Final = (
    "url",
    "durability",
    "crash_limit",
    "prefix",
    "state_url",
    "ssl",
    "max_payload_bytes",
    "keep",
    "protection",
    "release",
)


class Desk:
    """Where a worker's jobs are delivered and settled: what Celery asks of a message's channel, and no more."""

    Message = Message
    body_codec: Final = Base64()

    def __init__(self, transport: RabbitTransport) -> None:
        self.connection = transport
        self.engine = transport.engine
        self.qos = QoS(self)  # type: ignore[arg-type]
        self.no_ack_consumers: set[str] = set()

    def decode_body(self, body: Any, encoding: str | None = None) -> Any:
        """Return a body as it was before it was put into an envelope."""
        return self.body_codec.decode(body) if encoding == "base64" else body

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Settle a message as done."""
        self.qos.ack(delivery_tag)

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        """Give a message back, or make a dead letter of it."""
        self.qos.reject(delivery_tag, requeue)

    def release_slot(self) -> None:
        """Tell the fetcher that one fetched message is out of the way."""
        fetcher = self.connection.fetcher
        if fetcher is not None:
            fetcher.finished()

    def submit(self, entry: Settled) -> None:
        """Settle ``entry`` soon."""
        fetcher = self.connection.fetcher
        if fetcher is not None:
            fetcher.flusher.submit(entry)
            fetcher.finished()
        else:
            self.engine.settle([entry])


class RabbitChannel(pyamqp.Channel):
    """A channel at the broker."""

    def __init__(self, connection: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(connection, *args, **kwargs)
        # Kombu looks it up on the instance, where confirmations may have put another one.
        self._send: Any = self.basic_publish
        self.basic_publish: Any = self._publish

    @property
    def _transport(self) -> RabbitTransport:
        transport: RabbitTransport = self.connection.client.transport
        return transport

    def _publish(self, message: Any, exchange: str = "", routing_key: str = "", **options: Any) -> Any:
        headers = message.properties.get("application_headers") or {}
        if not ("task" in headers and "id" in headers):
            return self._send(message, exchange, routing_key, **options)
        job = outgoing(message, exchange, routing_key, self._transport.protection)
        limit = self._transport.max_payload_bytes
        # What a retried job carries of its failures is not the sender's.
        if len(job.payload) > limit and FAILURES not in headers:
            raise PayloadTooLarge(str(headers["task"]), len(job.payload), limit)
        collected = sink()
        if collected is None:
            with sent_once():
                self._transport.engine.enqueue([job])
        else:
            collected.append(job)
        return None

    def queue_declare(self, queue: str = "", passive: bool = False, **options: Any) -> Any:
        """Declare a queue; one that is there already, declared otherwise, is used as it is."""
        try:
            return super().queue_declare(queue, passive, **options)
        except self.connection.channel_errors as error:
            if passive or getattr(error, "reply_code", None) != 406 or not options.get("durable"):
                raise
            return super().queue_declare(queue, passive=True)

    def queue_purge(self, queue: str, nowait: bool = False) -> int:
        """Drop what is ready in a queue, and in its lanes."""
        engine = self._transport.engine
        assert isinstance(engine, RabbitEngine)
        return engine.lanes.purge(queue)

    def basic_consume(self, queue: str, consumer_tag: str = "", no_ack: bool = False, **options: Any) -> Any:
        """Consume; in a worker the engine does, for jobs."""
        transport = self._transport
        if no_ack or transport.fetcher is None:
            return super().basic_consume(queue, consumer_tag, no_ack=no_ack, **options)
        transport.consume(queue, consumer_tag, options["callback"])
        return consumer_tag

    def basic_cancel(self, consumer_tag: str, **options: Any) -> Any:
        """Stop consuming."""
        if not self._transport.cancel(consumer_tag):
            return super().basic_cancel(consumer_tag, **options)
        return None

    def message_to_python(self, raw_message: Any) -> Any:
        """Return Kombu's message; what the engine delivers is one."""
        return raw_message if isinstance(raw_message, Message) else super().message_to_python(raw_message)


class _Connection(pyamqp.Connection):
    Channel = RabbitChannel


class RabbitTransport(pyamqp.Transport, Fed):
    """Kombu's transport, with an engine beside it."""

    Connection = _Connection
    # Celery delays by itself where it says amqp, and only through exchanges that are not direct.
    driver_type = "rabbitmq"
    recoverable_connection_errors = (*pyamqp.Transport.recoverable_connection_errors, StoreError)
    connection_errors = (*pyamqp.Transport.connection_errors, StoreError)

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        options = client.transport_options
        self.max_payload_bytes: int = options.get("max_payload_bytes", 1 << 30)
        self.protection = options.get("protection", self.protection)
        self.engine = _engine(client, options)
        self.fetcher: Fetcher | None = None
        self.channels = [Desk(self)]
        #: Consumers of jobs in a worker: tag -> (queue, callback).
        self._consumers: dict[str, tuple[str, Any]] = {}

    def establish_connection(self) -> Any:
        """Connect, with those options that are the connection's own."""
        client, options = self.client, self.client.transport_options
        client.transport_options = {name: value for name, value in options.items() if name not in _OWN}
        try:
            return super().establish_connection()
        finally:
            client.transport_options = options

    def close_connection(self, connection: Any) -> None:
        """Close the connection, and stop fetching."""
        self._stop()
        super().close_connection(connection)

    def _collect(self, connection: Any) -> None:
        self._stop()
        super()._collect(connection)

    def _stop(self) -> None:
        fetcher, self.fetcher = self.fetcher, None
        self._consumers.clear()
        if fetcher is not None:
            fetcher.stop()

    # -- a worker's jobs --------------------------------------------------------------------------------------

    def attach(self, fetcher: Fetcher) -> None:
        """Let ``fetcher`` feed this connection's consumers through Celery's event loop."""
        self.fetcher = fetcher
        self._changed()

    def consume(self, queue: str, tag: str, callback: Any) -> None:
        """Let ``callback`` have the jobs of ``queue``."""
        self._consumers[tag] = (queue, callback)
        self._changed()

    def cancel(self, tag: str) -> bool:
        """Stop a consumer of jobs; return whether it was one."""
        found = self._consumers.pop(tag, None) is not None
        if found:
            self._changed()
        return found

    def _changed(self) -> None:
        if self.fetcher is not None:
            self.fetcher.consume([queue for queue, _ in self._consumers.values()], [])

    def touch(self) -> None:
        """Nothing: the broker sees its listeners."""

    def open(self, delivery: Delivery) -> dict[str, Any] | None:
        """Return the envelope of ``delivery``; None if nobody consumes its queue any more, or it is damaged."""
        (desk,) = self.channels
        if self._callback(delivery.queue) is None:
            desk.submit(Settled(delivery.seq, "requeue"))
            return None
        try:
            return tagged(delivery, self.protection)
        except ValueError as error:
            logger.error("A message of queue %s is damaged and became a dead letter: %s", delivery.queue, error)
            letter = letter_of(delivery, str(error), error=error, release=self.engine.release)
            desk.submit(Settled(delivery.seq, "ack", letter))
            return None

    def peek(self, delivery: Delivery) -> dict[str, Any] | None:
        """Return the envelope of ``delivery``; None if :meth:`open` has something to say about it."""
        try:
            return None if self._callback(delivery.queue) is None else tagged(delivery, self.protection)
        except ValueError:
            return None

    def deliver(self, delivery: Delivery, raw: dict[str, Any]) -> None:
        """Hand one message to its consumer; called on Celery's event loop."""
        (desk,) = self.channels
        message = Message(raw, channel=desk)
        desk.qos.append(message, delivery.seq)
        callback = self._callback(delivery.queue)
        if callback is not None:
            callback(message)

    def _callback(self, queue: str) -> Any:
        return next((callback for name, callback in self._consumers.values() if name == queue), None)


class RabbitSSLTransport(RabbitTransport):
    """The same, encrypted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.client.ssl:
            self.client.ssl = True


def _engine(client: Any, options: dict[str, Any]) -> RabbitEngine:
    engine = open_engine(
        options["url"],
        crash_limit=options.get("crash_limit", 3),
        prefix=options.get("prefix", ""),
        state_url=options.get("state_url", ""),
        ssl=options.get("ssl"),
        keep=options.get("keep"),
        release=options.get("release"),
    )
    assert isinstance(engine, RabbitEngine)
    return engine
