"""What is dispatched by itself: the entries of the schedule, when each ran last and is due next, and who leads.

Arguments of entries are not told: they may hold what is nobody's business.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from celery.beat import ScheduleEntry
from celery.schedules import schedule

from umbel.monitor.publishable import queue_of
from umbel.schedule.leading import Leading, leading
from umbel.schedule.words import said

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("Entry", "Schedules", "SchedulesView")

#: What is due is dispatched within a second or two; after so many there is something wrong.
_LATE_SECONDS: Final = 30.0
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. Times are unix seconds."""

    name: str
    task: str
    #: Whether the application that looks has a task of that name.
    is_known: bool
    queue: str | None
    #: ``every 30 s``, or the five fields of a crontab.
    schedule: str
    last_run: float | None
    runs: int
    #: None where only a scheduler that begins decides.
    next_run: float | None
    #: It should have run a while ago.
    is_late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """All entries, those that are due next first."""

    entries: tuple[Entry, ...]
    leading: Leading | None
    #: How many there are beyond the thousand that are told.
    left_out: int
    taken: float

    @property
    def is_silent(self) -> bool:
        """Whether there is something to dispatch, and no scheduler."""
        return bool(self.entries) and self.leading is None


class SchedulesView:
    """Reads the schedule of an application."""

    def __init__(self, app: Umbel) -> None:
        self._app: Final = app

    def read(self) -> Schedules:
        """Return the schedule as it is now. Raises a :exc:`StoreError`."""
        engine, now = self._app.engine, time.time()
        ticks = engine.last_ticks()
        contents: Mapping[str, Any] = self._app.conf.beat_schedule or {}
        found = [self._entry(name, content, ticks, now) for name, content in sorted(contents.items())[:_MOST]]
        found.sort(key=lambda entry: (entry.next_run is None, entry.next_run or 0.0, entry.name))
        return Schedules(
            entries=tuple(found),
            leading=leading(engine.locks, self._app.main or ""),
            left_out=max(0, len(contents) - _MOST),
            taken=now,
        )

    def _entry(self, name: str, content: Any, ticks: Mapping[str, tuple[float, int]], now: float) -> Entry:
        app = self._app
        known = ScheduleEntry(**{**dict(content), "name": name}, app=app)
        last_run, runs = ticks.get(f"{app.main or ''}/{name}", (None, 0))
        next_run = _next_run(known, app, last_run, now)
        chosen = known.options.get("queue")
        return Entry(
            name=name,
            task=str(known.task),
            is_known=known.task in app.tasks,
            queue=str(getattr(chosen, "name", chosen)) if chosen else queue_of(app, str(known.task)),
            schedule=said(known.schedule),
            last_run=last_run,
            runs=runs,
            next_run=next_run,
            is_late=next_run is not None and next_run + _LATE_SECONDS < now,
        )


def _next_run(entry: Any, app: Umbel, last_run: float | None, now: float) -> float | None:
    if type(entry.schedule) is schedule and not entry.schedule.relative:
        # Without a run it is one interval after a scheduler begins.
        interval: float = entry.schedule.run_every.total_seconds()
        return None if last_run is None else last_run + interval
    since = datetime.fromtimestamp(now if last_run is None else last_run, UTC).astimezone(app.timezone)
    try:
        left: float = entry.schedule.remaining_estimate(since).total_seconds()
    except Exception:
        # A schedule of the application's own may do whatever it likes.
        return None
    return float(round(time.time() + left))
