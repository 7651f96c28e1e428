"""Where a job is, as the stores of a real application tell it, without a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from sqlalchemy import create_engine, update
from sqlalchemy.orm import Session

from umbel import RateLimit, Umbel
from umbel.engine.burial import letter_of
from umbel.engine.store import Outgoing, Record, Settled
from umbel.jobs.outbox_prompt import Prompt
from umbel.jobs.outbox_table import TABLE, create_outbox
from umbel.monitor.recorder import Recorder
from umbel.monitor.whereabouts import Place, Whereabouts
from umbel.settings import Settings
from umbel.state.events import Ended
from umbel.testing.contract._suite import payload

QUEUE = "celery"


def _rare(number: int) -> None: ...


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Umbel]:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
    settings = Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'shop.db'}")
    made = Umbel("shop", broker=url, settings=settings, set_as_current=False)
    made.task(name="shop.rare", shared=False, limits=[RateLimit("1/h")])(_rare)
    made.finalize()
    yield made
    made.close_databases()
    made.engine.close()
    made.close()


def where(app: Umbel, job: str) -> Whereabouts:
    return app.where.find(job)


def test_it_waits_for_its_start_under_a_limit(app: Umbel) -> None:
    asks = [app.limits.ask("shop.rare", QUEUE, job, lambda: ((1,), {})) for job in ("first", "second")]
    starts = app.engine.limits.reserve([one for one in asks if one is not None])
    app.engine.enqueue([Outgoing(QUEUE, payload("second", task="shop.rare"), "second", due=starts[1].at)])
    found = where(app, "second")
    assert (found.place, found.code, found.limits) == (Place.LIMITED, "limited", ("shop.rare",))
    assert found.due is not None
    assert abs(found.due - time.time() - 3600) < 120


def test_it_has_put_itself_off(app: Umbel) -> None:
    said = ["30s", "all slots are taken"]
    snooze = {"exc_type": "Snooze", "exc_message": said, "exc_module": "umbel.jobs.outcomes"}
    document = json.dumps({"status": "RETRY", "result": snooze})
    app.engine.enqueue([Outgoing(QUEUE, payload("a"), "a", due=time.time() + 60)])
    app.engine.settle([Settled(records=[Record("a", "RETRY", False, document)])])
    found = where(app, "a")
    assert (found.place, found.code) == (Place.LIMITED, "put_off")
    assert "all slots are taken" in found.text


def test_it_waits_for_its_time_or_for_its_retry(app: Umbel) -> None:
    app.engine.enqueue([Outgoing(QUEUE, payload("a"), "a", due=time.time() + 60)])
    app.engine.enqueue([Outgoing(QUEUE, payload("b", retries=2), "b", due=time.time() + 60)])
    assert where(app, "a").place is Place.DELAYED
    assert where(app, "b").place is Place.RETRYING


def test_when_it_is_expected_to_start_is_told_by_the_pace_of_its_queue(app: Umbel) -> None:
    app.engine.open_lease("w1@here", [QUEUE], 1)
    recorder = Recorder(app.engine, app.history)
    recorder.step()
    for job in ("a", "b", "c", "d"):
        app.engine.enqueue([Outgoing(QUEUE, payload(job), job)])
    now = time.time()
    for one in app.engine.fetch({QUEUE: 0}, 2):
        told = Ended(str(one.task_id), QUEUE, 0, "SUCCESS", one.enqueued, now, now)
        app.engine.settle([Settled(one.seq, "ack", told=told)])
    while recorder.step():
        pass
    found = where(app, "d")
    assert (found.code, found.position) == ("behind", 1)
    assert found.expected is not None
    # Two in five to six minutes, of which the last one has just begun.
    assert 100 < found.expected - time.time() < 200
    recorder.resign()


def test_it_is_in_the_outbox_or_aside(app: Umbel, tmp_path: Path) -> None:
    database = create_engine(str(app.settings.database_url))
    assert where(app, "a").code == "unknown", "the database has no outbox"
    create_outbox(database)
    with (
        mock.patch.object(Prompt, "publish"),
        Session(database) as session,
        session.begin(),
        app.in_transaction(session),
    ):
        app.send_task("shop.add", (1, 2), task_id="a")
    found = where(app, "a")
    assert (found.place, found.code, found.task, found.queue) == (Place.OUTBOX, "outbox", "shop.add", QUEUE)
    with database.begin() as connection:
        connection.execute(update(TABLE).values(error="It is too large."))
    assert where(app, "a").code == "aside"
    assert "too large" in str(where(app, "a").error)
    assert where(app, "b").code == "unknown"
    database.dispose()


def test_an_answer_of_the_history_outlives_the_result(app: Umbel) -> None:
    app.engine.open_lease("w1@here", [QUEUE], 1)
    recorder = Recorder(app.engine, app.history)
    recorder.step()
    app.engine.enqueue([Outgoing(QUEUE, payload("a"), "a"), Outgoing(QUEUE, payload("b"), "b")])
    for one in app.engine.fetch({QUEUE: 0}, 2):
        state = "SUCCESS" if one.task_id == "a" else "FAILURE"
        letter = None if state == "SUCCESS" else letter_of(one, "no", error=ValueError("no"), release=None)
        now = time.time()
        told = Ended(str(one.task_id), QUEUE, 0, state, one.enqueued, now, now)
        app.engine.settle([Settled(one.seq, "ack", told=told, letter=letter)])
    while recorder.step():
        pass
    assert (where(app, "a").place, where(app, "a").code) == (Place.ENDED, "succeeded")
    assert (where(app, "b").place, where(app, "b").code) == (Place.DEAD, "dead")
    recorder.resign()


def test_a_history_that_is_away_is_said_and_the_others_answer(app: Umbel, tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"nothing that SQLite has written" * 200)
    app.engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    found = where(app, "a")
    assert found.place is Place.QUEUED
    assert sum("The history could not be asked" in note for note in found.notes) == 1
