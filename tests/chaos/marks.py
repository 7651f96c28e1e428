"""The marks that jobs leave: one line at a body's beginning and one at its effect, in a file of each process.

A line is one ``write`` on a descriptor opened for appending: a killed process leaves whole lines or none. Lines
have one length, so that the size of the files tells how far a campaign is.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ("Mark", "Marker", "Unit", "count", "count_of", "marks_of", "read")

_LENGTH: Final = 96

#: One execution that may happen once: a task id and its attempt.
Unit = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """One line. ``effect`` is False for the beginning of a body; ``at`` in unix seconds."""

    effect: bool
    unit: Unit
    pid: int
    at: float
    key: str


class Marker:
    """Writes this process's marks, where a folder is given. Survives a fork."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._pid = 0
        self._fd = -1
        self._lock = threading.Lock()

    def mark(self, kind: str, task_id: str, attempt: int, key: str) -> None:
        """Append a line; ``kind`` is B (begun) or E (effect)."""
        if self._folder is None:
            return
        line = f"{kind} {task_id} {attempt} {os.getpid()} {time.time():.6f} {key}"
        os.write(self._open(), line.ljust(_LENGTH - 1).encode() + b"\n")

    def _open(self) -> int:
        assert self._folder is not None
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                path = marks_of(self._folder, self._pid)
                self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._fd


def marks_of(folder: Path, pid: int) -> Path:
    """Return the file into which process ``pid`` marks."""
    return folder / f"{pid}.marks"


def count(folder: Path) -> int:
    """Return how many marks there are, by the size of the files."""
    return sum(path.stat().st_size for path in folder.glob("*.marks")) // _LENGTH


def count_of(folder: Path, pid: int) -> int:
    """Return how many marks process ``pid`` has left."""
    try:
        return marks_of(folder, pid).stat().st_size // _LENGTH
    except FileNotFoundError:
        return 0


def read(folder: Path) -> Iterator[Mark]:
    """Yield every mark. Raises :exc:`ValueError` for a torn line."""
    for path in sorted(folder.glob("*.marks")):
        with path.open() as lines:
            for line in lines:
                if len(line) != _LENGTH:
                    raise ValueError(f"{path} has a torn line: {line!r}")
                kind, task_id, attempt, pid, at, key = line.split()
                yield Mark(kind == "E", (task_id, int(attempt)), int(pid), float(at), key)
