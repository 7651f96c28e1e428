"""Kernel-lock leases: who is alive, and which jobs it had started.

A process that holds messages keeps a POSIX record lock on a file of its own. The kernel drops the lock when
the process dies, however it dies, so whoever can take the lock knows that the owner is gone: no heartbeat, no
clock, no time-out, and a process that is busy or stopped keeps its jobs. The same file, mapped into memory,
lists the jobs that had started; it survives the process, so that the reaper can tell a suspect from a message
that was only fetched. Starting a job costs one 8-byte store.

Record locks are not inherited by children, and they go when *any* descriptor of the file is closed in the
owner: so the owner opens its file once and nothing else in that process ever opens it.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from umbel.errors import StoreFull

__all__ = (
    "IDLE_AT",
    "WAKE_SUFFIX",
    "Abandoned",
    "KernelLock",
    "Lease",
    "LeaseLost",
    "is_own",
    "read_abandoned",
    "read_overdue",
)

#: Where in a lease's file its idle mark stands.
IDLE_AT: Final = 8
_HEADER: Final = 64
#: A started message, and when its hard limit ends on the monotonic clock (0 for never).
_SLOT: Final = struct.Struct("<qd")
_SUFFIX: Final = ".lease"
_TRIES: Final = 100
#: The FIFO that wakes the lease's owner stands beside it.
WAKE_SUFFIX: Final = ".wake"


#: Tokens of the leases of this process, as (pid, token): their files must not be opened a second time here.
_OWN: Final[set[tuple[int, str]]] = set()


def is_own(token: str) -> bool:
    """Whether ``token`` is a lease of this very process."""
    return (os.getpid(), token) in _OWN


class LeaseLost(RuntimeError):
    """The lease's file has gone: somebody removes what is in the run directory."""


class KernelLock:
    """An exclusive lock on a file that ends with the process, whatever ends it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd: int | None = None

    def acquire(self, *, blocking: bool = False) -> bool:
        """Take the lock; return whether it is held now."""
        if self.fd is None:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return _lock(self.fd, blocking=blocking)

    def is_in_place(self) -> bool:
        """Whether others find the file that is open here under its name."""
        if self.fd is None:
            return False
        try:
            return os.path.samestat(os.fstat(self.fd), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the lock up, and keep the file open for the next time."""
        if self.fd is not None:
            _unlock(self.fd)

    def close(self) -> None:
        """Close the file, which gives the lock up."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


class Lease:
    """This process's lease: its lock, its idle mark and the jobs that it has started."""

    def __init__(self, directory: Path, slots: int = 1024) -> None:
        self._lock = _new_lock(directory)
        self.path: Final = self._lock.path
        self.token: Final = self.path.stem
        self.pid: Final = os.getpid()
        _OWN.add((self.pid, self.token))
        size = _HEADER + slots * _SLOT.size
        assert self._lock.fd is not None
        try:
            _allocate(self._lock.fd, size)
        except OSError as error:
            self.release()
            raise (StoreFull(self.path) if error.errno == errno.ENOSPC else error) from error
        self._map = mmap.mmap(self._lock.fd, size)
        self._free = list(range(slots - 1, -1, -1))
        self._slots: dict[int, int] = {}

    def start(self, seq: int, limit: float | None = None) -> None:
        """Note that the job of message ``seq`` has started, and must end within ``limit`` seconds."""
        if not self._free or seq in self._slots:
            return
        slot = self._free.pop()
        self._slots[seq] = slot
        deadline = time.monotonic() + limit if limit else 0.0
        _SLOT.pack_into(self._map, _HEADER + slot * _SLOT.size, seq, deadline)

    def end(self, seq: int) -> None:
        """Note that the job of message ``seq`` has ended, or was given back."""
        slot = self._slots.pop(seq, None)
        if slot is not None:
            _SLOT.pack_into(self._map, _HEADER + slot * _SLOT.size, 0, 0.0)
            self._free.append(slot)

    @property
    def idle(self) -> bool:
        """Whether the owner waits to be woken. Writers read this mark before they bother to."""
        return self._map[IDLE_AT] == 1

    @idle.setter
    def idle(self, value: bool) -> None:
        self._map[IDLE_AT] = 1 if value else 0

    def release(self) -> None:
        """End the lease and remove its file."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._lock.close()
        _OWN.discard((self.pid, self.token))


def _new_lock(directory: Path) -> KernelLock:
    """Return the lock of a file that is new."""
    for _ in range(_TRIES):
        lock = KernelLock(directory / f"{secrets.token_hex(8)}{_SUFFIX}")
        # Before it is locked, who tidies up may take the file for one that was left behind.
        if lock.acquire() and lock.is_in_place():
            return lock
        lock.close()
    raise LeaseLost(f"Files in {directory} are removed as fast as they are made: let nothing else tidy up there.")


def _allocate(fd: int, size: int) -> None:
    # Really, not as a hole: a store into a page that the disk has no room for would kill the process.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.write(fd, bytes(size))


def read_abandoned(directory: Path, token: str) -> Abandoned | None:
    """Return what is known of lease ``token`` if its owner is dead, with its lock taken; None if it lives."""
    if is_own(token):
        return None
    path = directory / f"{token}{_SUFFIX}"
    if not path.exists():
        return Abandoned(None, ())
    lock = KernelLock(path)
    if not lock.acquire():
        lock.close()
        return None
    assert lock.fd is not None
    # Through the locked descriptor: closing another one of the same file would drop the lock.
    data = os.pread(lock.fd, os.fstat(lock.fd).st_size, 0)
    return Abandoned(lock, tuple(seq for seq, _ in _started(data)))


def read_overdue(directory: Path, token: str, margin: float) -> list[int]:
    """Return the messages of lease ``token`` whose jobs should have been stopped ``margin`` seconds ago."""
    if is_own(token):
        return []
    try:
        data = (directory / f"{token}{_SUFFIX}").read_bytes()
    except OSError:
        return []
    now = time.monotonic()
    return [seq for seq, deadline in _started(data) if deadline and deadline + margin < now]


class Abandoned:
    """A dead process's lease: the messages whose jobs had started in it.

    Its lock is held until it is left or discarded: for others its process lives. In a ``with`` block that is when the
    block ends: discarded, or left as it is when the store could not be told.
    """

    def __init__(self, lock: KernelLock | None, started: tuple[int, ...]) -> None:
        self.started: Final = started
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.discard()
        else:
            self.leave()

    def leave(self) -> None:
        """Let go of the lock and leave the file for whoever reaps."""
        if self._lock is not None:
            self._lock.close()

    def discard(self) -> None:
        """Remove the file, once the store has been told."""
        if self._lock is not None:
            for path in (self._lock.path.with_suffix(WAKE_SUFFIX), self._lock.path):
                with contextlib.suppress(OSError):
                    path.unlink()
            self._lock.close()


def _started(data: bytes) -> Iterator[tuple[int, float]]:
    for seq, deadline in _SLOT.iter_unpack(data[_HEADER : len(data) - (len(data) - _HEADER) % _SLOT.size]):
        if seq:
            yield seq, deadline


if sys.platform == "win32":  # pragma: no cover - Windows runs clients and the embedded engine on threads
    import msvcrt

    def _lock(fd: int, *, blocking: bool) -> bool:
        # Byte 1 << 30 lies behind the data, so that readers of the file are not shut out.
        os.lseek(fd, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_LOCK if blocking else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        os.lseek(fd, 1 << 30, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int, *, blocking: bool) -> bool:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def _unlock(fd: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_UN)
