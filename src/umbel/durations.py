"""Durations as people write them: ``"10m"``, ``"1h30m"``, ``90``, ``timedelta(minutes=1)``."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from typing import Final

__all__ = ("duration",)

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_LONGEST: Final = timedelta(days=3650)


def duration(value: object) -> timedelta:
    """Return ``value`` as a timedelta; bare numbers are seconds. Raises :exc:`ValueError`."""
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, bool):
        raise ValueError(_advice(value))
    elif isinstance(value, (int, float)):
        found = _seconds(value, value)
    elif isinstance(value, str):
        found = _parsed(value.strip().lower())
    else:
        raise ValueError(_advice(value))
    if not timedelta(0) <= found <= _LONGEST:
        raise ValueError(f"{value!r} is not between 0 and ten years.")
    return found


def _parsed(text: str) -> timedelta:
    with contextlib.suppress(ValueError):
        return _seconds(float(text), text)
    seconds, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise ValueError(_advice(text))
        seconds += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    if not text:
        raise ValueError(_advice(text))
    return _seconds(seconds, text)


def _seconds(seconds: float, text: object) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise ValueError(_advice(text)) from None


def _advice(value: object) -> str:
    return f'{value!r} is not a duration: write seconds, or a number with a unit, like "30s", "10m", "1h30m" or "7d".'
