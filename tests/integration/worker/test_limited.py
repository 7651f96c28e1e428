"""C33, C34, C28: limits hold for the whole fleet, and what waits for them uses nothing up, with real workers."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.integration.worker.plant import Line, Plant, until
from umbel import JobState, Unique
from umbel.testing.contract._limits import most_in_any

APP = "tests.integration.worker.limited_jobs:app"


def send(plant: Plant, name: str, *args: str, **options: object) -> str:
    return str(plant.app.send_task(f"limited.{name}", args, **options).id)


def no_attempts(plant: Plant, sent: list[str]) -> None:
    for one in sent:
        assert plant.ended(one).state is JobState.SUCCEEDED
    assert {stored.attempt for stored in plant.engine.read(sent)} == {0}, "waiting uses no attempt (C28)"


@pytest.mark.parametrize(
    ("name", "pool", "processes"),
    [("paced", "default", 4), ("paced_async", "default", 2), ("paced", "prefork", 1), ("celerys", "default", 2)],
)
def test_c33_no_window_holds_more_starts_than_the_limit(plant: Plant, name: str, pool: str, processes: int) -> None:
    jobs = 100 if processes == 4 else 75
    sent = [send(plant, name, str(number)) for number in range(jobs)]
    plant.start(app=APP, processes=processes, concurrency=4, UMBEL_POOL=pool, LIMITED_TOLD="1")
    no_attempts(plant, sent)
    starts = [line.at for line in plant.lines("start", name)]
    assert len(starts) == jobs
    granted = [float(line.words[2]) for line in plant.lines("granted")]
    assert len(granted) >= jobs
    assert most_in_any(granted, 1.0) <= 50
    # A busy machine may start jobs late.
    assert most_in_any(starts, 0.8) <= 50
    # One that comes when the window has moved on, on a busy machine, is not put off.
    assert 0 < len(plant.lines("put-off")) <= 2 * jobs


def test_c33_a_token_bucket(plant: Plant) -> None:
    plant.start(app=APP, concurrency=4)
    sent = [send(plant, "bucket", str(number)) for number in range(30)]
    no_attempts(plant, sent)
    assert most_in_any([line.at for line in plant.lines("start", "bucket")], 0.2) <= 20 + 0.5 * 20


def test_c33_what_waits_is_scheduled_and_starts_when_the_limit_is_changed(plant: Plant) -> None:
    worker = plant.start(app=APP, concurrency=4)
    sent = [send(plant, "daily", str(number)) for number in range(6)]
    until(lambda: [plant.state(one) for one in sent].count(JobState.SUCCEEDED) == 3, "three a day")
    until(lambda: [plant.state(one) for one in sent].count(JobState.SCHEDULED) == 3, "the others wait in the store")
    plant.app.cancel(next(one for one in sent if plant.state(one) is JobState.SCHEDULED))
    assert plant.engine.limits.waiting(["limited.daily"])[0].jobs >= 2
    answers = plant.app.control.rate_limit("limited.daily", "1000/s", reply=True, timeout=20, limit=1)
    assert [list(one.values()) for one in answers] == [[{"ok": "new rate limit set successfully"}]]
    until(lambda: [plant.state(one) for one in sent].count(JobState.SUCCEEDED) == 5, "they are told new times")
    worker.stop()
    plant.start(app=APP, concurrency=4)
    more = [send(plant, "daily", str(number)) for number in range(6, 12)]
    no_attempts(plant, more)
    assert len(plant.lines("start", "daily")) == 11


def test_c33_each_key_waits_for_itself(plant: Plant) -> None:
    plant.start(app=APP, concurrency=4)
    many = [send(plant, "user", "ann", str(number)) for number in range(40)]
    few = [send(plant, "user", "bob", str(number)) for number in range(2)]
    no_attempts(plant, few)
    until(lambda: [plant.state(one) for one in many].count(JobState.SCHEDULED) == 38, "all but two of hers wait")
    plant.until_told("start", "ann", times=2)
    assert len(plant.lines("start", "ann")) == 2


def test_c11_c33_routes_and_queues_have_limits_of_their_own(plant: Plant) -> None:
    plant.start("-Q", "celery,narrow", app=APP, concurrency=4)
    routed = [send(plant, f"routed.{name}", name) for name in ("one", "two") * 3]
    until(lambda: [plant.state(one) for one in routed].count(JobState.SCHEDULED) == 3, "three a day, of either")
    plant.until_told("start", "routed", times=3)
    assert len(plant.lines("start", "routed")) == 3
    narrow = [send(plant, "free", "word", queue="narrow") for _ in range(6)]
    until(lambda: [plant.state(one) for one in narrow].count(JobState.SCHEDULED) == 2, "four a day of that queue")
    no_attempts(plant, [send(plant, "free", "word") for _ in range(6)])


def test_c30_c33_a_job_that_waits_keeps_its_key(plant: Plant) -> None:
    plant.start(app=APP, concurrency=4)
    task: Any = plant.app.task(name="limited.once", unique=Unique(key="name"), shared=False)(once)
    no_attempts(plant, [task.delay(name).id for name in ("a", "b")])
    waiting = task.delay("c").id
    until(lambda: plant.state(waiting) is JobState.SCHEDULED, "it waits in the store")
    assert task.delay("c").id == waiting
    assert task.delay("a").id != waiting


def once(name: str) -> str: ...


def test_c33_rate_limits_can_be_disabled(plant: Plant) -> None:
    plant.start(app=APP, concurrency=4, LIMITED_OFF="1")
    no_attempts(plant, [send(plant, "daily", str(number)) for number in range(6)])
    no_attempts(plant, [send(plant, "user", "ann", str(number)) for number in range(6)])


def most_inside(lines: list[Line]) -> int:
    inside = most = 0
    for line in lines:
        inside += 1 if line.words[0] == "enter" else -1
        most = max(most, inside)
    return most


@pytest.mark.parametrize(("name", "pool"), [("few", "default"), ("few_async", "default"), ("few", "prefork")])
def test_c34_so_many_run_at_a_time_and_all_run(plant: Plant, name: str, pool: str) -> None:
    plant.start(app=APP, processes=2, concurrency=4, UMBEL_POOL=pool)
    sent = [send(plant, name, f"k{number % 2}", str(number)) for number in range(24)]
    no_attempts(plant, sent)
    for key in ("k0", "k1"):
        lines = [line for line in plant.lines() if line.words[1] == key]
        assert len(lines) == 24
        assert most_inside(lines) == 2


def test_c34_slots_and_a_rate_together(plant: Plant) -> None:
    plant.start(app=APP, processes=2, concurrency=4)
    sent = [send(plant, "both", "b", str(number)) for number in range(30)]
    no_attempts(plant, sent)
    assert most_inside(plant.lines()) <= 2
    assert most_in_any([line.at for line in plant.lines("enter")], 0.8) <= 20


def test_c34_a_killed_job_has_its_slot_again_at_once(plant: Plant) -> None:
    plant.start(app=APP, concurrency=4)
    first = send(plant, "one_at", "gate")
    (line,) = plant.until_told("enter", "gate")
    second = send(plant, "one_at", "gate")
    os.kill(line.pid, signal.SIGKILL)
    plant.until_told("enter", "gate", times=2)
    assert plant.state(second) is not JobState.SUCCEEDED
    plant.open("gate")
    for one in (first, second):
        assert plant.ended(one).state is JobState.SUCCEEDED
