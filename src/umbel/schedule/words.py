"""How a schedule is said: ``every 30 s``, ``5 4 * * mon``."""

from __future__ import annotations

from typing import Any, Final

from celery.schedules import crontab, schedule, solar

__all__ = ("said",)

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_FIELDS: Final = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
_MOST: Final = 200


def said(value: Any) -> str:
    """Return how a schedule of Celery's is said."""
    if isinstance(value, crontab):
        return " ".join(_field(getattr(value, f"_orig_{name}")) for name in _FIELDS)
    if isinstance(value, solar):
        return f"{value.event} at {value.lat:g}, {value.lon:g}"
    if isinstance(value, schedule):
        return f"every {_length(value.run_every.total_seconds())}"
    return str(value)[:_MOST]


def _field(value: Any) -> str:
    text = str(value) if isinstance(value, (str, int)) else ",".join(map(str, sorted(value)))
    return text.replace(" ", "")


def _length(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
