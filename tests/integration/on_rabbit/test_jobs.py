"""What a job can do on RabbitMQ, with its state on Redis and on PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

from tests.integration.on_rabbit.conftest import WAIT, lines, umbel_command, until
from umbel import JobState, Umbel
from umbel.engine.store import Delivery, Outgoing, Settled
from umbel.engine.uniques import UniqueKey
from umbel.errors import ConfigurationError, JobFinished, JobNotFound, PayloadTooLarge
from umbel.testing.contract._limits import most_in_any
from umbel.testing.contract._suite import payload


@pytest.fixture(autouse=True)
def _signatures(umbel: Umbel) -> None:
    umbel.set_current()


def test_c5_canvas_runs_as_it_does_everywhere(umbel: Umbel, umbel_worker: Any) -> None:
    add, total = umbel.signature("shared.add"), umbel.signature("shared.total")
    assert umbel.send_task("shared.add", (2, 3)).get(timeout=WAIT) == 5
    assert chain(add.clone((1, 2)), add.clone((3,)))().get(timeout=WAIT) == 6
    assert group(add.clone((number, 1)) for number in range(5))().get(timeout=WAIT) == [1, 2, 3, 4, 5]
    assert chord([add.clone((number, number)) for number in range(6)], total)().get(timeout=WAIT) == 30
    failed = umbel.send_task("shared.fail", link_error=umbel.signature("shared.where", immutable=True))
    with pytest.raises(ValueError, match="as told"):
        failed.get(timeout=WAIT)
    assert umbel.status(failed.id).state is JobState.FAILED
    assert [letter.task_id for letter in umbel.engine.dead()] == [failed.id]


def test_c16_c26_delays_and_retries_wait_at_the_broker(umbel: Umbel, umbel_worker: Any) -> None:
    retried = umbel.send_task("shared.again", (2, 1.2))
    began = time.time()
    result = umbel.send_task("shared.add", (1, 1), countdown=2.5)
    late = umbel.send_task("shared.add", (1, 1), eta=datetime.now(UTC) + timedelta(hours=3))
    status = umbel.status(late.id)
    assert (status.state, status.queue) == (JobState.SCHEDULED, "shared")
    assert result.get(timeout=WAIT) == 2
    assert time.time() - began >= 2.5
    assert retried.get(timeout=WAIT) == 2
    (queue,) = [one for one in umbel.engine.queues() if one.name == "shared"]
    assert (queue.ready, queue.delayed, queue.leased, queue.consumers) == (0, 1, 0, 1)
    assert umbel.engine.purge("shared") == 1
    with pytest.raises(JobNotFound):
        umbel.status(late.id)


def test_c16_what_waits_in_the_process_is_told_of_when_its_time_has_come(umbel: Umbel) -> None:
    """The fetch thread asks only when it is told: of what comes, and of what came too early for the broker's delay."""
    engine = umbel.engine
    engine.open_lease("worker", ["shared"], 2)
    assert engine.fetch({"shared": 0}, 2) == []
    due = datetime.now(UTC) + timedelta(seconds=0.9)
    message = payload("soon", eta=due.isoformat())
    engine.enqueue([Outgoing("shared", message, "soon", due=due.timestamp())])
    found: list[Delivery] = []
    while not found:
        assert engine.wait(WAIT), "nothing was told"
        found = engine.fetch({"shared": 0}, 2)
    assert time.time() >= due.timestamp()
    assert [one.task_id for one in found] == ["soon"]


def test_a_pause_and_its_end_are_told_of(umbel: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fetch thread is told, so that it consumes no more, and again at once."""
    monkeypatch.setattr("umbel.engine.rabbit._RENEW_SECONDS", -1.0)  # look at every turn
    engine = umbel.engine
    engine.open_lease("worker", ["shared"], 2)
    engine.names.mark_paused("shared", paused=True)
    engine.enqueue([Outgoing("shared", payload("held"), "held")])
    assert engine.wait(0.0)
    assert engine.fetch({"shared": 0}, 2) == []
    engine.names.mark_paused("shared", paused=False)
    assert engine.wait(0.0)
    until(lambda: engine.fetch({"shared": 0}, 2), "the job comes")


def test_c20_c22_status_and_cancel(umbel: Umbel, start: Any, tmp_path: Path) -> None:
    """A queued job never starts, also when no worker was up; a running one is stopped; an ended one is a conflict."""
    marks = tmp_path / "marks"
    queued = umbel.send_task("shared.mark", (str(marks),))
    assert umbel.status(queued.id).state is JobState.QUEUED
    assert umbel.cancel(queued.id) is JobState.CANCELLED
    with pytest.raises(JobNotFound):
        umbel.cancel("unknown")
    start(*umbel_command())
    running = umbel.send_task("shared.mark", (str(marks), 100.0))
    until(lambda: umbel.status(running.id).state is JobState.RUNNING, "it runs")
    assert len(lines(marks)) == 1
    assert umbel.cancel(running.id) is JobState.CANCELLED
    done = umbel.send_task("shared.add", (1, 1))
    assert done.get(timeout=WAIT) == 2
    with pytest.raises(JobFinished):
        umbel.cancel(done.id)
    until(lambda: umbel.engine.workers()[0].in_flight == 0, "nothing is held")
    assert len(lines(marks)) == 1
    assert umbel.status(queued.id).state is umbel.status(running.id).state is JobState.CANCELLED


def test_c10_c13_an_expired_job_and_one_that_is_too_large(umbel: Umbel, start: Any, tmp_path: Path) -> None:
    expired = umbel.send_task("shared.mark", (str(tmp_path / "marks"),), expires=0.2)
    time.sleep(0.3)
    start(*umbel_command())
    until(lambda: umbel.status(expired.id).state is JobState.EXPIRED, "it has expired")
    assert not (tmp_path / "marks").exists()
    with pytest.raises(PayloadTooLarge):
        umbel.send_task("shared.add", ("x" * 300_000, 1))


def test_c6_c7_many_dispatches_and_one_from_a_coroutine(umbel: Umbel, umbel_worker: Any) -> None:
    task = umbel.task(name="shared.add", shared=False)(_add)
    told = list(task.enqueue_many((number, 1) for number in range(700)))
    until(lambda: sum(one.final for one in umbel.engine.read(told)) == 700, "all have ended")

    async def dispatch() -> Any:
        first = await task.aapply_async((1, 2), task_id="same")
        await task.aapply_async((1, 2), task_id="same")
        return first

    assert asyncio.run(dispatch()).get(timeout=WAIT) == 3


def _add(x: int, y: int) -> int:
    return x + y


def test_c39_a_schedules_tick_is_remembered(umbel: Umbel) -> None:
    leader = umbel.engine.leader("shop")
    assert leader.leads()
    assert umbel.engine.tick(leader, [Outgoing("shared", payload("t"), "t")], "nightly", 5.0, 2)
    assert umbel.engine.last_ticks() == {"nightly": (5.0, 2)}
    assert umbel.status("t").state is JobState.QUEUED
    assert umbel.engine.names.size("shared") == 1


def test_c30_one_job_a_key_is_queued_and_the_key_is_kept_beside_the_broker(umbel: Umbel) -> None:
    engine = umbel.engine
    engine.open_lease("worker", ["shared"], 2)

    def put(task_id: str, *, until_start: bool = False) -> str:
        key = UniqueKey("key", 60.0, until_start)
        (holder,) = engine.uniques.enqueue([Outgoing("shared", payload(task_id), task_id, unique=key)])
        return holder

    def take() -> Delivery:
        found: list[Delivery] = []

        def fetched() -> bool:
            found.extend(engine.fetch({"shared": 0}, 5))
            return bool(found)

        until(fetched, "a delivery")
        assert len(found) == 1, "only the first one was published"
        return found[0]

    assert [put("a"), put("b"), engine.uniques.holder("key")] == ["a", "a", "a"]
    delivery = take()
    assert delivery.task_id == "a"
    assert put("c") == "a", "it runs"
    engine.settle([Settled(delivery.seq, "ack")])
    assert put("d", until_start=True) == "d"
    with pytest.raises(ConfigurationError, match='mode="skip"'):
        engine.uniques.supersede(Outgoing("shared", payload("d"), "d"))
    assert take().task_id == "d"
    assert put("e") == "e", "it has started"


def test_c33_c34_limits_hold_by_the_state_store(umbel: Umbel, umbel_worker: Any, tmp_path: Path) -> None:
    paced, few = (
        [umbel.send_task(name, (str(tmp_path / name),)) for _ in range(many)]
        for name, many in (("shared.paced", 25), ("shared.few", 6))
    )
    for result in [*paced, *few]:
        result.get(timeout=WAIT)
    assert {stored.attempt for stored in umbel.engine.read([one.id for one in [*paced, *few]])} == {0}
    starts = [float(line) for line in lines(tmp_path / "shared.paced")]
    assert len(starts) == 25
    assert most_in_any(starts, 0.8) <= 10
    inside = most = 0
    for line in lines(tmp_path / "shared.few"):
        inside += 1 if line.startswith("begin") else -1
        most = max(most, inside)
    assert most <= 2
