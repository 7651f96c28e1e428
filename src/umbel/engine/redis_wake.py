"""Waking a worker that waits for messages in Redis, whoever sends them.

One connection of its own asks the server to be told once (``CLIENT TRACKING``) when one of the queues' lists
changes. So any client's push wakes it, a plain Celery client's too; nothing is polled. A notice that was lost is made
up for by a look each second; a server or a proxy that sends none is asked ten times as often.

From the list of one queue it does not wait for a notice but for the message itself: the server moves it to this
process's inbox (``BLMOVE``) and sends it along, which is one wake-up of everybody concerned instead of three. Notices
and messages come over the same connection, in the order in which the server did things: so a message before which no
notice came is known to be neither cancelled nor paused, and may be begun with at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError

from umbel.engine.redis_address import shown
from umbel.engine.redis_connect import connect

__all__ = ("Arrival", "Look", "Move", "RedisListener")

logger = logging.getLogger(__name__)

#: A notice that was lost, or a connection that died unseen, costs this much at most.
_LONGEST_SECONDS: Final = 1.0
#: Where the server sends no notices.
_POLL_SECONDS: Final = 0.1
#: For less than this the server is not asked to move anything: some take less than a millisecond for endless.
_SHORTEST_MOVE: Final = 0.05
#: The server's own clock ends its wait; this process's is to be a little later.
_MARGIN_SECONDS: Final = 0.05
#: A server that refuses to move messages, because it is full, say, is asked for it again then.
_REFUSED_SECONDS: Final = 5.0
_NOTICE: Final = object()


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at before a wait, and told of from then on."""

    #: One that has something ends the wait before it begins.
    lists: Sequence[bytes]
    #: Those that keep a message from being begun with at once.
    guards: Sequence[bytes]
    #: The ordered set of what is delayed, and its lowest score as it was last seen: what came since, before the server
    #: was asked to tell of changes, is a change too.
    delayed: bytes
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What comes into the list ``source`` is to go to the list ``inbox``, whose message is called ``seq``.

    The scripts know the inbox by its ``mark``.
    """

    source: bytes
    inbox: bytes
    mark: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that has been moved; ``sure`` if nothing was in the way of it then."""

    element: bytes
    move: Move
    sure: bool


class RedisListener:
    """This process's end: wait until a list changes, or until rung from another thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        #: RESP3, in which notices come on the connection that asks for them.
        self._client = connect(url, protocol=3)
        self._told = True
        self._connection: Any = None
        self._own_read, self._own_write = os.pipe()
        os.set_blocking(self._own_read, False)
        os.set_blocking(self._own_write, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._own_read, selectors.EVENT_READ)
        self._rings = selectors.DefaultSelector()
        self._rings.register(self._own_read, selectors.EVENT_READ)
        self._watched: int | None = None
        self._lowest: float | None = None
        self._broadcasts: int | None = None
        self._name: int | None = None
        self._asked: Move | None = None
        self._sure = self._heard = False
        self._arrival: Arrival | None = None
        self._refused_until = 0.0
        #: How many connections there have been.
        self.connections = 0
        #: What was asked for over those that were given up: the server may do it at any time.
        self.lost: list[Move] = []

    def listen(self, fd: int | None) -> None:
        """Wake up for what comes on the descriptor ``fd`` too."""
        if fd != self._broadcasts:
            self._unregister(self._broadcasts)
            self._broadcasts = fd
            if fd is not None:
                self._selector.register(fd, selectors.EVENT_READ)

    def moves(self) -> bool:
        """Return whether the server moves messages over this connection. Raises redis-py's errors."""
        try:
            self._connected()
        except (RedisError, OSError):
            self.drop()
            raise
        return self._name is not None and time.monotonic() >= self._refused_until

    def wait(self, look: Look, seconds: float, move: Move | None = None) -> bool:
        """Block until a list of ``look`` has something, something else of it changes, or what ``move`` says happens.

        Return whether it may have. What was asked for stays so until :meth:`forget`. Raises redis-py's errors when the
        server cannot be asked.
        """
        if self._arrival is not None:
            return True
        try:
            connection = self._connected()
            patience = min(seconds, _LONGEST_SECONDS if self._told else _POLL_SECONDS)
            if self._asked is None and self._look(connection, look, patience, move):
                return True
            asked = self._asked is not None
            ready = {key.fd for key, _ in self._selector.select(patience + asked * _MARGIN_SECONDS)}
            if self._own_read in ready:
                self._hear()
            if not asked or self._watched not in ready:
                # The notice is left where it is: the fetch comes first, and who reads the next answers skips it.
                return bool(ready)
            self._read(connection)
            return self._heard or self._arrival is not None or len(ready) > 1
        except (RedisError, OSError):
            self.drop()
            raise

    def _look(self, connection: Any, look: Look, patience: float, move: Move | None) -> bool:
        if patience < _SHORTEST_MOVE:
            move = None
        lists = [name for name in look.lists if move is None or name != move.source]
        commands = [("EXISTS", *look.guards), ("ZRANGE", look.delayed, "0", "0", "WITHSCORES")]
        if lists:
            commands.append(("EXISTS", *lists))
        if move is not None:
            commands.append(("BLMOVE", move.source, move.inbox, "RIGHT", "LEFT", f"{patience:.3f}"))
        connection.send_packed_command(connection.pack_commands(commands))
        self._asked = move
        # A notice from before the first answer is of what has been looked at since.
        self._sure = not connection.read_response()
        self._heard = False
        lowest = _score(self._answer(connection))
        found = bool(self._answer(connection)) if lists else False
        # Said once: whoever fetches nothing now is not to be told of it over and over.
        moved = lowest not in (look.score, self._lowest)
        self._lowest = lowest
        while connection.can_read(0):
            self._read(connection)
        return self._heard or self._arrival is not None or found or moved

    def _answer(self, connection: Any) -> Any:
        while (answer := connection.read_response(push_request=True)) is _NOTICE:
            self._heard, self._sure = True, False
        return answer

    def _read(self, connection: Any) -> None:
        """Read what has come: notices, and the end of what was asked for. What is behind that is no matter."""
        while True:
            try:
                answer = connection.read_response(push_request=True)
            except ConnectionError:
                raise
            except ResponseError as error:
                self._refuse(error)
                return
            if answer is not _NOTICE:
                break
            self._heard, self._sure = True, False
            if not connection.can_read(0):
                return
        if self._asked is not None and answer is not None:
            self._arrival = Arrival(answer, self._asked, self._sure)
        self._asked = None

    def _refuse(self, error: ResponseError) -> None:
        self._asked, self._refused_until = None, time.monotonic() + _REFUSED_SECONDS
        logger.info("%s moves no messages to those who wait for them (%s): it tells of them.", shown(self._url), error)

    @property
    def move(self) -> Move | None:
        """What the server may do any moment, or has done and nobody has taken."""
        return self._asked if self._arrival is None else self._arrival.move

    @property
    def unblock(self) -> tuple[Any, ...]:
        """The command, for another connection, after which the server does not do it any more."""
        return ("CLIENT", "UNBLOCK", self._name) if self._asked is not None else ()

    def arrived(self) -> Arrival | None:
        """Return the message that has been moved, once."""
        arrival, self._arrival = self._arrival, None
        return arrival

    def forget(self) -> None:
        """Read the end of what was asked for, after the server has been told not to wait any more."""
        self._arrival = None
        if self._asked is None:
            return
        try:
            with contextlib.suppress(ResponseError):
                self._connection.read_response()
            self._asked = None
        except (RedisError, OSError):
            self.drop()

    def rest(self, seconds: float) -> bool:
        """Block until rung from another thread, at most ``seconds``, without asking the server anything."""
        rung = bool(self._rings.select(seconds))
        if rung:
            self._hear()
        return rung

    def ring(self) -> None:
        """Wake this listener from another thread of its own process."""
        with contextlib.suppress(OSError):
            os.write(self._own_write, b"\0")

    def close(self) -> None:
        """Close the connection, and everything else."""
        self.drop()
        self._selector.close()
        self._rings.close()
        for fd in (self._own_read, self._own_write):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._client.close()

    def _connected(self) -> Any:
        if self._connection is None:
            connection = self._tracking() if self._told else self._client.connection_pool.get_connection()
            self._connection = connection
            self.connections += 1
            self._watched = connection._get_socket().fileno()
            self._selector.register(self._watched, selectors.EVENT_READ)
        return self._connection

    def _tracking(self) -> Any:
        """Return a connection on which the server tells of changes; a plain one where it refuses to."""
        pool = self._client.connection_pool
        connection: Any = None
        try:
            connection = pool.get_connection()
            connection.send_command("CLIENT", "TRACKING", "ON")
            connection.read_response()
            self._name = _name(connection)
            return connection
        except (ResponseError, ConnectionError) as error:
            if connection is not None:
                connection.disconnect()
                pool.release(connection)
            if not _is_refusal(error):
                raise
            logger.warning(
                "%s sends no notices of changes (%s): it is asked %g times a second instead.",
                shown(self._url),
                error,
                1 / _POLL_SECONDS,
            )
        self._client.close()
        self._told = False
        self._client = connect(self._url, protocol=2)
        return self._client.connection_pool.get_connection()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._own_read, 65536)

    def _unregister(self, fd: int | None) -> None:
        if fd is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(fd)

    def drop(self) -> None:
        """Close the connection; the next wait opens another."""
        connection, self._connection = self._connection, None
        if self.move is not None:
            self.lost.append(self.move)
        self._name = self._asked = self._arrival = None
        self._unregister(self._watched)
        self._watched = None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)


def _name(connection: Any) -> int | None:
    """Return the server's number of the connection, if this user may end a wait by it."""
    connection._parser.set_invalidation_push_handler(lambda _: _NOTICE)
    try:
        connection.send_command("CLIENT", "ID")
        name = int(connection.read_response())
        connection.send_command("CLIENT", "UNBLOCK", name)
        connection.read_response()
    except ConnectionError:
        raise
    except ResponseError:
        return None
    return name


def _score(answer: Any) -> float | None:
    """Return the score in the answer of ``ZRANGE … WITHSCORES``: flat in RESP2, pairs in RESP3."""
    if not answer:
        return None
    return float(answer[0][1] if isinstance(answer[0], (list, tuple)) else answer[1])


def _is_refusal(error: RedisError) -> bool:
    """Whether the server answered that it does not do this; a server that is away, or loading, is asked again."""
    text = str(error)
    if isinstance(error, AuthenticationError):
        return False
    return "unknown" in text.lower() or "NOPERM" in text or "no permissions" in text or "Invalid RESP" in text
