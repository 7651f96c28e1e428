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

import redis
from redis import exceptions

from umbel.engine.lua import source
from umbel.errors import StoreError, StoreFull, StoreReadOnly, StoreUnreachable

__all__ = ("RedisStore",)

_TIMEOUT_SECONDS: Final = 10.0


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
        self._scripts: dict[str, Any] = {}

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
        client = self.client
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = client.register_script(source(name))
        with self.translated():
            return script(args=[self._prefix, *arguments])

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
        except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError) as error:
            raise StoreUnreachable(self.shown, str(error)) from error
        except exceptions.OutOfMemoryError as error:
            raise StoreFull(self.shown) from error
        except exceptions.ReadOnlyError as error:
            raise StoreReadOnly(self.shown, str(error)) from error
        except exceptions.ResponseError as error:
            if "user_script" in str(error):
                # Not the server's fault, and nothing that trying again would mend.
                raise
            raise StoreError(self.shown, f"{self.shown} refused what was asked ({error}).") from error
        except exceptions.RedisError as error:
            raise StoreError(self.shown, f"{self.shown} refused what was asked ({error}).") from error

    @property
    def shown(self) -> str:
        """The URL without its password."""
        from kombu.utils.url import maybe_sanitize_url

        return str(maybe_sanitize_url(self.url))

    def close(self) -> None:
        """Close this process's connections."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()
        self._scripts.clear()


def connect(url: str) -> Any:
    """Return a client for a ``redis://``, ``rediss://`` or ``unix://`` URL."""
    return redis.Redis.from_url(
        url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS, health_check_interval=30
    )
