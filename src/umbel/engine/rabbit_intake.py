"""Receiving from RabbitMQ: the connection on which a worker process consumes and acknowledges.

The broker sends as many messages of a queue as there are free slots and no more. They wait here, unclaimed, until
the fetch thread takes them. A queue that has lanes is several queues, each with so many: a process that has had no free
slot for a second lets go of what it cannot start, and is sent no more until it can.

Acknowledgements come from the settling thread, under the connection's lock: the transport is not safe for two threads
at once. A tag ends with its connection; what it named is then delivered again, and the state store knows it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

import amqp
from kombu import Connection

from umbel.engine.lanes import due_of
from umbel.engine.rabbit_arrivals import Arrivals
from umbel.engine.rabbit_delay import Delays
from umbel.engine.rabbit_lanes import parts_of
from umbel.engine.rabbit_line import Line
from umbel.engine.rabbit_post import declare, suspects_of
from umbel.engine.rabbit_wire import Raw, from_amqp
from umbel.errors import StoreError

__all__ = ("DEAD_QUEUE", "Intake")

logger = logging.getLogger(__name__)

#: What the broker itself drops arrives here, if the queue names this as its dead letter exchange.
DEAD_QUEUE: Final = "umbel.dead"
_TOLD: Final[set[str]] = set()
#: After so long without a free slot a process lets others have what is in its queues' lanes.
_REST_SECONDS: Final = 1.0
#: What has come due only passes through: so many at a time.
_MOST_DUE: Final = 200
#: What came back so often stays here: a broker drops one that came back too often.
_MOST_RETURNS: Final = 9


class Intake:
    """Consumes the queues of one worker process."""

    def __init__(self, url: str, *, ssl: Any = None, on_dead: Callable[[Any], None]) -> None:
        """``on_dead`` takes what the broker has dropped; it is acknowledged when that returns."""
        self.line = Line(url, ssl=ssl, beats=True, on_open=self._opened)
        self.delays = Delays(self.line)
        self._on_dead = on_dead
        self.slots = 1
        #: The queues in their order, each with its lanes; and all of these, each with its queue.
        self._wanted: dict[str, list[str]] = {}
        self._homes: dict[str, str] = {}
        #: The consumers of each queue: tags, and how many messages each of them may hold.
        self._tags: dict[str, list[tuple[str, int]]] = {}
        self._prefetch = 0
        self._arrived = Arrivals()
        self._full_since: float | None = None
        #: Some consumers have been given fewer than there are slots.
        self._narrow = False
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
        self._declared: set[str] = set()

    # -- consuming --------------------------------------------------------------------------------------------

    def consume(self, queues: Sequence[str], shared: Collection[str] = (), room: int | None = None) -> None:
        """Receive from ``queues``, in this order of preference, from now on; ``shared`` ones have lanes.

        ``room``: how many messages could be started now.
        """
        self._full_since = None
        wanted = {name: [name, *parts_of(name)] if name in shared else [name] for name in queues}
        with self.line.using() as connection:
            is_fit = self._prefetch == self.slots and not self._narrow
            if is_fit and self._wanted == wanted and self._tags.keys() == self._homes.keys():
                return
            self._prefetch, self._wanted, self._narrow = self.slots, wanted, False
            self._homes = {part: name for name, parts in wanted.items() for part in parts}
            for name in self._tags.keys() - self._homes.keys():
                self._cancel(name)
            self._refuse(self._arrived.drop(self._arrived.sources() - self._homes.keys()))
            for name in self._arrived.in_turn(self._homes):
                self._fit(connection, name, self.slots if room is None else room)
            if not self._dead_consumed:
                self._consume_dead(connection)

    def _cancel(self, name: str) -> None:
        for tag, _ in self._tags.pop(name):
            self._channel.basic_cancel(tag)

    def _fit(self, connection: Connection, name: str, room: int) -> None:
        # More slots are one more consumer. One that took the place of another would be sent as many as there are slots
        # beside what the other holds and runs, and keep them from processes that are free.
        is_new = name not in self._tags
        consumers = self._tags.get(name, [])
        most = _MOST_DUE if self._is_due(name) else self.slots
        while sum(limit for _, limit in consumers) > most:
            self._channel.basic_cancel(consumers.pop()[0])
        missing = most - sum(limit for _, limit in consumers)
        # After a rest, what runs here still is beside what a new consumer is sent. The next look makes it wide.
        if is_new and self._is_shared(name) and room < missing and not self._is_due(name):
            missing, self._narrow = max(1, room), True
        if missing:
            self._channel.basic_qos(0, missing, False)
            # Known only now: what is refused is asked for again.
            self._tags[name] = [*consumers, (self._start(connection, name), missing)]

    def _is_shared(self, name: str) -> bool:
        return len(self._wanted[self._homes[name]]) > 1

    def _is_due(self, name: str) -> bool:
        return self._homes[name] != name and name == due_of(self._homes[name])

    def _start(self, connection: Connection, name: str) -> str:
        home = self._homes[name]
        if name not in self._declared or not self._is_shared(name):
            self._declare(connection, name, home)
            self._declared.add(name)
        generation = self.line.generation

        def receive(message: Any) -> None:
            self._arrived.add(name, from_amqp(home, message, generation))

        return str(self._channel.basic_consume(name, callback=receive))

    def _declare(self, connection: Connection, name: str, home: str) -> None:
        # On a channel of its own, which a refusal closes.
        with connection.channel() as channel:
            kind = declare(channel, name)
            if name == home:
                declare(channel, suspects_of(name))
        if name == home and name not in _TOLD:
            _TOLD.add(name)
            self._tell(name, kind)
        if name == home or self._is_due(name):
            self.delays.bind(connection, self._channel, name)

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
            for name, parts in self._wanted.items():
                waiting = parts if len(parts) == 1 else [part for part in parts if part != due_of(name)]
                for raw in self._arrived.take(waiting, limit - len(found)):
                    raw.since = now
                    found.append(raw)
        return found

    def take_due(self) -> list[Raw]:
        """Return what has come due and has no lane yet."""
        with self.line.lock:
            return self._arrived.drop([due_of(name) for name, parts in self._wanted.items() if len(parts) > 1])

    def take_leave(self) -> list[Raw]:
        """Return what this process has no slot for; it is sent no more of it until it consumes again.

        Only of queues that have lanes, and only when there has been no free slot for a while.
        """
        now = time.monotonic()
        self._full_since = self._full_since or now
        with self.line.lock:
            parts = {name for name in self._homes if self._is_shared(name) and not self._is_due(name)}
            if now - self._full_since < _REST_SECONDS or not (self._tags.keys() & parts):
                return []
            with self.line.using():
                for name in self._tags.keys() & parts:
                    self._cancel(name)
                self.pump()
                return self._arrived.drop(parts, lambda raw: raw.count < _MOST_RETURNS)

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

    def _refuse(self, found: Iterable[Raw]) -> None:
        for raw in found:
            self._channel.basic_reject(raw.tag, requeue=True)

    def retire(self) -> None:
        """Receive nothing more, and give back what waits here."""
        with contextlib.suppress(StoreError), self.line.lock:
            if not self.line.is_open:
                return
            with self.line.using():
                for name in list(self._tags):
                    self._cancel(name)
                self._wanted = {}
                self._homes = {}
                self._refuse(self._arrived.drop(self._arrived.sources()))
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
            if self._arrived:
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
