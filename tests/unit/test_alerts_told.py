"""What a recorder is told of a schedule, and what it makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import BaseSchedule, crontab

from umbel import Umbel
from umbel.engine.alerts_told import alerts_told
from umbel.monitor.alerts.plan import Plan


def test_the_schedule_is_told_as_it_is_meant(make_app: Callable[..., Umbel]) -> None:
    app = make_app()
    app.conf.timezone = "Europe/Berlin"
    entries: dict[str, Any] = {
        "often": {"task": "a", "schedule": 30.0},
        "hourly": {"task": "a", "schedule": timedelta(hours=1)},
        "weekdays": {"task": "a", "schedule": crontab(minute=30, hour="8-18/2", day_of_week="mon-fri")},
        "own": {"task": "a", "schedule": BaseSchedule()},
        "wrong": {"task": "a"},
    }
    app.conf.beat_schedule = entries
    plan = Plan.of(json.loads(json.dumps(alerts_told(app))))
    assert set(plan.rhythm.entries) == {"shop/often", "shop/hourly", "shop/weekdays"}
    friday = datetime(2026, 11, 27, 17, 30, tzinfo=UTC).timestamp()
    assert plan.rhythm.due_after("shop/often", friday) == friday + 30
    assert plan.rhythm.due_after("shop/hourly", friday) == friday + 3600
    monday = datetime(2026, 11, 30, 7, 30, tzinfo=UTC).timestamp()
    assert plan.rhythm.due_after("shop/weekdays", friday) == monday, "half past eight in Berlin"


def test_nothing_is_told_where_nothing_is_set(make_app: Callable[..., Umbel]) -> None:
    plan = Plan.of(json.loads(json.dumps(alerts_told(make_app()))))
    assert (plan.webhooks, plan.mail, dict(plan.rhythm.entries)) == (None, None, {})
