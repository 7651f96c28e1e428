"""Counts finished jobs across threads and processes through small memory-mapped files.

A job calls :func:`done` as the last thing of its body; an observer calls :func:`read`. One mark costs about half a
microsecond and takes no lock: every thread writes a slot of its own, every process a file of its own.
"""

import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

__all__ = ["DIRECTORY", "NAP", "Total", "done", "read", "stamp", "stamps"]

DIRECTORY = "BENCH_DIR"
#: Seconds that a job of the crowd sleeps.
NAP = 0.05

_SLOT = struct.Struct("<qdd")
_SLOTS = 512
_SIZE = _SLOT.size * _SLOTS
_STAMP = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class Total:
    """What all processes of one worker have done; times are ``time.monotonic()`` seconds, 0.0 when nothing is done."""

    jobs: int
    processes: int
    first: float
    last: float


class _Slot:
    __slots__ = ("_at", "_count", "_first", "_map", "pid")

    def __init__(self, pages: mmap.mmap, number: int, pid: int) -> None:
        self._map = pages
        self._at = number * _SLOT.size
        self._count = 0
        self._first = 0.0
        self.pid = pid

    def mark(self) -> None:
        now = time.monotonic()
        self._first = self._first or now
        self._count += 1
        _SLOT.pack_into(self._map, self._at, self._count, self._first, now)


class _Process:
    """The file of this process; made again after a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.numbers = count()
        path = _folder() / f"{self.pid}.tally"
        path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self.pages = mmap.mmap(file.fileno(), _SIZE)


_local = threading.local()
_opening = threading.Lock()
_process: _Process | None = None


def done() -> None:
    """Count one finished job."""
    slot: _Slot | None = getattr(_local, "slot", None)
    if slot is None or slot.pid != os.getpid():
        slot = _local.slot = _open_slot()
    slot.mark()


def read(directory: Path) -> Total:
    """Sum the files of all processes below ``directory``."""
    files = [list(_marks(path)) for path in directory.glob("*.tally")]
    marks = [mark for file in files for mark in file]
    if not marks:
        return Total(0, 0, 0.0, 0.0)
    busy = sum(1 for file in files if file)
    return Total(sum(m[0] for m in marks), busy, min(m[1] for m in marks), max(m[2] for m in marks))


def stamp(sent: float) -> None:
    """Append the seconds since ``sent`` (``time.monotonic()`` of the dispatching process) to the stamps file."""
    late = time.monotonic() - sent
    handle = os.open(_folder() / "stamps", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, _STAMP.pack(late))
    finally:
        os.close(handle)


def stamps(directory: Path) -> list[float]:
    """Read the seconds that :func:`stamp` has written so far."""
    path = directory / "stamps"
    if not path.exists():
        return []
    return [late for (late,) in _STAMP.iter_unpack(path.read_bytes())]


def _folder() -> Path:
    return Path(os.environ[DIRECTORY])


def _open_slot() -> _Slot:
    global _process
    with _opening:
        if _process is None or _process.pid != os.getpid():
            _process = _Process()
        return _Slot(_process.pages, next(_process.numbers), _process.pid)


def _marks(path: Path) -> Iterator[tuple[int, float, float]]:
    content = path.read_bytes()
    for jobs, first, last in _SLOT.iter_unpack(content[: len(content) - len(content) % _SLOT.size]):
        if not jobs:
            return
        yield jobs, first, last
