"""Tasks: what they declare, and how their jobs have fared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import _state

from tests.integration.monitor.events import Recorder, ended, queued
from umbel import RateLimit, Retry, Umbel
from umbel.monitor.history import History
from umbel.monitor.tasks_view import TasksView


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    # Celery gives the shared tasks of every application of the process to each.
    own = {one for one in _state._on_app_finalizers if one.__module__ == "celery.app.builtins"}
    monkeypatch.setattr(_state, "_on_app_finalizers", own)
    app = Umbel("shop", broker=f"sqlite:///{tmp_path}/jobs.db")
    app.task(
        name="shop.pay",
        shared=False,
        retry=Retry(4),
        limits=[RateLimit("10/m")],
        priority=9,
        time_limit=60,
        queue="money",
    )(nothing)
    app.task(name="shop.plain", shared=False)(nothing)
    yield app
    app.engine.close()
    app.close()


def nothing(*_: Any) -> None:
    """Nothing."""


def test_a_task_tells_what_it_declares_and_nothing_else(app: Umbel) -> None:
    view = TasksView(app, None)
    pay, plain = view.one("shop.pay"), view.one("shop.plain")
    assert pay is not None
    assert plain is not None
    told = {one.name: one.value for one in pay.options}
    assert {"retry", "limits", "priority", "time_limit"} <= set(told)
    assert "times=4" in told["retry"]
    assert (told["priority"], told["time_limit"]) == ("9", "60")
    assert [(one.name, one.limit) for one in pay.limits] == [("shop.pay", "10/m")]
    assert (pay.queue, pay.is_known, pay.total) == ("money", True, None)
    assert plain.options == ()
    assert [row.name for row in view.all()] == ["shop.pay", "shop.plain"]


def test_tasks_of_others_are_there_by_what_is_recorded_of_them(app: Umbel, history: History) -> None:
    now = time.time()
    Recorder(history).tell(
        queued("a", now - 10, task="elsewhere.sum"),
        ended("a", started=now - 9, ran=1.0),
        queued("b", now - 10 * 86_400, task="elsewhere.old"),
        ended("b", started=now - 10 * 86_400, ran=1.0),
    )
    view = TasksView(app, history)
    rows = {row.name: row for row in view.all("hour")}
    assert set(rows) == {"shop.pay", "shop.plain", "elsewhere.sum"}
    total = rows["elsewhere.sum"].total
    assert total is not None
    assert total.counts["succeeded"] == 1
    assert rows["shop.plain"].total is None
    old = view.one("elsewhere.old")
    assert old is not None
    assert (old.is_known, old.total, old.options) == (False, None, ())
    assert view.one("nobody.heard") is None
