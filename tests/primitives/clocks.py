"""Time that a model moves: that of a server by its wall clock, that of a file by how long its host has been up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import pytest

from tests.integration.clocks.wall_clock import WallClock
from umbel.engine import sqlite_clock

__all__ = ("Clock", "FileClock", "ServerClock", "marks", "server_clock")


class Clock(Protocol):
    """The time by which a store lets things end."""

    def advance(self, seconds: int) -> None:
        """Let so much time pass."""


class ServerClock:
    """The clock of a server that was started with the environment of ``wall``."""

    def __init__(self, wall: WallClock) -> None:
        self._wall: Final = wall
        self._moved = 0

    def advance(self, seconds: int) -> None:
        """Let so much time pass."""
        self._moved += seconds
        self._wall.move(self._moved / 3600)


class FileClock:
    """The clock of files of this process."""

    def __init__(self) -> None:
        self._moved = 0
        self._up: Final = sqlite_clock._up_seconds

    def advance(self, seconds: int) -> None:
        """Let so much time pass."""
        self._moved += seconds

    def _seconds(self) -> float:
        return self._up() + self._moved

    @contextmanager
    def installed(self) -> Iterator[FileClock]:
        """Let files go by it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite_clock, "_up_seconds", self._seconds)
            yield self


#: Names that no two examples of one process share, so that a store need not be emptied between them.
marks = (f"m{number}" for number in itertools.count())


def server_clock(folder: Path) -> tuple[ServerClock, dict[str, str]]:
    """Return a clock, and the environment of the server that is to go by it."""
    wall = WallClock(folder)
    for path in (folder, *folder.iterdir()):
        # A server may be another user's.
        path.chmod(0o755)
    return ServerClock(wall), wall.environment
