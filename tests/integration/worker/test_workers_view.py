"""Workers as pages show them: what they say of themselves, their queues and tasks, with secrets masked."""

from __future__ import annotations

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import RateLimit
from umbel.monitor.queues_view import QueuesView
from umbel.monitor.workers_view import WorkerRow, WorkersView


def answering(plant: Plant) -> WorkerRow:
    """The only worker, when it hears control commands: it begins to a moment after it fetches."""
    rows: list[WorkerRow] = []

    def answers() -> bool:
        rows[:] = WorkersView(plant.app).all()
        return rows[0].profile is not None

    until(answers, "the worker answers")
    return rows[0]


@pytest.mark.stores("sqlite", "redis")
def test_a_worker_tells_its_configuration_with_its_sources_and_no_secret(plant: Plant) -> None:
    secret = "hunter2hunter2hunter2hunter2hunt"
    plant.start(
        "-Q",
        "default,extra",
        concurrency=3,
        UMBEL_WEB_TOKEN=secret,
        UMBEL_WEBHOOK_SECRET=f"whsec_{secret}",
        UMBEL_HISTORY_URL=f"postgresql://me:{secret}@127.0.0.1:1/none",
        UMBEL_RELEASE="v7",
        UMBEL_HISTORY="0",
        CELERY_TASK_TIME_LIMIT="77",
    )
    row = answering(plant)
    assert row.profile is not None
    assert (row.slots, row.in_flight, set(row.queues)) == (3, 0, {"default", "extra"})
    assert (row.is_full, row.is_draining) == (False, False)
    assert row.profile.memory > 20 * 2**20
    assert (row.profile.release, row.profile.pool) == ("v7", "default")
    told = {one.name: (one.value, one.source) for one in row.profile.settings}
    assert told["release"] == ("v7", "environment UMBEL_RELEASE")
    assert told["time_limit"][1] == "environment CELERY_TASK_TIME_LIMIT"
    assert told["concurrency"] == ("3", "option of the worker")
    assert told["crash_limit"] == ("3", "default")
    assert told["task_acks_late"] == ("True", "default of Umbel")
    assert told["web_token"][0] == "********"
    assert secret not in repr(row)
    # What is asked for is asked once, however many look.
    view = WorkersView(plant.app)
    assert view.one(row.name) == view.one(row.name) is not None
    assert view.one("nobody@nowhere") is None


@pytest.mark.stores("sqlite")
def test_more_slots_are_seen_and_a_worker_that_does_not_answer_is_shown(plant: Plant) -> None:
    worker = plant.start()
    view, row = WorkersView(plant.app), answering(plant)
    plant.app.control.pool_grow(2, destination=[row.name])

    def has_grown() -> bool:
        view.forget()
        found = view.one(row.name)
        return found is not None and found.slots == row.slots + 2

    until(has_grown, "the pool has grown")
    (child,) = worker.children("worker")
    child.suspend()
    try:
        view.forget()
        stopped = view.one(row.name)
        assert stopped is not None
        assert (stopped.profile, stopped.pid) == (None, child.pid)
    finally:
        child.resume()


@pytest.mark.stores("sqlite")
def test_c4_queues_that_nobody_consumes_stand_first(plant: Plant) -> None:
    plant.start("-Q", "default")
    plant.app.task(name="client.mail", queue="mail", shared=False)(mail)
    plant.send("say", "hello", queue="lonely")
    plant.app.limits.queue("mail", RateLimit("5/m"))
    rows = QueuesView(plant.app, None).all()
    assert [(row.name, row.is_unserved) for row in rows if row.name in ("default", "lonely", "mail")] == [
        ("lonely", True),
        ("mail", True),
        ("default", False),
    ]
    known = {row.name: row for row in rows}
    assert (known["lonely"].waiting, known["lonely"].droppable, known["lonely"].workers) == (1, 1, ())
    assert known["mail"].users == ("client.mail",)
    assert [(one.name, one.limit) for one in known["mail"].limits] == [("queue:mail", "5/m")]
    assert len(known["default"].workers) == known["default"].consumers == 1


def mail() -> None:
    """Nothing."""
