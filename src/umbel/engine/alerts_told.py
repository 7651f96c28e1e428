"""What the recorder is to know of an application's alerts: it has neither the application nor its settings."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from celery.schedules import crontab, maybe_schedule

if TYPE_CHECKING:
    from umbel.settings import Settings

__all__ = ("CRONTAB", "alerts_told", "rhythm_of")

#: So many entries of a schedule are looked after.
_ENTRIES_MOST: Final = 200
#: A crontab's fields, in their order.
CRONTAB: Final = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")


def alerts_told(app: Any) -> dict[str, Any]:
    """Return it as JSON values. There are passwords in it."""
    told: Settings = app.settings
    return {
        "app": app.main or "",
        "thresholds": {
            "within": told.alert_within.total_seconds(),
            "failures": told.alert_failures,
            "dead_letters": told.alert_dead_letters,
            "wait": told.alert_wait.total_seconds(),
            "waits": list(told.alert_waits),
        },
        "webhooks": {
            "urls": list(told.alert_webhook),
            "secret": told.webhook_secret.get_secret_value() if told.webhook_secret else None,
            "allow": list(told.webhook_allow),
            "timeout": told.webhook_timeout.total_seconds(),
        },
        "mail": {
            "url": told.alert_smtp_url.get_secret_value() if told.alert_smtp_url else None,
            "sender": told.alert_sender,
            "recipients": list(told.alert_email),
        },
        "rhythm": rhythm_of(app),
    }


def rhythm_of(app: Any) -> dict[str, Any]:
    """Return when each entry of the schedule runs, as the store calls it, with the time zone of all.

    An interval is a number of seconds, a crontab its five fields; the times of other schedules are not known here.
    """
    entries: Mapping[str, Any] = app.conf.beat_schedule or {}
    found: dict[str, Any] = {}
    for name, entry in list(entries.items())[:_ENTRIES_MOST]:
        # What is no schedule is said where the scheduler starts.
        with contextlib.suppress(Exception):
            given = entry["schedule"] if isinstance(entry, Mapping) else entry.schedule
            times = _times_of(maybe_schedule(given, app=app))
            if times is not None:
                found[f"{app.main or ''}/{name}"] = times
    return {"zone": str(app.conf.timezone or "UTC"), "entries": found}


def _times_of(schedule: Any) -> float | list[str] | None:
    if type(schedule) is crontab:
        return [_field(getattr(schedule, f"_orig_{name}")) for name in CRONTAB]
    every = getattr(schedule, "run_every", None)
    return every.total_seconds() if isinstance(every, timedelta) else None


def _field(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)
