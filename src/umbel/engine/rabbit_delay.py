"""Delayed messages at the broker: the exchanges and queues of Celery's native delayed delivery.

A delay is written in binary into the routing key. Each of 28 queues, with a time to live of a power of two seconds,
holds what has its bit set; what comes out at the end goes to the queue that the key ends with. So jobs for the future
are at the broker, in no worker's memory, and a million of them cost as much as a few.
"""

from __future__ import annotations

import time
from typing import Any, Final

import amqp
from kombu import Connection
from kombu.transport.native_delayed_delivery import (
    CELERY_DELAYED_DELIVERY_EXCHANGE,
    MAX_NUMBER_OF_BITS_TO_USE,
    calculate_routing_key,
    declare_native_delayed_delivery_exchanges_and_queues,
    level_name,
)

from umbel.engine.rabbit_line import Line

__all__ = ("Delays",)

#: Exactly the bits before the queue's name: Celery's own ``#.name`` would also match a longer name's end.
_BITS: Final = "*." * MAX_NUMBER_OF_BITS_TO_USE
_MOST_SECONDS: Final = (1 << MAX_NUMBER_OF_BITS_TO_USE) - 1


class Delays:
    """Knows what of it has been declared on one connection."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._declared = -1
        self._bound: set[str] = set()

    def bind(self, connection: Connection, channel: Any, queue: str) -> None:
        """Let delayed messages find ``queue``, which exists."""
        if self._declared != self._line.generation:
            self._bound.clear()
            _declare(connection)
            self._declared = self._line.generation
        if queue not in self._bound:
            channel.queue_bind(queue, CELERY_DELAYED_DELIVERY_EXCHANGE, _BITS + queue)
            self._bound.add(queue)

    @staticmethod
    def target(queue: str, due: float) -> tuple[str, str] | None:
        """Return (exchange, routing key) for a message that is due at ``due``; None if that is within a second."""
        # Rounded down: whoever receives it early keeps it for the rest.
        seconds = min(int(due - time.time()), _MOST_SECONDS)
        if seconds < 1:
            return None
        return level_name(MAX_NUMBER_OF_BITS_TO_USE - 1), calculate_routing_key(seconds, queue)


def _declare(connection: Connection) -> None:
    with connection.channel() as channel:
        try:
            channel.exchange_declare(CELERY_DELAYED_DELIVERY_EXCHANGE, "topic", passive=True)
        except amqp.exceptions.NotFound:
            pass
        else:
            return
    declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
