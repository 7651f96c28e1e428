"""The clock by which the locks, keys and breakers of one file end: it only counts on, whatever is done to the host's.

It says what the wall clock said when the file was first opened after the host's start, and how long that has been up
since. All processes on the file agree on it by a small file in its run directory, which is read when they open it;
after that it costs as much as the wall clock. Where the kernel does not name its starts (anywhere but on Linux) it is
the wall clock.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

__all__ = ("StoreClock",)

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class StoreClock:
    """The clock of the file whose run directory is ``run``."""

    def __init__(self, run: Path) -> None:
        self._path: Final = run / "clock"
        #: What it says more than the host has been up; None for the wall clock.
        self._ahead: float | None = None

    def now(self) -> float:
        """Return the time, in unix seconds but for what has been done to the wall clock since the host's start."""
        return time.time() if self._ahead is None else self._ahead + _up_seconds()

    def agree(self) -> bool:
        """Go by what the first process has found; return whether the host was started anew since then.

        Called by one process at a time.
        """
        boot = _boot()
        if boot is None:
            return False
        known = self._read()
        if known is not None and known[0] == boot:
            self._ahead = known[1]
            return False
        ahead = time.time() - _up_seconds()
        try:
            self._write(boot, ahead)
        except OSError:
            # The disk is full, say. Whoever opens the file next tries again.
            return False
        self._ahead = ahead
        return known is not None

    def _write(self, boot: str, ahead: float) -> None:
        made = self._path.with_suffix(".new")
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{boot} {ahead!r}\n".encode("ascii"))
        finally:
            os.close(fd)
        made.replace(self._path)

    def _read(self) -> tuple[str, float] | None:
        try:
            boot, ahead = self._path.read_text(encoding="ascii").split()
            return boot, float(ahead)
        except (FileNotFoundError, ValueError):
            return None


def _boot() -> str | None:
    try:
        return "".join(_BOOT.read_text(encoding="ascii").split()) or None
    except OSError:
        return None


if sys.platform == "linux":

    def _up_seconds() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:  # pragma: no cover - elsewhere nobody asks: no start is named

    def _up_seconds() -> float:
        return time.monotonic()
