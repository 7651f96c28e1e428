"""Times and lengths of time as people say them: the command line, pages and answers say them alike."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

__all__ = ("ago", "clock", "duration")

_STEPS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def duration(seconds: float) -> str:
    """``0.3 s``, ``12 s``, ``5 min``, ``2.5 h``, ``3 d``."""
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def ago(moment: float | None) -> str:
    """How long ago the Unix time ``moment`` was, or in how long it will be; empty when unknown."""
    if moment is None:
        return ""
    passed = time.time() - moment
    return f"{duration(passed)} ago" if passed >= 0 else f"in {duration(-passed)}"


def clock(moment: float) -> str:
    """The Unix time ``moment`` as this machine's local time, with the date unless it is today's."""
    local = datetime.fromtimestamp(moment).astimezone()
    form = "%H:%M:%S" if local.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M:%S"
    return local.strftime(form)
