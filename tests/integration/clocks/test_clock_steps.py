"""C14–C16: a clock jumps by an hour and back while jobs run and wait: nothing is lost, nothing runs twice."""

from __future__ import annotations

from collections import Counter

import pytest
from celery import Celery

from tests.integration.clocks.conftest import Server
from tests.integration.clocks.wall_clock import WallClock
from tests.integration.worker.plant import Plant, Worker, until
from umbel import JobState

EACH = 60


def steps(plant: Plant, worker: Worker, moved: WallClock, hours: float, *, stores: bool) -> None:
    """Let ``moved`` jump under load, and back. ``stores``: it is the one by which the store tells what is due."""
    pids = {child.pid for child in worker.children("worker")}
    held = plant.send("hold", "gate")
    plant.until_told("hold", "gate")
    soon, later = (plant.send("say", word, countdown=time) for word, time in (("soon", 3), ("later", 1800)))
    before, after, again = ([f"{name}-{number}" for number in range(EACH)] for name in ("before", "after", "again"))
    plant.send_many("say", before)
    moved.move(hours)
    plant.send_many("say", after)
    plant.until_told("say", times=2 * EACH)
    if not stores or hours > 0:
        plant.until_told("say", "soon")
    if stores and hours > 0:
        plant.until_told("say", "later")
    moved.move(0)
    plant.send_many("say", again)
    plant.until_told("say", "soon")
    plant.open("gate")
    assert plant.ended(held).state is JobState.SUCCEEDED
    early = ["later"] if stores and hours > 0 else []
    expected = Counter([*before, *after, *again, "soon", *early])
    until(lambda: len(plant.lines("say")) >= expected.total(), "all have run")
    until(lambda: not any(q.ready or q.leased or q.suspect for q in plant.engine.queues()), "nothing is held or waits")
    assert Counter(line.words[1] for line in plant.lines("say")) == expected
    if not early:
        assert plant.state(later) is JobState.SCHEDULED
    assert len(plant.lines("hold")) == 1
    assert plant.state(soon) in (JobState.SUCCEEDED, None), "its result may have expired"
    assert {child.pid for child in worker.children("worker")} == pids
    assert "out of touch" not in worker.text()


@pytest.mark.parametrize("hours", [1, -1])
def test_c14_c15_the_clock_of_a_workers_host_jumps(plant: Plant, clock: WallClock, hours: int) -> None:
    worker = plant.start(concurrency=3, **clock.environment)
    steps(plant, worker, clock, hours, stores=False)


@pytest.mark.parametrize("hours", [1, -1])
def test_c14_c15_the_clock_of_the_server_jumps(plant: Plant, server: Server, hours: int) -> None:
    worker = plant.start(concurrency=3)
    steps(plant, worker, server.clock, hours, stores=True)


@pytest.mark.parametrize("hours", [1, -1])
def test_c14_c15_the_clock_of_the_only_host_jumps(embedded: Plant, clock: WallClock, hours: int) -> None:
    worker = embedded.start(concurrency=3, **clock.environment)
    steps(embedded, worker, clock, hours, stores=True)


@pytest.mark.parametrize("hours", [1, -1])
def test_c16_c45_the_store_says_when_a_plain_clients_job_is_due(
    plant: Plant, server: Server, clock: WallClock, hours: int
) -> None:
    """Not the clock of the worker that meets it."""
    clock.move(hours)
    plant.start(concurrency=3, **clock.environment)
    with Celery("plain", broker=server.url, set_as_current=False) as plain:
        plain.send_task(plant.task("say"), ("soon",), countdown=2)
        late = plain.send_task(plant.task("say"), ("late",), countdown=1800)
        plant.until_told("say", "soon")
        until(lambda: plant.state(late.id) is JobState.SCHEDULED, "the other one waits at the store")
    assert plant.lines("say", "late") == []


def test_c16_a_job_for_three_hours_later_runs_once(plant: Plant, server: Server, clock: WallClock) -> None:
    plant.start(concurrency=3, **clock.environment)
    later = plant.send("say", "later", countdown=3 * 3600)
    for hours, times in ((0, 0), (2.9, 0), (3.01, 1), (3.5, 1)):
        server.clock.move(hours)
        clock.move(hours)
        if times:
            plant.until_told("say", "later")
        probe = f"probe-at-{hours}"
        plant.send("say", probe)
        plant.until_told("say", probe)
        assert len(plant.lines("say", "later")) == times
    assert plant.ended(later).state is JobState.SUCCEEDED


def due_of(plant: Plant, task_id: str) -> float | None:
    where = plant.engine.locate(task_id)
    return None if where is None else where.due


@pytest.mark.parametrize("hours", [1, -1])
def test_c31_a_lock_in_the_file_outlasts_a_step_of_the_clock(embedded: Plant, clock: WallClock, hours: int) -> None:
    """A lock of one second, renewed: the job that waits begins when it is free, not sooner and not an hour later."""
    embedded.start(concurrency=3, **clock.environment)
    first = embedded.send("alone_at", "gate")
    (line,) = embedded.until_told("enter", "gate")
    second = embedded.send("alone_at", "gate")
    until(lambda: any(queue.delayed for queue in embedded.engine.queues()), "the other one waits")
    due = due_of(embedded, second)
    clock.move(hours)
    if hours > 0:
        until(lambda: due_of(embedded, second) not in (None, due), "it has looked again, an hour sooner")
    assert len(embedded.lines("enter")) == 1
    embedded.open("gate")
    assert embedded.ended(first).state is JobState.SUCCEEDED
    clock.move(0)
    assert embedded.ended(second).state is JobState.SUCCEEDED
    again = embedded.lines("enter")[1:]
    assert [int(one.words[2]) > int(line.words[2]) for one in again] == [True]
