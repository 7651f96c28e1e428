"""Times and lengths of time as people say them: the command line, pages and answers say them alike."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

__all__ = ("ago", "clock", "duration")

_STEPS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def duration(seconds: float) -> str:
    """``1.4 ms``, ``300 ms``, ``12 s``, ``5 min``, ``2.5 h``, ``3 d``."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    return _coarse(seconds)


def _coarse(seconds: float) -> str:
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def ago(moment: float | None) -> str:
    """How long ago the Unix time ``moment`` was, or in how long it will be; empty when unknown."""
    if moment is None:
        return ""
    passed = time.time() - moment
    # How many milliseconds ago something was is wrong when it is read.
    return f"{_coarse(passed)} ago" if passed >= 0 else f"in {_coarse(-passed)}"


def clock(moment: float) -> str:
    """The Unix time ``moment`` as this machine's local time, with the date unless it is today's."""
    local = datetime.fromtimestamp(moment).astimezone()
    form = "%H:%M:%S" if local.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M:%S"
    return local.strftime(form)
