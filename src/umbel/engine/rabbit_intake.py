"""Receiving from RabbitMQ: the connection on which a worker process consumes and acknowledges.

The broker sends as many messages of a queue as there are free slots and no more. They wait here, unclaimed, until
the fetch thread takes them. Acknowledgements come from the settling thread, under the connection's lock: the transport
is not safe for two threads at once. A tag ends with its connection; what it named is then delivered again, and the
state store knows it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import amqp
from kombu import Connection

from umbel.engine.rabbit_delay import Delays
from umbel.engine.rabbit_line import Line
from umbel.engine.rabbit_post import declare, suspects_of
from umbel.engine.rabbit_wire import Raw, from_amqp
from umbel.errors import StoreError

__all__ = ("DEAD_QUEUE", "Intake")

logger = logging.getLogger(__name__)

#: What the broker itself drops arrives here, if the queue names this as its dead letter exchange.
DEAD_QUEUE: Final = "umbel.dead"
_TOLD: Final[set[str]] = set()


class Intake:
    """Consumes the queues of one worker process."""

    def __init__(self, url: str, *, ssl: Any = None, on_dead: Callable[[Any], None]) -> None:
        """``on_dead`` takes what the broker has dropped; it is acknowledged when that returns."""
        self.line = Line(url, ssl=ssl, beats=True, on_open=self._opened)
        self.delays = Delays(self.line)
        self._on_dead = on_dead
        self.slots = 1
        self._wanted: list[str] = []
        #: The consumers of each queue: tags, and how many messages each of them may hold.
        self._tags: dict[str, list[tuple[str, int]]] = {}
        self._prefetch = 0
        self._arrived: dict[str, deque[Raw]] = {}
        self._parked: list[Raw] = []
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def _opened(self, connection: Connection) -> None:
        # What came over the last connection is the broker's again.
        self._channel: Any = connection.channel()
        self._channel.auto_decode = False
        self._tags.clear()
        self._prefetch = 0
        self._arrived.clear()
        self._parked.clear()
        self._dead_consumed = False

    # -- consuming --------------------------------------------------------------------------------------------

    def consume(self, queues: Sequence[str]) -> None:
        """Receive from ``queues``, in this order of preference, from now on."""
        with self.line.using() as connection:
            if self._tags.keys() == set(queues) and self._prefetch == self.slots:
                return
            self._prefetch, self._wanted = self.slots, list(queues)
            for name in [name for name in self._tags if name not in queues]:
                for tag, _ in self._tags.pop(name):
                    self._channel.basic_cancel(tag)
            self._give_up({name for name in self._arrived if name not in queues})
            for name in queues:
                self._fit(connection, name)
            if not self._dead_consumed:
                self._consume_dead(connection)

    def _fit(self, connection: Connection, name: str) -> None:
        # More slots are one more consumer. One that took the place of another would be sent as many as there are slots
        # beside what the other holds and runs, and keep them from processes that are free.
        consumers = self._tags.setdefault(name, [])
        while sum(most for _, most in consumers) > self.slots:
            self._channel.basic_cancel(consumers.pop()[0])
        missing = self.slots - sum(most for _, most in consumers)
        if missing:
            self._channel.basic_qos(0, missing, False)
            consumers.append((self._start(connection, name), missing))

    def _start(self, connection: Connection, name: str) -> str:
        # On a channel of its own, which a refusal closes.
        with connection.channel() as channel:
            kind = declare(channel, name)
            declare(channel, suspects_of(name))
        if name not in _TOLD:
            _TOLD.add(name)
            self._tell(name, kind)
        self.delays.bind(connection, self._channel, name)
        generation = self.line.generation

        def receive(message: Any) -> None:
            self._arrived.setdefault(name, deque()).append(from_amqp(name, message, generation))

        return str(self._channel.basic_consume(name, callback=receive))

    @staticmethod
    def _tell(name: str, kind: str) -> None:
        if kind == "quorum":
            logger.info("%s is a quorum queue: its jobs run in the order of dispatch, whatever their priority.", name)
        else:
            logger.info("%s is a queue that somebody else has declared, and is used as it is.", name)

    def _consume_dead(self, connection: Connection) -> None:
        channel = connection.channel()
        channel.auto_decode = False
        channel.exchange_declare(DEAD_QUEUE, "fanout", durable=True, auto_delete=False)
        declare(channel, DEAD_QUEUE)
        channel.queue_bind(DEAD_QUEUE, DEAD_QUEUE)

        def receive(message: Any) -> None:
            self._on_dead(message)
            channel.basic_ack(message.delivery_info["delivery_tag"])

        channel.basic_qos(0, 10, False)
        channel.basic_consume(DEAD_QUEUE, callback=receive)
        self._dead_consumed = True

    def take(self, limit: int) -> list[Raw]:
        """Return up to ``limit`` messages, of the first queue first."""
        found: list[Raw] = []
        now = time.monotonic()
        with self.line.lock:
            for raw in [raw for raw in self._parked if raw.again <= now][:limit]:
                self._parked.remove(raw)
                found.append(raw)
            for name in self._wanted:
                arrived = self._arrived.get(name, ())
                while arrived and len(found) < limit:
                    raw = arrived.popleft()
                    raw.since = now
                    found.append(raw)
        return found

    def take_suspect(self, queues: Sequence[str]) -> Raw | None:
        """Return one message that is to run alone."""
        with self.line.using():
            for name in queues:
                try:
                    message = self._channel.basic_get(suspects_of(name), no_ack=False)
                except amqp.exceptions.NotFound:
                    continue
                if message is not None:
                    return from_amqp(suspects_of(name), message, self.line.generation)
        return None

    def put_back(self, found: Sequence[Raw]) -> None:
        """Take back what was taken, to be looked at again next time."""
        with self.line.lock:
            self._parked += [raw for raw in found if raw.generation == self.line.generation]

    def park(self, raw: Raw, seconds: float) -> None:
        """Look at ``raw`` again in ``seconds``."""
        raw.again = time.monotonic() + seconds
        self.put_back([raw])

    # -- ends -------------------------------------------------------------------------------------------------

    def ack(self, found: Iterable[Raw]) -> None:
        """Tell the broker that it is done with these; what it does not hear it will deliver again."""
        with contextlib.suppress(StoreError), self.line.lock:
            if self.line.is_open:
                with self.line.using():
                    for raw in self._current(found):
                        self._channel.basic_ack(raw.tag)

    def give_back(self, found: Iterable[Raw]) -> None:
        """Let the broker deliver these again, to anyone."""
        with contextlib.suppress(StoreError), self.line.lock:
            if self.line.is_open:
                with self.line.using():
                    for raw in self._current(found):
                        self._channel.basic_reject(raw.tag, requeue=True)

    def _current(self, found: Iterable[Raw]) -> list[Raw]:
        return [raw for raw in found if raw.generation == self.line.generation]

    def _give_up(self, names: Iterable[str]) -> None:
        for name in names:
            for raw in self._arrived.pop(name, ()):
                self._channel.basic_reject(raw.tag, requeue=True)

    def retire(self) -> None:
        """Receive nothing more, and give back what waits here."""
        with contextlib.suppress(StoreError), self.line.lock:
            if not self.line.is_open:
                return
            with self.line.using():
                for consumers in self._tags.values():
                    for tag, _ in consumers:
                        self._channel.basic_cancel(tag)
                self._tags.clear()
                self._wanted.clear()
                self._give_up(list(self._arrived))
                parked, self._parked = self._parked, []
                self.give_back(parked)

    # -- waiting ----------------------------------------------------------------------------------------------

    def wait(self, seconds: float, *, full: bool = False) -> bool:
        """Block until a message is here or is to be looked at again, or somebody rings, at most ``seconds``."""
        with self.line.using() as connection:
            connection.heartbeat_check()
            sock = connection.connection.sock
        if not full:
            seconds = self._patience(seconds)
        ready, _, _ = select.select([self._read] if full else [self._read, sock], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        self.pump()
        return bool(ready) or self._patience(seconds) <= 0

    def _patience(self, seconds: float) -> float:
        """Return after how many of ``seconds`` there is something to take without anybody's telling."""
        with self.line.lock:
            if any(self._arrived.values()):
                return 0.0
            now = time.monotonic()
            return max(0.0, min([seconds, *(raw.again - now for raw in self._parked)]))

    def pump(self) -> None:
        """Take in what has come over the connection."""
        with self.line.using() as connection:
            while select.select([connection.connection.sock], [], [], 0)[0] or _is_pending(connection):
                try:
                    connection.drain_events(timeout=0.05)
                except TimeoutError:
                    return

    def ring(self) -> None:
        """Wake this process's own :meth:`wait`."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._write, b"\0")

    def close(self) -> None:
        """Close the connection: what is not acknowledged goes back."""
        self.line.close()
        for fd in (self._read, self._write):
            with contextlib.suppress(OSError):
                os.close(fd)


def _is_pending(connection: Connection) -> bool:
    pending = getattr(connection.connection.sock, "pending", None)
    return bool(pending is not None and pending())
