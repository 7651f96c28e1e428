"""Waking the processes that wait for work, over named pipes beside the store.

Each listener owns one FIFO. A writer that has committed something writes a byte to the FIFOs of those who said
that they wait; whoever misses one finds out by its slow poll. So nothing here can lose a job, and an idle
process costs nothing.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import selectors
import threading
import time
from pathlib import Path
from typing import Final

from umbel.engine.lease import IDLE_AT, WAKE_SUFFIX, is_own

__all__ = ("Listener", "Waker")

_FIFO: Final = WAKE_SUFFIX
_LEASE: Final = ".lease"
_HAS_FIFO: Final = hasattr(os, "mkfifo")


class Listener:
    """This process's end: wait until somebody rings."""

    def __init__(self, directory: Path, token: str) -> None:
        self.path: Final = directory / f"{token}{_FIFO}"
        self._fd: int | None = None
        if _HAS_FIFO:
            with contextlib.suppress(OSError):
                os.mkfifo(self.path, 0o600)
                # Opened for reading and writing, so that it never reads as closed when a writer leaves.
                self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._own_read, self._own_write = os.pipe()
        os.set_blocking(self._own_read, False)
        os.set_blocking(self._own_write, False)
        self._selector = selectors.DefaultSelector()
        for fd in (self._fd, self._own_read):
            if fd is not None:
                self._selector.register(fd, selectors.EVENT_READ)

    def wait(self, seconds: float) -> bool:
        """Block until rung, at most ``seconds``; return whether somebody rang."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(key.fd, 65536)
        return bool(ready)

    def ring(self) -> None:
        """Wake this listener from another thread of its own process."""
        with contextlib.suppress(OSError):
            os.write(self._own_write, b"\0")

    def close(self) -> None:
        """Remove the FIFO."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._selector.close()
        for fd in (self._fd, self._own_read, self._own_write):
            if fd is not None:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._fd = None


class _Bell:
    """One other process: its FIFO and its idle mark."""

    def __init__(self, fd: int, mark: mmap.mmap | None) -> None:
        self.fd = fd
        self.mark = mark

    def ring(self) -> bool:
        if self.mark is not None and self.mark[IDLE_AT] != 1:
            return True
        try:
            os.write(self.fd, b"\0")
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def close(self) -> None:
        os.close(self.fd)
        if self.mark is not None:
            self.mark.close()


class Waker:
    """The writers' end: ring everybody who waits on this store."""

    #: How long a listing of the listeners is good for, in seconds. A listener that comes up in between
    #: looks at the store before it waits, so it needs no ring.
    LISTING_FOR: Final = 0.05

    def __init__(self, directory: Path, own: str | None = None) -> None:
        self._directory = directory
        self.own = own
        self._bells: dict[str, _Bell] = {}
        self._listed = 0.0
        self._stamp = -1
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake every waiting listener but this process's own."""
        if not _HAS_FIFO:
            return
        with self._turn():
            self._ring()

    def _turn(self) -> threading.Lock:
        if self._pid != os.getpid():
            # Another thread may have had it when this process was forked.
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock

    def _ring(self) -> None:
        # One at a time: what one closes another must not write to, for the descriptor may be another file's by then.
        now = time.monotonic()
        if now - self._listed > self.LISTING_FOR:
            self._listed = now
            self._list()
        for name, bell in list(self._bells.items()):
            if not bell.ring():
                self._bells.pop(name).close()

    def _list(self) -> None:
        try:
            stamp = self._directory.stat().st_mtime_ns
        except OSError:
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        names = {entry.name.removesuffix(_FIFO) for entry in os.scandir(self._directory) if entry.name.endswith(_FIFO)}
        names.discard(self.own or "")
        for gone in self._bells.keys() - names:
            self._bells.pop(gone).close()
        for name in names - self._bells.keys():
            bell = self._open(name)
            if bell is not None:
                self._bells[name] = bell

    def _open(self, name: str) -> _Bell | None:
        try:
            fd = os.open(self._directory / f"{name}{_FIFO}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        return _Bell(fd, self._map(self._directory / f"{name}{_LEASE}"))

    def _map(self, path: Path) -> mmap.mmap | None:
        if is_own(path.stem):
            return None
        try:
            with path.open("rb") as file:
                return mmap.mmap(file.fileno(), IDLE_AT + 1, prot=mmap.PROT_READ)
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Close every FIFO."""
        with self._turn():
            while self._bells:
                self._bells.popitem()[1].close()
