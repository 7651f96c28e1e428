"""Waking a worker that waits for messages in Redis, whoever sends them.

One connection of its own asks the server to be told once (``CLIENT TRACKING``) when one of the queues' lists
changes. So any client's push wakes it, a plain Celery client's too; nothing is polled, and nothing is taken. A notice
that was lost is made up for by a look each second; a server or a proxy that sends none is asked ten times as often.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError

from umbel.engine.redis_address import shown
from umbel.engine.redis_connect import connect

__all__ = ("RedisListener",)

logger = logging.getLogger(__name__)

#: A notice that was lost, or a connection that died unseen, costs this much at most.
_LONGEST_SECONDS: Final = 1.0
#: Where the server sends no notices.
_POLL_SECONDS: Final = 0.1


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

    def listen(self, fd: int | None) -> None:
        """Wake up for what comes on the descriptor ``fd`` too."""
        if fd != self._broadcasts:
            self._unregister(self._broadcasts)
            self._broadcasts = fd
            if fd is not None:
                self._selector.register(fd, selectors.EVENT_READ)

    def wait(
        self, lists: Sequence[bytes], also: tuple[bytes, bytes], seconds: float, score: float | None = None
    ) -> bool:
        """Block until one of ``lists`` has something, or one of ``also`` changes; return whether it may have.

        The second of ``also`` is the ordered set of what is delayed, ``score`` its lowest as it was last seen: what
        came since, before the server was asked to tell of changes, is a change too. Raises redis-py's errors when the
        server cannot be asked.
        """
        try:
            connection = self._connected()
            paused, delayed = also
            commands = [("EXISTS", paused), ("ZRANGE", delayed, "0", "0", "WITHSCORES")]
            connection.send_packed_command(connection.pack_commands([("EXISTS", *lists), *commands][not lists :]))
            found = connection.read_response() if lists else 0
            connection.read_response()
            lowest = _score(connection.read_response())
            # Said once: whoever fetches nothing now is not to be told of it over and over.
            moved = lowest not in (score, self._lowest)
            self._lowest = lowest
            if found or moved or connection.can_read(0):
                self._drain(connection)
                return True
            ready = self._selector.select(min(seconds, _LONGEST_SECONDS if self._told else _POLL_SECONDS))
            # The notice is left where it is: the fetch comes first, and who reads the next answers skips it.
            if any(key.fd == self._own_read for key, _ in ready):
                self._hear()
            return bool(ready)
        except (RedisError, OSError):
            self.drop()
            raise

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

    def _drain(self, connection: Any) -> None:
        while connection.can_read(0):
            connection.read_response(push_request=True)

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
        self._unregister(self._watched)
        self._watched = None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)


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
