"""What is dispatched by itself: when it ran, when it is due, and who leads (C39, C40)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab, schedule

from umbel import Settings, Umbel
from umbel.monitor.schedules_view import Entry, Schedules, SchedulesView
from umbel.schedule.beat import LeaderScheduler
from umbel.schedule.leading import Presence, leading
from umbel.schedule.words import said


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Umbel]:
    url = f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.getfixturevalue("redis_url")
    app = Umbel("shop", broker=url, settings=Settings(data_dir=tmp_path, external_tasks=("elsewhere.sum",)))
    app.task(name="shop.report", queue="reports", shared=False)(nothing)
    app.conf.beat_schedule = {
        "often": {"task": "shop.report", "schedule": 0.01, "args": ("a secret",)},
        "nightly": {"task": "shop.report", "schedule": crontab(minute="30", hour="2"), "options": {"queue": "night"}},
        "daily": {"task": "elsewhere.sum", "schedule": timedelta(days=1)},
    }
    yield app
    app.engine.close()
    app.close()


def nothing(*_: Any) -> None:
    """Nothing."""


def read(app: Umbel) -> tuple[Schedules, dict[str, Entry]]:
    found = SchedulesView(app).read()
    return found, {entry.name: entry for entry in found.entries}


def test_without_a_scheduler_it_is_silent_and_says_when_what_would_be_due(app: Umbel) -> None:
    found, entries = read(app)
    assert found.is_silent
    nightly = entries["nightly"]
    assert nightly.schedule == "30 2 * * *"
    assert nightly.next_run is not None
    assert time.gmtime(nightly.next_run)[3:5] == (2, 30)
    assert found.taken < nightly.next_run <= found.taken + 86_400 + 1
    assert (nightly.last_run, nightly.runs, nightly.is_late) == (None, 0, False)
    # One interval after a scheduler begins, and nobody knows when that is.
    assert entries["daily"].next_run is None
    assert found.entries[0].name == "nightly"


def test_a_queue_is_that_of_the_entry_or_of_its_task(app: Umbel) -> None:
    _, entries = read(app)
    assert (entries["often"].queue, entries["nightly"].queue, entries["daily"].queue) == ("reports", "night", None)
    assert (entries["often"].is_known, entries["daily"].is_known) == (True, False)


def test_what_the_leader_has_dispatched_is_told_and_who_it_is(app: Umbel) -> None:
    scheduler = LeaderScheduler(app)
    deadline = time.monotonic() + 60
    while app.engine.names.size("reports") < 2 and time.monotonic() < deadline:
        scheduler.tick()
    found, entries = read(app)
    assert found.leading is not None
    assert found.leading.pid == os.getpid()
    assert not found.is_silent
    often = entries["often"]
    assert often.runs >= 2
    assert often.last_run is not None
    assert often.next_run == pytest.approx(often.last_run + 0.01, abs=0.1)
    assert "a secret" not in repr(found)
    scheduler.close()
    assert read(app)[0].leading is None


def test_what_should_have_run_long_ago_is_late(app: Umbel) -> None:
    leader = app.engine.leader("shop")
    assert leader.leads()
    assert app.engine.tick(leader, [], "shop/daily", time.time() - 2 * 86_400, 7)
    _, entries = read(app)
    assert entries["daily"].is_late
    assert entries["daily"].runs == 7
    leader.resign()


def test_a_second_scheduler_says_nothing_over_the_first_ones_head(app: Umbel) -> None:
    first, second = Presence(app.engine.locks, "shop"), Presence(app.engine.locks, "shop")
    first.tell()
    before = leading(app.engine.locks, "shop")
    second.tell()
    second.leave()
    assert leading(app.engine.locks, "shop") == before is not None
    assert leading(app.engine.locks, "blog") is None
    first.leave()
    second = Presence(app.engine.locks, "shop")
    second.tell()
    after = leading(app.engine.locks, "shop")
    assert after is not None
    assert before is not None
    assert after.since > before.since


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (crontab(), "* * * * *"),
        (crontab(minute="*/5", hour=[8, 9], day_of_week="mon-fri"), "*/5 8,9 * * mon-fri"),
    ],
)
def test_crontabs_are_said_by_their_five_fields(given: Any, text: str) -> None:
    assert said(given) == text


def test_intervals_are_said_in_their_largest_whole_unit() -> None:
    said_of = {seconds: said(schedule(timedelta(seconds=seconds))) for seconds in (0.5, 30, 90, 120, 7200, 172_800)}
    assert list(said_of.values()) == [
        "every 0.5 s",
        "every 30 s",
        "every 90 s",
        "every 2 min",
        "every 2 h",
        "every 2 d",
    ]
    assert said(object()).startswith("<object")
