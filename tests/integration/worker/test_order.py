"""C8, C9, C10: what comes first, and what never comes."""

from __future__ import annotations

import time

from tests.integration.worker.plant import Plant, until
from umbel import JobState


def said(plant: Plant) -> list[str]:
    return [line.words[1] for line in plant.lines("say")]


def occupy(plant: Plant) -> None:
    plant.send("hold", "gate")
    plant.until_told("hold", "gate")


def test_higher_priority_first_c8(plant: Plant) -> None:
    """C8: all levels that the engine tells apart, in order of dispatch within one."""
    plant.start(concurrency=1)
    occupy(plant)
    for priority in (0, 5, 9, 3, 7, 1, 8, 2, 6, 4) * 2:
        plant.send("say", f"p{priority}", priority=priority)
    plant.open("gate")
    plant.until_told("say", times=20)
    bands = plant.engine.bands
    order = [max(band for band in bands if band <= int(word[1:])) for word in said(plant)]
    ahead = order[:1]  # at most one a free slot may have been fetched already
    assert order == sorted(order, reverse=True) or order[1:] == sorted(order[1:], reverse=True), (ahead, order)


def test_higher_priority_overtakes_a_backlog_of_quick_jobs_c8(plant: Plant) -> None:
    """C8: also when the pace so far has led to fetching ahead: what was fetched goes back for it."""
    plant.start("--loglevel", "WARNING", concurrency=1)
    plant.send_many("say", [f"warm{number}" for number in range(3000)])
    plant.until_told("say", times=1000)
    occupied = plant.send("hold", "gate", priority=9)
    plant.until_told("hold", "gate")
    before = len(said(plant))
    urgent = plant.send("say", "urgent", priority=9)

    def made_way() -> bool:
        location = plant.engine.locate(urgent)
        assert location is not None
        # Either it was fetched in the place of what had been fetched ahead, or nothing is.
        return location.lease is not None or plant.engine.workers()[0].in_flight == 1

    until(made_way, "the worker has made way")
    plant.open("gate")
    plant.until_told("say", "urgent")
    place = said(plant).index("urgent")
    assert plant.ended(occupied).state is JobState.SUCCEEDED
    assert place - before <= 1, f"{place - before} waiting jobs of lower priority started first"


def test_no_job_waits_behind_a_long_one_while_another_process_is_free_c8(plant: Plant) -> None:
    plant.start("--loglevel", "WARNING", processes=2, concurrency=1)
    plant.send_many("say", [f"a{number}" for number in range(1500)])
    long = plant.send("hold", "long")
    plant.send_many("say", [f"b{number}" for number in range(1500)])
    plant.until_told("hold", "long")
    plant.until_told("say", times=3000, seconds=30)
    assert plant.state(long) is not JobState.SUCCEEDED
    plant.open("long")
    assert plant.ended(long).state is JobState.SUCCEEDED


def test_queues_in_the_order_of_the_command_line_c9(plant: Plant) -> None:
    plant.start("-Q", "high,middle,low", concurrency=1)
    plant.send("hold", "gate", queue="low")
    plant.until_told("hold", "gate")
    for number in range(4):
        for queue in ("low", "middle", "high"):
            plant.send("say", f"{queue}{number}", queue=queue)
    plant.open("gate")
    plant.until_told("say", times=12)
    wanted = [f"{queue}{number}" for queue in ("high", "middle", "low") for number in range(4)]
    assert said(plant) == wanted


def test_queues_by_weight_c9(plant: Plant) -> None:
    """C9: 4 to 1 while both have something, and none starves."""
    plant.start("-Q", "high:4,low:1", concurrency=1)
    plant.send("hold", "gate", queue="low")
    plant.until_told("hold", "gate")
    for queue in ("low", "high"):
        plant.send_many("say", [f"{queue}{number}" for number in range(200)], queue=queue)
    plant.open("gate")
    plant.until_told("say", times=400)
    head = said(plant)[:100]
    high = sum(word.startswith("high") for word in head)
    assert 65 <= high <= 92, f"{high} of the first 100 from the queue of weight 4 to 1"


def test_unlisted_queue_is_left_alone_c9(plant: Plant) -> None:
    plant.start("-Q", "one")
    elsewhere = plant.send("say", "elsewhere", queue="two")
    here = plant.send("say", "here", queue="one")
    assert plant.ended(here).state is JobState.SUCCEEDED
    assert plant.state(elsewhere) is JobState.QUEUED


def test_expired_behind_a_busy_worker_is_never_started_c10(plant: Plant) -> None:
    plant.start(concurrency=1)
    occupy(plant)
    late = plant.send("say", "late", expires=0.3)
    also_late = plant.send("say", "late", expires=0.3, countdown=0.1)
    in_time = plant.send("say", "in-time", expires=600)
    deadline = time.time() + 0.5
    until(lambda: time.time() > deadline, "the expiry")
    plant.open("gate")
    assert plant.ended(in_time).state is JobState.SUCCEEDED
    assert plant.ended(late).state is JobState.EXPIRED
    assert plant.ended(also_late).state is JobState.EXPIRED
    assert said(plant) == ["in-time"]
    assert plant.engine.dead() == []


def test_expired_with_no_worker_up_is_never_started_c10(plant: Plant) -> None:
    late = plant.send("say", "late", expires=0.2)
    deadline = time.time() + 0.4
    until(lambda: time.time() > deadline, "the expiry")
    plant.start()
    assert plant.ended(late).state is JobState.EXPIRED
    assert said(plant) == []
