"""The connection to one Redis: clients by process, scripts by name, and what its errors mean.

Nothing is open across a fork: the child opens its own. A script that the server has forgotten (``SCRIPT FLUSH``, a
restart, another replica) is sent again by itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from redis import exceptions

from umbel.engine.lua import SPACE, digest, source
from umbel.engine.redis_address import shown
from umbel.engine.redis_connect import connect
from umbel.engine.redis_errors import meaning
from umbel.engine.redis_line import Line, Lines
from umbel.engine.redis_wire import pack
from umbel.errors import StoreDenied, StoreReadOnly, StoreUnreachable

__all__ = ("RedisStore", "identity")

#: Between the tries of what must have run once, in seconds: Celery's own policy for publishing.
_PAUSES: Final = (0.0, 0.2, 0.4, 0.0)


class RedisStore:
    """One Redis database, shared by all threads of a process."""

    def __init__(self, url: str, *, prefix: str = "", space: str = SPACE) -> None:
        """``space``: how the keys of Umbel's own structures begin, after ``prefix``."""
        self.url: Final = url
        self.prefix: Final = prefix
        self.space: Final = space
        self._prefix: Final = prefix.encode()
        self._translation: Final = _Translation(self)
        self.reset()

    def reset(self) -> None:
        """Begin anew with nothing open: at first, and in a child after a fork."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._client: Any = None
        self._lines: Lines | None = None
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
        return self._prefix + f"{self.space}{name}".encode()

    def kombu(self, name: str) -> bytes:
        """Return a key that Kombu and Celery use too."""
        return self._prefix + name.encode()

    def run(self, name: str, *arguments: Any, first: Sequence[Any] = ()) -> Any:
        """Run a script in one round trip, right after the command ``first``. Raises :exc:`StoreError`."""
        with self.translated():
            lines = self._open_lines()
            line = lines.take()
            try:
                if first:
                    line.send(*first)
                self.send(line, name, arguments)
                if first:
                    # What it says is nobody's concern.
                    with contextlib.suppress(exceptions.ResponseError):
                        line.answer()
                return self.answer(line, name, arguments)
            finally:
                lines.give_back(line)

    def run_once(self, name: str, *arguments: Any) -> Any:
        """Run a script whose answer may be lost, again, until it has run just once. Raises :exc:`StoreError`.

        It is given the line's name, the number of this call, and whether the call is a repeated one.
        """
        return self.begin_once(name, *arguments)()

    def begin_once(self, name: str, *arguments: Any) -> Callable[[], Any]:
        """Send such a script, and return what waits for its answer and must be called. Raises :exc:`StoreError`."""
        with self.translated():
            return _Once(self, self._open_lines(), name, arguments).answer

    def send(self, line: Line, name: str, arguments: tuple[Any, ...]) -> None:
        """Send a script over ``line``. Raises redis-py's errors."""
        line.send("EVALSHA", digest(name, self.space), 0, self._prefix, *arguments)

    def answer(self, line: Line, name: str, arguments: tuple[Any, ...]) -> Any:
        """Wait for the answer to the script that was sent. Raises redis-py's errors."""
        try:
            return line.answer()
        except exceptions.NoScriptError:
            # Whole, for what is loaded now may be forgotten again before it is called.
            return line.call("EVAL", source(name, self.space), 0, self._prefix, *arguments)

    def _open_lines(self) -> Lines:
        client = self.client
        lines = self._lines
        if lines is None:
            lines = self._lines = Lines(client.connection_pool)
        return lines

    def sustain(self, *commands: list[Any]) -> Any:
        """Run commands without which nobody could work off what waits, also when the server's memory is full."""
        # As text: the server's reader does not know the binary type.
        return self.run("sustain", pack([[_text(word) for word in words] for words in commands]))

    @contextlib.contextmanager
    def asking(self) -> Iterator[Any]:
        """Give the client; what goes wrong is a :exc:`StoreError`."""
        with self.translated():
            yield self.client

    def translated(self) -> contextlib.AbstractContextManager[None]:
        """Raise redis-py's errors as ours."""
        return self._translation

    def raise_meant(self, error: exceptions.RedisError) -> None:
        """Raise what one of redis-py's errors means, if it is known, and draw the conclusions."""
        meant = meaning(self.shown, error)
        if meant is None:
            return
        if isinstance(meant, StoreReadOnly) and self._client is not None:
            # The master may be another server by now, under the same name or by Sentinel's word.
            self._client.connection_pool.disconnect()
            self._drop_lines()
        if isinstance(meant, StoreUnreachable):
            self.distrust()
        raise meant from error

    def distrust(self) -> None:
        """Drop the connections that are not in use: where one has fallen silent each would cost a time-out."""
        self.losses += 1
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)
        self._drop_lines()

    def _drop_lines(self) -> None:
        if self._lines is not None:
            self._lines.close()

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
        lines, self._lines = self._lines, None
        if client is not None and self._pid == os.getpid():
            if lines is not None:
                lines.close()
            client.close()


def identity(store: RedisStore) -> str:
    """Return the database's own name, which it keeps wherever its address leads."""
    with store.asking() as client:
        client.set(store.key("identity"), secrets.token_hex(16), nx=True)
        return str(client.get(store.key("identity")).decode())


class _Translation(contextlib.AbstractContextManager[None]):
    """Raises redis-py's errors as ours; written out, because a generator would cost each call more than its answer."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, exceptions.RedisError):
            self._store.raise_meant(error)


class _Once:
    """A script under way that runs just once, however often its answer is lost."""

    def __init__(self, store: RedisStore, lines: Lines, name: str, arguments: tuple[Any, ...]) -> None:
        self._store = store
        self._lines = lines
        self._line = lines.take()
        self._name = name
        self._arguments = (*arguments, *self._line.ticket())
        self._errors: list[exceptions.ConnectionError] = []
        try:
            self._send()
        except exceptions.ConnectionError as error:
            self._lost(error)
        except BaseException:
            lines.give_back(self._line)
            raise

    def answer(self) -> Any:
        """Wait for the answer, and ask again when it is lost. Raises :exc:`StoreError`."""
        # In this order: what is wrong with the server may be wrong with this line.
        with self._store.translated():
            try:
                return self._insist()
            finally:
                self._lines.give_back(self._line)

    def _insist(self) -> Any:
        while True:
            try:
                if self._errors:
                    self._send()
                return self._store.answer(self._line, self._name, self._words)
            except exceptions.ConnectionError as error:
                self._lost(error)

    def _send(self) -> None:
        self._words = (*self._arguments, int(bool(self._errors)))
        self._store.send(self._line, self._name, self._words)

    def _lost(self, error: exceptions.ConnectionError) -> None:
        self._errors.append(error)
        self._store.distrust()
        if len(self._errors) == len(_PAUSES):
            # What one try left open no later one that was refused can close.
            raise next((one for one in self._errors if self._is_unsure(one)), error)
        time.sleep(_PAUSES[len(self._errors) - 1])

    def _is_unsure(self, error: Exception) -> bool:
        return bool(getattr(meaning(self._store.shown, error), "unsure", True))


def _text(word: Any) -> Any:
    return word.decode() if isinstance(word, bytes) else word
