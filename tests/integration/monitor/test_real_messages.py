"""What Umbel really sends, as the history reads it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import _state

from tests.integration.monitor.events import START, Recorder
from umbel import Settings, Umbel
from umbel.monitor.history import History
from umbel.state.events import Queued

KEY = "k:" + "A" * 43 + "="


@pytest.fixture
def jobs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    app = Umbel("shop", settings=Settings(payload_keys=KEY), set_as_current=False)

    @app.task(name="shop.add")
    def add(one: int, other: int) -> int:
        return one + other

    @app.task(name="shop.charge", sensitive=("card",))
    def charge(card: str) -> None:
        """Takes money."""

    yield app
    app.close()


def tell_all(project: Path, history: History) -> None:
    """Tell of every message that waits in the embedded file."""
    connection = sqlite3.connect(project / ".umbel" / "umbel.db")
    rows = connection.execute("SELECT task_id, due, payload FROM message ORDER BY seq").fetchall()
    connection.close()
    Recorder(history).tell(*[Queued(row[0], "default", 0, START, row[1], row[2]) for row in rows])


@pytest.mark.parametrize("way", ["short", "celery's"])
def test_a_dispatch_is_read(jobs: Umbel, project: Path, history: History, way: str) -> None:
    options = {} if way == "short" else {"expires": 3600}
    headers = {"umbel_tags": ["red", "big"]}
    sent = jobs.tasks["shop.add"].apply_async((1,), {"other": 2}, headers=headers, **options)
    tell_all(project, history)
    found = history.jobs.job(sent.id)
    assert (found.job.task, found.job.root_id, found.tags) == ("shop.add", None, ("big", "red"))
    assert json.loads(str(found.arguments)) == [[1], {"other": 2}]


def test_a_chain_tells_of_what_is_dispatched(jobs: Umbel, project: Path, history: History) -> None:
    add = jobs.tasks["shop.add"]
    (add.s(1, 2) | add.s(3)).apply_async()
    tell_all(project, history)
    assert [one.task for one in history.jobs.find().jobs] == ["shop.add"]


def test_c43_sensitive_arguments_are_in_no_table(jobs: Umbel, project: Path, history: History) -> None:
    secret = "4111-1111-1111-1111"
    sent = jobs.tasks["shop.charge"].delay(secret)
    jobs.tasks["shop.add"].apply_async((1, 2), link=jobs.tasks["shop.charge"].si(secret))
    tell_all(project, history)
    found = history.jobs.job(sent.id)
    assert (found.job.task, found.arguments, found.has_message) == ("shop.charge", None, True)
    with history.database.reading() as connection:
        for table in ("umbel_jobs", "umbel_messages", "umbel_tags", "umbel_names"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert secret not in repr(rows)
            assert "NDExMS0xMTEx" not in repr(rows), "in base64"
