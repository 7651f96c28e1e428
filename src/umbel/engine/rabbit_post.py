"""Publishing to RabbitMQ: batches, each message confirmed by the broker before the call returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import amqp
from kombu import Connection

from umbel.engine.rabbit_delay import Delays
from umbel.engine.rabbit_line import Line
from umbel.engine.rabbit_wire import SUSPECTS, to_amqp
from umbel.errors import StoreError, StoreUnreachable

__all__ = ("QUORUM", "Parcel", "Post", "declare")

T = TypeVar("T")

QUORUM: Final = {"x-queue-type": "quorum"}
_CONFIRM_SECONDS: Final = 30.0
_WINDOW: Final = 200


@dataclass(frozen=True, slots=True)
class Parcel:
    """An envelope and where it goes: into ``queue``, or as ``exchange`` routes it."""

    queue: str
    envelope: dict[str, Any]
    due: float | None = None
    exchange: str = ""
    routing_key: str = ""


class Post:
    """The connection on which a process publishes and asks about queues."""

    def __init__(self, url: str, *, ssl: Any = None) -> None:
        self.line = Line(url, ssl=ssl, beats=False, on_open=self._opened)
        self.delays = Delays(self.line)

    def _opened(self, connection: Connection) -> None:
        self._channel: Any = connection.channel()
        self._channel.confirm_select()
        self._asking: Any = connection.channel()
        self._waiting: dict[int, Parcel] = {}
        self._returned: list[Parcel] = []
        self._refused: list[Parcel] = []
        self._next = 1
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)

    # -- publishing -------------------------------------------------------------------------------------------

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Publish ``parcels``, durably. Raises :exc:`StoreError`; some of them may have been published then."""
        try:
            self._send(parcels)
        except StoreUnreachable as error:
            # A connection that was idle may have died unnoticed. What went twice has the same key, and runs once.
            try:
                self._send(parcels)
            except StoreUnreachable as again:
                # What the first try left open no later one that was refused can close.
                again.unsure |= error.unsure
                raise

    def _send(self, parcels: Sequence[Parcel]) -> None:
        with self.line.using() as connection:
            self._returned.clear()
            self._refused.clear()
            try:
                for start in range(0, len(parcels), _WINDOW):
                    for parcel in parcels[start : start + _WINDOW]:
                        self._publish(connection, parcel)
                    self._confirmed(connection)
                for parcel in list(self._returned):
                    # Its queue is not there: nobody has declared it yet.
                    declare(self._asking, parcel.queue)
                    self._publish(connection, parcel)
                self._confirmed(connection)
            except amqp.exceptions.ChannelError:
                self.line.close()
                raise
            if self._refused:
                raise StoreError(
                    self.line.shown, f"{self.line.shown} refused {len(self._refused)} messages: a queue is full."
                )

    def _publish(self, connection: Connection, parcel: Parcel) -> None:
        exchange, key, mandatory = parcel.exchange, parcel.routing_key, False
        if not exchange:
            later = self.delays.target(parcel.queue, parcel.due) if parcel.due is not None else None
            if later is not None:
                self._bind(connection, parcel.queue)
            exchange, key = later or ("", parcel.queue)
            mandatory = later is None
        self._waiting[self._next] = parcel
        self._next += 1
        self._channel.basic_publish(to_amqp(parcel.envelope), exchange, key, mandatory=mandatory)

    def _bind(self, connection: Connection, queue: str) -> None:
        try:
            self.delays.bind(connection, self._asking, queue)
        except amqp.exceptions.NotFound:
            declare(self._asking, queue)
            self.delays.bind(connection, self._asking, queue)

    def _confirmed(self, connection: Connection) -> None:
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while self._waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                self.line.close()
                raise StoreUnreachable(self.line.shown, "it does not confirm what is published")
            connection.drain_events(timeout=left)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for one in [one for one in self._waiting if one <= tag] if multiple else [tag]:
            self._waiting.pop(one, None)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for one in [one for one in self._waiting if one <= tag] if multiple else [tag]:
            parcel = self._waiting.pop(one, None)
            if parcel is not None:
                self._refused.append(parcel)

    def _on_return(self, *arguments: Any) -> None:
        # The broker says this before it confirms; messages come back in their order, by their key.
        message = arguments[-1]
        key = message.properties.get("message_id")
        for parcel in self._waiting.values():
            if parcel.envelope["properties"].get("message_id") == key:
                self._returned.append(parcel)
                return

    # -- asking -----------------------------------------------------------------------------------------------

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Ask the broker; once more over a new connection, because one that was idle may have died unnoticed."""
        try:
            with self.line.using() as connection:
                return question(connection)
        except StoreUnreachable:
            with self.line.using() as connection:
                return question(connection)

    def sizes(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return (messages ready, consumers) of those queues that exist."""
        known = list(names)
        return self.ask(lambda connection: {name: found for name in known if (found := self._size(name)) is not None})

    def _size(self, name: str) -> tuple[int, int] | None:
        try:
            _, ready, consumers = self._asking.queue_declare(name, passive=True)
        except amqp.exceptions.ChannelError:
            # It is not there, or is another connection's own.
            return None
        return ready, consumers

    def lengths(self, names: Sequence[str]) -> list[int]:
        """Return how many messages are ready in each of these queues; those that do not exist are made."""
        return self.ask(lambda _: [self._length(name) for name in names])

    def _length(self, name: str) -> int:
        found = self._size(name)
        if found is None:
            declare(self._asking, name)
            return 0
        return found[0]

    def purge(self, name: str) -> int:
        """Drop what is ready in a queue; return how many that were."""
        return self.ask(lambda connection: self._purge(name))

    def _purge(self, name: str) -> int:
        try:
            return int(self._asking.queue_purge(name) or 0)
        except amqp.exceptions.NotFound:
            return 0

    def take(self, name: str, limit: int) -> list[Any]:
        """Take up to ``limit`` messages off a queue for good."""
        found: list[Any] = []
        with self.line.using():
            while len(found) < limit:
                message = self._asking.basic_get(name, no_ack=True)
                if message is None:
                    break
                found.append(message)
        return found

    def version(self) -> str:
        """Return the broker's version."""
        return self.ask(lambda connection: str(connection.connection.server_properties.get("version", "")))


def declare(channel: Any, name: str) -> str:
    """Declare a lasting queue unless there is one; return its type."""
    try:
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=QUORUM)
    except amqp.exceptions.PreconditionFailed as error:
        # It is there, declared otherwise: that is how it stays.
        channel.queue_declare(name, passive=True)
        return "classic" if "'classic'" in str(error) or "none of type" in str(error) else "declared"
    return "quorum"


def suspects_of(queue: str) -> str:
    """Return the queue of the suspects of ``queue``."""
    return queue + SUSPECTS
