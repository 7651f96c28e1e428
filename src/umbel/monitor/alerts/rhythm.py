"""When the entries of a schedule are due, for whoever watches their scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import crontab
from celery.utils.time import timezone

from umbel.engine.alerts_told import CRONTAB

__all__ = ("Rhythm",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """The entries of one application's schedule: seconds, or a crontab's five fields, in a time zone."""

    zone: str = "UTC"
    entries: Mapping[str, float | Sequence[str]] = field(default_factory=dict)

    def due_after(self, entry: str, last: float) -> float:
        """Return when an entry that ran at the unix time ``last`` is due again."""
        times = self.entries[entry]
        began = datetime.fromtimestamp(last, UTC)
        if isinstance(times, int | float):
            return (began + timedelta(seconds=times)).timestamp()
        schedule: Any = crontab(**dict(zip(CRONTAB, times, strict=True)), nowfun=lambda: datetime.now(UTC))
        zone = timezone.get_timezone(self.zone)
        # Celery would ask an application for it, and there is none here.
        vars(schedule)["tz"] = zone
        start, delta, _ = schedule.remaining_delta(began, tz=zone)
        due: datetime = start + delta
        return due.timestamp()
