"""What a person may do to queues, limits, schedules and batches."""

from __future__ import annotations

import pytest

from tests.integration.operations.stand import ANN, Stand
from umbel.errors import BatchEnded, BatchNotFound, OperationError, SelectionChanged, UnknownName


def test_pause_and_resume(stand: Stand) -> None:
    stand.put("a")
    queues = stand.app.operations.queues
    assert queues.pause("celery", by=ANN).text == "'celery' is paused: its jobs wait until it is resumed."
    assert stand.work() == []
    queues.resume("celery", by=ANN)
    assert stand.work() == ["a"]
    with pytest.raises(UnknownName, match="no queue 'nothing'"):
        queues.pause("celery", "nothing", by=ANN)
    assert not any(one.paused for one in stand.engine.queues())
    assert queues.matching("cel*") == ("celery",)
    assert queues.matching("x*") == ()


def test_purge_drops_no_more_than_was_seen(stand: Stand) -> None:
    stand.put("a", "b")
    queues = stand.app.operations.queues
    assert queues.waiting("celery") == 2
    stand.put("c")
    with pytest.raises(SelectionChanged, match="3 wait in 'celery' now, and 2 did"):
        queues.purge("celery", by=ANN, expected=2)
    assert queues.purge("celery", by=ANN, expected=3).count == 3
    assert stand.work() == []
    with pytest.raises(UnknownName, match="there are: celery"):
        queues.purge("nothing", by=ANN)


def test_purge_drops_what_was_seen_and_nothing_that_came_later(stand: Stand) -> None:
    stand.put("a", "b")
    (seen,) = stand.engine.queues()
    stand.put("c")
    done = stand.app.operations.queues.purge("celery", by=ANN, expected=2, upto=seen.mark)
    assert done.count == 2
    assert stand.work() == ["c"]


def test_limits_are_changed_and_reset(stand: Stand) -> None:
    limits = stand.app.operations.limits
    limits.change("shop.add", "5/m", by=ANN)
    (status,) = [one for one in stand.app.limits.status() if one.name == "shop.add"]
    assert (status.limit, status.changed) == ("5/m", True)
    for name, rate in (("shop.add", "often"), ("shop.nothing", "5/m")):
        with pytest.raises(OperationError):
            limits.change(name, rate, by=ANN)
    limits.reset("shop.add", by=ANN)
    assert not [one for one in stand.app.limits.status() if one.changed]
    with pytest.raises(UnknownName):
        limits.reset("shop.nothing", by=ANN)


def test_an_entry_of_the_schedule_runs_now(stand: Stand) -> None:
    schedules = stand.app.operations.schedules
    made = schedules.run_now("nightly", by=ANN, job_id="tonight-1").job_id
    assert schedules.run_now("nightly", by=ANN, job_id="tonight-1").job_id == made == "tonight-1"
    stand.record()
    details = stand.app.history.jobs.job("tonight-1")
    assert (details.job.task, details.arguments) == ("shop.add", "[[1, 2],{}]")
    assert stand.work() == ["tonight-1"]
    assert stand.engine.last_ticks() == {}, "its next tick is due as before"
    with pytest.raises(UnknownName):
        schedules.run_now("yearly", by=ANN)


def test_a_batch_is_cancelled(stand: Stand) -> None:
    with stand.app.batch("import") as batch:
        batch.add_many(stand.add, [(1,), (2,)])
    assert stand.app.operations.batches.cancel(batch.id, by=ANN).count is not None
    assert stand.work() == []
    with pytest.raises((BatchEnded, BatchNotFound)):
        stand.app.operations.batches.cancel("nothing", by=ANN)
