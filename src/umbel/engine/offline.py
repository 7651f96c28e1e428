"""Celery's way of publishing, where no broker may be asked: messages are made, and left to whoever collects them.

A dispatch asks its broker to declare a queue and what is bound to an exchange. Here the declarations of the
application itself are the answer, in memory, so that a job can be dispatched into a database transaction while the
broker is down. Only an exchange that this application has not declared is looked up at the store.
"""

from __future__ import annotations

from typing import Any

import kombu
from kombu.transport import virtual

from umbel.engine.channel import Channel, Transport
from umbel.engine.registry import engine_of, is_rabbit

__all__ = ("OfflineProducer",)


class OfflineProducer:
    """Makes the producer of one block; nothing is made until a dispatch needs it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._producer: kombu.Producer | None = None

    def __call__(self) -> kombu.Producer:
        """Return the producer."""
        if self._producer is None:
            url = str(self._app.conf.broker_write_url or self._app.conf.broker_url)
            options = {
                "nowhere": _Nowhere(engine_of(self._app, url), str(self._app.conf.event_exchange)),
                "max_payload_bytes": self._app.settings.max_payload_bytes,
                "protection": self._app.protection,
                "routed": not is_rabbit(url),
            }
            connection = kombu.Connection(transport=_Transport, transport_options=options)
            self._producer = kombu.Producer(connection, auto_declare=False)
        return self._producer


class _Names:
    """The queues and bindings that dispatches declare on their way."""

    def __init__(self, known: Any, events: str) -> None:
        self._known = known
        self._events = events
        self._bindings: dict[str, set[tuple[str, str, str]]] = {}

    def declare(self, name: str, *, transient: bool) -> None:
        """Nothing: whoever publishes to it makes it."""

    def exists(self, name: str) -> bool:
        return True

    def size(self, name: str) -> int:
        return 0

    def bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        self._bindings.setdefault(exchange, set()).add((routing_key, pattern, queue))

    def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
        if exchange == self._events:
            # Who listens now is not who listens when the job is published.
            return []
        found = self._bindings.get(exchange)
        return sorted(found) if found else list(self._known.bindings(exchange))


class _Nowhere:
    """What a channel asks of an engine before it publishes."""

    def __init__(self, engine: Any, events: str) -> None:
        self.names = _Names(engine.names, events)
        self.new_tag = engine.new_tag


class _Channel(Channel):
    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        # Without the patience of a job's end: a transaction is open meanwhile.
        return self.engine.names.bindings(exchange)

    def basic_publish(self, message: Any, exchange: str, routing_key: str, **kwargs: Any) -> Any:
        transport: Any = self.connection
        if transport.routed:
            return super().basic_publish(message, exchange, routing_key, **kwargs)
        # RabbitMQ routes by itself.
        self._inplace_augment_message(message, exchange, routing_key)
        self._put(routing_key, message)
        return None


class _Transport(Transport):
    Channel = _Channel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        virtual.Transport.__init__(self, client, **kwargs)
        options = client.transport_options
        self.engine = options["nowhere"]
        self.max_payload_bytes = options["max_payload_bytes"]
        self.protection = options["protection"]
        self.routed: bool = options["routed"]
        self.fetcher = None
        self._consumers = {}

    def establish_connection(self) -> Any:
        return virtual.Transport.establish_connection(self)
