"""The trail: one file in which tasks, hooks and signal receivers note what they did, whichever process they run in.

Each note is one JSON line ``{"key", "what", "at", "pid", ...}``, appended atomically. Beside the file stand the
gates: a task that waits at a gate goes on when the test opens it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, Final

from tests.acceptance.semantics.waiting import DEADLINE, until

__all__ = ("VARIABLE", "Trail", "note", "pass_gate", "pass_gate_async", "read")

#: The environment variable that tells a worker where the trail is.
VARIABLE: Final = "SEMANTICS_TRAIL"

_STEP: Final = 0.02
_GATE_SECONDS: Final = 170.0


def note(key: str, what: str, **facts: Any) -> None:
    """Append one note; ``facts`` must be JSON-safe or have a ``repr``."""
    entry = {"key": key, "what": what, "at": time.time(), "pid": os.getpid(), **facts}
    line = json.dumps(entry, default=repr).encode() + b"\n"
    descriptor = os.open(_path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read(key: str) -> list[dict[str, Any]]:
    """All notes of ``key``, in the order in which they were written."""
    return Trail(_path()).notes(key)


def pass_gate(key: str) -> None:
    """Wait, in steps that Python code can interrupt, until the gate is open."""
    gate, end = _gate(_path(), key), time.monotonic() + _GATE_SECONDS
    while not gate.exists() and time.monotonic() < end:
        time.sleep(_STEP)


async def pass_gate_async(key: str) -> None:
    """As :func:`pass_gate`, for coroutines."""
    gate, end = _gate(_path(), key), time.monotonic() + _GATE_SECONDS
    while not gate.exists() and time.monotonic() < end:
        await asyncio.sleep(_STEP)


class Trail:
    """The test's side of the trail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._notes: dict[str, list[dict[str, Any]]] = {}

    def notes(self, key: str, what: str | None = None) -> list[dict[str, Any]]:
        """The notes of ``key``; only those that say ``what``, when given."""
        self._catch_up()
        found = self._notes.get(key, [])
        return [entry for entry in found if what is None or entry["what"] == what]

    def words(self, key: str) -> list[str]:
        """What was noted under ``key``, in order."""
        return [entry["what"] for entry in self.notes(key)]

    def wait(self, key: str, what: str, count: int = 1, deadline: float = DEADLINE) -> list[dict[str, Any]]:
        """Wait until ``what`` was noted ``count`` times, and return these notes."""
        until(lambda: len(self.notes(key, what)) >= count, f"{count} × {what!r} noted under {key}", deadline)
        return self.notes(key, what)

    def open_gate(self, key: str) -> None:
        """Let all tasks pass that wait at this gate, now and later."""
        _gate(self.path, key).touch()

    def _catch_up(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                entry = json.loads(line)
                self._notes.setdefault(entry["key"], []).append(entry)


def _path() -> Path:
    return Path(os.environ[VARIABLE])


def _gate(trail: Path, key: str) -> Path:
    return trail.parent / f"gate-{key}"
