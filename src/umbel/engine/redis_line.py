"""Calls to the server without the layers of a general client: one script, one answer.

redis-py's client spends as much on a call (events, retries, look-ups) as its connection does on the call itself, so
scripts go over the connections directly. One is taken for a call and put back after it; one that has been idle is
looked at before it is used again.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

from hiredis import pack_command as _packed
from redis import exceptions

__all__ = ("Line", "Lines")

_IDLE_SECONDS: Final = 1.0


class Line:
    """A connection, with a name and a count by which the server knows a call that is repeated."""

    __slots__ = ("_calls", "connection", "idle_since", "name")

    def __init__(self, connection: Any) -> None:
        self.connection: Final = connection
        self.idle_since = time.monotonic()
        self.name: Final = secrets.token_hex(8)
        self._calls = 0

    def ticket(self) -> tuple[str, int]:
        """Return what tells one call of this line from all others."""
        self._calls += 1
        return self.name, self._calls

    def call(self, *words: Any) -> Any:
        """Send one command and return its answer. Raises redis-py's errors."""
        self.send(*words)
        return self.answer()

    def send(self, *words: Any) -> None:
        """Send one command, whose answer must be read before the next one is sent. Raises redis-py's errors."""
        try:
            self.connection.send_packed_command([_packed(words)])
        except BaseException:
            self.connection.disconnect()
            raise

    def answer(self) -> Any:
        """Wait for the answer to what was sent. Raises redis-py's errors."""
        try:
            return self.connection.read_response()
        except exceptions.ResponseError:
            # An answer like any other.
            raise
        except BaseException:
            # Whatever is still on its way must not be taken for the next call's answer.
            self.connection.disconnect()
            raise

    def look_over(self) -> None:
        """Close the connection if the server has; the next call opens it again."""
        try:
            if self.connection.is_connected and self.connection.can_read(0):
                self.connection.disconnect()
        except (exceptions.RedisError, OSError):
            self.connection.disconnect()


class Lines:
    """The lines of one process."""

    def __init__(self, pool: Any) -> None:
        self._pool: Final = pool
        self._free: Final[list[Line]] = []

    def take(self) -> Line:
        """Return a line that nobody else uses until it is given back. Raises redis-py's errors."""
        try:
            line = self._free.pop()
        except IndexError:
            return Line(self._pool.get_connection())
        if line.idle_since < time.monotonic() - _IDLE_SECONDS:
            line.look_over()
        return line

    def give_back(self, line: Line) -> None:
        """Let others use ``line``."""
        line.idle_since = time.monotonic()
        self._free.append(line)

    def close(self) -> None:
        """Close all lines that are free."""
        while True:
            try:
                line = self._free.pop()
            except IndexError:
                # Not looked for first: another thread may take the last one.
                return
            line.connection.disconnect()
            self._pool.release(line.connection)
