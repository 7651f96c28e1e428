"""One connection to RabbitMQ: opened when first used and again after a loss, used by one thread at a time."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import amqp
from kombu import Connection
from kombu.utils.url import maybe_sanitize_url

from umbel.errors import StoreError, StoreUnreachable

__all__ = ("Line",)

T = TypeVar("T")

#: The broker takes a silent host for dead after two of these.
_HEARTBEAT_SECONDS: Final = 10
_CONNECT_SECONDS: Final = 4.0
_TRANSPORTS: Final = {
    "amqps": "kombu.transport.pyamqp:SSLTransport",
    "pyamqps": "kombu.transport.pyamqp:SSLTransport",
}
_LOST: Final = (*amqp.Connection.connection_errors, OSError, socket.timeout, AttributeError)


class Line:
    """A connection, with a lock around everything that is done on it."""

    def __init__(self, url: str, *, ssl: Any = None, beats: bool, on_open: Callable[[Any], None]) -> None:
        """``on_open`` is called with each new connection, under the lock. ``beats``: somebody sees to heartbeats."""
        self.url: Final = url
        self._ssl = ssl
        self._heartbeat = _HEARTBEAT_SECONDS if beats else 0
        self._on_open = on_open
        self.reset()

    def reset(self) -> None:
        """Begin anew with nothing open: at first, and in a child after a fork."""
        self._pid = os.getpid()
        self.lock = threading.RLock()
        #: Kombu's connection; None until it is needed.
        self._kombu: Connection | None = None
        #: How often it has been opened: delivery tags end with their connection.
        self.generation = 0

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return str(maybe_sanitize_url(self.url))

    @property
    def is_open(self) -> bool:
        """Whether there is a connection of this process."""
        return self._kombu is not None and self._pid == os.getpid() and bool(self._kombu.connected)

    def connection(self) -> Connection:
        """Return the open connection; call this under the lock. Raises the transport's errors."""
        if self._pid != os.getpid():
            self.reset()
        if self._kombu is None or not self._kombu.connected:
            self._close()
            scheme = self.url.partition(":")[0]
            kombu = Connection(
                self.url,
                transport=_TRANSPORTS.get(scheme, "kombu.transport.pyamqp:Transport"),
                heartbeat=self._heartbeat,
                connect_timeout=_CONNECT_SECONDS,
                ssl=self._ssl or scheme in _TRANSPORTS,
                transport_options={"read_timeout": 30.0, "write_timeout": 30.0},
            )
            kombu.ensure_connection(
                max_retries=len(kombu.alt), interval_start=0, interval_step=0, timeout=_CONNECT_SECONDS
            )
            self._kombu = kombu
            self.generation += 1
            self._on_open(kombu)
        return self._kombu

    @contextlib.contextmanager
    def using(self) -> Iterator[Connection]:
        """Give the connection under the lock. What goes wrong with it closes it, and is a :exc:`StoreError`."""
        if self._pid != os.getpid():
            self.reset()
        with self.lock:
            connected = False
            try:
                connection, connected = self.connection(), True
                yield connection
            except amqp.exceptions.ChannelError as error:
                raise StoreError(self.shown, f"{self.shown} refused what was asked ({error}).") from error
            except StoreError:
                raise
            except amqp.exceptions.AccessRefused as error:
                self._close()
                raise StoreError(self.shown, f"{self.shown} lets nobody in with this name ({error}).") from error
            except Exception as error:
                if not isinstance(error, _LOST) and "OperationalError" not in type(error).__name__:
                    raise
                self._close()
                reason = str(error) or type(error).__name__
                raise StoreUnreachable(self.shown, reason, unsure=connected) from error

    def _close(self) -> None:
        kombu, self._kombu = self._kombu, None
        if kombu is not None:
            with contextlib.suppress(Exception):
                kombu.collect() if not kombu.connected else kombu.close()

    def close(self) -> None:
        """Close the connection, if it is this process's own."""
        if self._pid != os.getpid():
            self.reset()
            return
        with self.lock:
            self._close()
