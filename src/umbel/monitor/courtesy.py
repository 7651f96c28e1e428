"""How much of a machine's time the recorder takes while jobs want it too.

A process that keeps a core busy slows down the others, whatever its priority: cores share their caches, and often are
two halves of one. So where no core is to spare the recorder works a sixteenth of the time, and the history is late
instead. That is meant for bursts: it has half a minute of such patience, which comes back as fast as it went while
there is room again, or nothing to do. Without patience it works as fast as it can, so that under a load without end
the log of events is short. Where there is room nobody waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

__all__ = ("Courtesy", "IdleCores")

#: What it rests for each second that it has worked.
_REST: Final = 15.0
#: So late the history may be for the jobs' sake.
_PATIENCE_SECONDS: Final = 30.0
#: So many idle cores leave the jobs enough when one of them records.
_ENOUGH: Final = 1.5
#: Between two looks: the kernel counts in hundredths of a second.
_LOOK_SECONDS: Final = 0.25

_STAT: Final = Path("/proc/stat")
#: A container's share of the processors, as the second and the first version of control groups tell it.
_QUOTAS: Final = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
_WITHOUT_END: Final = ("max", "-1")


class IdleCores:
    """How many cores have had nothing to do of late, apart from this process; none where nobody tells."""

    def __init__(
        self, stat: Path = _STAT, quotas: Sequence[Path] = _QUOTAS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stat: Final = stat
        self._clock: Final = clock
        #: In a container with a share of its own the host's idle cores are of no use.
        self._is_limited: Final = any(not _text(one).startswith(_WITHOUT_END) for one in quotas if one.exists())
        self._ticks: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
        self._at, self._idle, self._own = self._clock(), self._idle_seconds(), time.process_time()
        self._found = 0.0

    def __call__(self) -> float:
        """Return what it was at the last look, a quarter of a second ago at most while it is asked."""
        now = self._clock()
        if self._is_limited or now - self._at < _LOOK_SECONDS:
            return self._found
        idle, own = self._idle_seconds(), time.process_time()
        if idle is not None and self._idle is not None:
            self._found = max(0.0, (idle - self._idle + own - self._own) / (now - self._at))
        self._at, self._idle, self._own = now, idle, own
        return self._found

    def _idle_seconds(self) -> float | None:
        """Return the seconds that all cores together have been idle since the start; None where it is not told."""
        words = _text(self._stat).partition("\n")[0].split()
        if len(words) < 6 or words[0] != "cpu":
            return None
        return (int(words[4]) + int(words[5])) / self._ticks


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


class Courtesy:
    """Says how long to rest after each piece of work."""

    def __init__(
        self, idle_cores: Callable[[], float] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle_cores: Final = idle_cores or IdleCores()
        self._clock: Final = clock
        self._at = clock()
        self._patience = _PATIENCE_SECONDS

    def caught_up(self) -> None:
        """Note that nothing is left to do now."""
        self._pass(earning=True)

    def rest(self, worked: float, *, pressing: bool = False) -> float:
        """Return for how many seconds to rest after ``worked`` of them, with more to do; none when that is pressing."""
        has_room = self._idle_cores() >= _ENOUGH
        self._pass(earning=has_room)
        return 0.0 if has_room or pressing else min(_REST * worked, self._patience)

    def _pass(self, *, earning: bool) -> None:
        """Get the time since the last word as patience, or spend it."""
        now = self._clock()
        passed, self._at = now - self._at, now
        self._patience = min(_PATIENCE_SECONDS, max(0.0, self._patience + (passed if earning else -passed)))
