"""A lost job on RabbitMQ: its message keeps its key, so that a copy which comes a second time is not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.on_rabbit.conftest import until
from umbel import Umbel
from umbel.engine.store import Delivery, Outgoing, Settled
from umbel.monitor import where as where_module
from umbel.monitor.recorder import Recorder
from umbel.monitor.whereabouts import Place
from umbel.settings import Settings
from umbel.testing.contract._suite import payload

QUEUE = "shared"


def run_all(umbel: Umbel, times: int) -> list[Delivery]:
    """Fetch and settle until ``times`` jobs have run and nothing waits any more."""
    engine, found = umbel.engine, []
    engine.open_lease("here@test", [QUEUE], 10)

    def done() -> bool:
        for one in engine.fetch({QUEUE: 0}, 10):
            found.append(one)
            engine.settle([Settled(one.seq, "ack")])
        (queue,) = [one for one in engine.queues() if one.name == QUEUE]
        return len(found) >= times and not queue.ready and not queue.leased

    until(done, f"{times} jobs that have run, but {found}")
    engine.close_lease()
    return found


def test_what_is_put_back_twice_runs_once(umbel: Umbel) -> None:
    """As by two who have both found it lost, or by one who died in between."""
    text = json.loads(payload("a"))
    text["properties"]["message_id"] = "a" * 24
    message = Outgoing(QUEUE, json.dumps(text), "a", once=True, revived=True)
    umbel.engine.enqueue([message])
    umbel.engine.enqueue([message])
    assert [one.task_id for one in run_all(umbel, 1)] == ["a"]


def test_a_purged_job_is_lost_and_put_back(
    rabbit_url: str, state_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where_module, "_LOST_SECONDS", 0.0)
    settings = Settings(state_url=state_url, data_dir=tmp_path)
    app = Umbel("client", broker=rabbit_url, settings=settings, set_as_current=False)
    app.conf.task_default_queue = QUEUE
    recorder = Recorder(app.engine, app.history)
    recorder.step()
    job = str(app.send_task("shared.add", (1, 2)).id)
    assert app.where.find(job).place is Place.QUEUED
    until(recorder.step, "something to record")
    assert app.engine.purge(QUEUE) == 1

    def lost() -> bool:
        recorder.step()
        return app.where.find(job).place is Place.LOST

    until(lost, "a job that is lost")
    assert app.where.put_back(job).queued
    assert app.where.find(job).place is Place.QUEUED
    assert [one.task_id for one in run_all(app, 1)] == [job]
    recorder.resign()
    app.close_databases()
    app.engine.close()
    app.close()
