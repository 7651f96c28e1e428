"""What operators, schedulers and housekeeping ask about RabbitMQ: the broker's counts, and the state store's."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from umbel.engine import envelope
from umbel.engine.burial import letter_of
from umbel.engine.leader import Leader
from umbel.engine.moving import Moving
from umbel.engine.rabbit_dispatch import publish
from umbel.engine.rabbit_lanes import RabbitLanes
from umbel.engine.rabbit_outbox import Outbox
from umbel.engine.rabbit_post import Post, declare, suspects_of
from umbel.engine.rabbit_uniques import RabbitUniques
from umbel.engine.rabbit_wire import from_amqp, keyed
from umbel.engine.state import State
from umbel.engine.store import (
    Delivery,
    Engine,
    Location,
    Outgoing,
    QueueStatus,
    Record,
    Settled,
    Stored,
    WorkerStatus,
)
from umbel.errors import ConfigurationError

__all__ = ("RabbitNames", "RabbitOperations")

logger = logging.getLogger(__name__)


class RabbitNames:
    """Queues and bindings: the broker keeps them itself, and Kombu declares them there."""

    def __init__(self, engine: RabbitOperations) -> None:
        self._engine = engine

    def declare(self, name: str, *, transient: bool) -> None:
        """Declare a queue."""
        with self._engine.post.line.using() as connection:
            declare(connection.default_channel, name)
        self._engine.state.note_queues([name])

    def exists(self, name: str) -> bool:
        """Whether the broker has queue ``name``."""
        return name in self._engine.post.sizes([name])

    def size(self, name: str) -> int:
        """Return how many messages of queue ``name`` are ready."""
        return self._engine.lanes.sizes([name]).get(name, (0, 0))[0]

    def waits(self) -> dict[str, float]:
        """Return nothing: the broker does not show what waits in it."""
        return {}

    def drop(self, name: str) -> None:
        """Remove what waits in a queue."""
        self._engine.lanes.purge(name)

    def mark_paused(self, name: str, *, paused: bool) -> None:
        """Note whether queue ``name`` may be fetched from."""
        self._engine.state.mark_paused(name, paused=paused)

    def touch(self, names: Iterable[str]) -> None:
        """Nothing: the broker sees its listeners."""

    def bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Let ``exchange`` feed ``queue``."""
        with self._engine.post.line.using() as connection:
            connection.default_channel.queue_bind(queue, exchange, routing_key)

    def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return nothing: the broker does not tell."""
        return []


class RabbitOperations(Engine):
    """The part of the RabbitMQ engine that no job waits for."""

    post: Post
    lanes: RabbitLanes
    outbox: Outbox
    state: State
    delay_step = 1.0

    def anew(self, payload: str) -> str:
        """Without its key, by which it is known that the job of this message has ended."""
        raw = envelope.decode(payload)
        raw["properties"].pop("message_id", None)
        return envelope.encode(raw)

    @property
    def names(self) -> RabbitNames:  # type: ignore[override]
        """The queues, as the broker knows them."""
        return RabbitNames(self)

    @property
    def uniques(self) -> RabbitUniques:  # type: ignore[override]
        """The keys that one job has at a time."""
        return RabbitUniques(self.state, lambda known: publish(self.state, self.lanes, known))

    @property
    def moving(self) -> Moving:  # type: ignore[override]
        """Nothing: RabbitMQ moves messages by itself. Raises :exc:`ConfigurationError`."""
        raise ConfigurationError(
            "What waits in RabbitMQ is in Celery's own form already, and is moved by RabbitMQ's own tools (a shovel): "
            "'umbel migrate' and 'umbel release' are for the embedded file and for Redis."
        )

    def leader(self, name: str) -> Leader:
        return self.state.leader(name)

    def tick(self, leader: Leader, messages: Sequence[Outgoing], entry: str, last_run: float, runs: int) -> bool:
        """Write a tick's messages to the outbox together with the fact that its entry has run, and publish them."""
        posted = self.state.tick(leader, [keyed(one)[0] for one in messages], entry, last_run, runs)
        if posted is None:
            return False
        self.outbox.publish(posted)
        return True

    def last_ticks(self) -> dict[str, tuple[float, int]]:
        return self.state.last_ticks()

    def read(self, task_ids: Sequence[str]) -> list[Stored]:
        return self.state.read(task_ids)

    def forget(self, task_id: str) -> None:
        self.state.forget(task_id)

    def cancel(self, task_id: str, record: Record | None, *, running: bool = True) -> bool:
        return self.state.cancel(task_id, record, running=running)

    def suspects(self, queues: Sequence[str] | None = None) -> int:
        return self.state.suspects(queues)

    def take(self, queue: str, limit: int) -> list[Delivery]:
        found = [from_amqp(queue, message, 0) for message in self.post.take(queue, limit)]
        return [Delivery(0, queue, raw.payload, 1, task_id=raw.task_id) for raw in found]

    def queues(self) -> list[QueueStatus]:
        counts = self.state.counts()
        sizes = self.lanes.sizes(one.name for one in counts)
        found = []
        for one in counts:
            ready, consumers = sizes.get(one.name, (0, 0))
            found.append(replace(one, ready=ready, consumers=consumers))
        return found

    def workers(self) -> list[WorkerStatus]:
        return self.state.workers()

    def locate(self, task_id: str) -> Location | None:
        return self.state.locate(task_id)

    def purge(self, queue: str, *, upto: int | None = None) -> int:
        dropped = self.lanes.purge(queue) + self.post.purge(suspects_of(queue))
        return dropped + self.state.drop_delayed(queue)

    def _on_dead(self, message: Any) -> None:
        """Keep what the broker itself has dropped."""
        deaths = (message.properties.get("application_headers") or {}).get("x-death") or [{}]
        queue, reason = self.lanes.home_of(str(deaths[0].get("queue", ""))), str(deaths[0].get("reason", "unknown"))
        logger.error("The broker has dropped a message of queue %s (%s): it is a dead letter.", queue, reason)
        raw = from_amqp(queue, message, 0)
        lost = Delivery(0, queue, raw.payload, max(1, raw.count), task_id=raw.task_id)
        letter = letter_of(lost, f"dropped by the broker: {reason}", release=self.release)
        self.settle([Settled(letter=letter)])

    def sweep(self) -> None:
        self.state.sweep()
        self.lanes.sweep()

    def shrink(self) -> None:
        """Nothing: broker and store look after their own memory."""
