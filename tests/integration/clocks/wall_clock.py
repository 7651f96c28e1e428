"""A wall clock that a test moves under running programs. The one that only counts on stays, as on a real host."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path

from tests.conftest import miss, need_program

__all__ = ("WallClock",)

_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """The wall clock of the processes that are started with its :attr:`environment`."""

    def __init__(self, folder: Path) -> None:
        if sys.platform != "linux":
            miss("a clock that can be moved (Linux)")
        folder.mkdir(exist_ok=True)
        library, file = folder / "wall_clock.so", folder / "offset"
        command = [need_program("gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(_SOURCE)]
        subprocess.run(command, check=True)
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._offset = mmap.mmap(opened.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK": os.fspath(file)}

    def move(self, hours: float) -> None:
        """Set it so many hours after the true time, for all of them at once."""
        self._offset[:] = struct.pack("q", round(hours * 3600))
