"""The connection to one Redis: clients by process, scripts by name, and what its errors mean.

Nothing is open across a fork: the child opens its own. A script that the server has forgotten (``SCRIPT FLUSH``, a
restart, another replica) is sent again by itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any, Final

from redis import exceptions

from umbel.engine.lua import digest, source
from umbel.engine.redis_address import shown
from umbel.engine.redis_connect import connect
from umbel.engine.redis_errors import meaning
from umbel.engine.redis_wire import pack
from umbel.errors import StoreDenied, StoreReadOnly, StoreUnreachable

__all__ = ("RedisStore",)


class RedisStore:
    """One Redis database, shared by all threads of a process."""

    def __init__(self, url: str, *, prefix: str = "") -> None:
        self.url: Final = url
        self.prefix: Final = prefix
        self._prefix: Final = prefix.encode()
        self.reset()

    def reset(self) -> None:
        """Begin anew with nothing open: at first, and in a child after a fork."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._client: Any = None
        #: How often the server was lost: a connection from before is not to be trusted.
        self.losses = 0

    @property
    def client(self) -> Any:
        """A client whose connections are this process's own."""
        if self._client is None or self._pid != os.getpid():
            if self._pid != os.getpid():
                self.reset()
            with self._lock:
                if self._client is None:
                    self._client = connect(self.url)
        return self._client

    def key(self, name: str) -> bytes:
        """Return the key of one of Umbel's own structures."""
        return self._prefix + b"umbel:" + name.encode()

    def kombu(self, name: str) -> bytes:
        """Return a key that Kombu and Celery use too."""
        return self._prefix + name.encode()

    def run(self, name: str, *arguments: Any) -> Any:
        """Run a script in one round trip. Raises :exc:`StoreError`."""
        with self.asking() as client:
            try:
                return client.execute_command("EVALSHA", digest(name), 0, self._prefix, *arguments)
            except exceptions.NoScriptError:
                # Whole, for what is loaded now may be forgotten again before it is called.
                return client.execute_command("EVAL", source(name), 0, self._prefix, *arguments)

    def sustain(self, *commands: list[Any]) -> Any:
        """Run commands without which nobody could work off what waits, also when the server's memory is full."""
        # As text: the server's reader does not know the binary type.
        return self.run("sustain", pack([[_text(word) for word in words] for words in commands]))

    @contextlib.contextmanager
    def asking(self) -> Iterator[Any]:
        """Give the client; what goes wrong is a :exc:`StoreError`."""
        with self.translated():
            yield self.client

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise redis-py's errors as ours."""
        try:
            yield
        except exceptions.RedisError as error:
            meant = meaning(self.shown, error)
            if meant is None:
                raise
            if isinstance(meant, StoreReadOnly) and self._client is not None:
                # The master may be another server by now, under the same name or by Sentinel's word.
                self._client.connection_pool.disconnect()
            if isinstance(meant, StoreUnreachable):
                self.distrust()
            raise meant from error

    def distrust(self) -> None:
        """Drop the connections that are not in use: where one has fallen silent each would cost a time-out."""
        self.losses += 1
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)

    def is_cluster(self) -> bool:
        """Whether the server says that it is part of a cluster; one that may not be asked is taken for none."""
        try:
            with self.asking() as client:
                return bool(client.info("cluster").get("cluster_enabled"))
        except StoreDenied as error:
            if isinstance(error.__cause__, exceptions.NoPermissionError):
                return False
            raise

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return shown(self.url)

    def close(self) -> None:
        """Close this process's connections."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()


def _text(word: Any) -> Any:
    return word.decode() if isinstance(word, bytes) else word
