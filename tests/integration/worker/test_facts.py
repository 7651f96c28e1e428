"""C23: one event per settled execution, durations that are right, and Celery's signals on every path."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import JobState

_ENDS = ("task-succeeded", "task-failed", "task-retried", "task-revoked", "task-rejected")


@contextlib.contextmanager
def listening(plant: Plant) -> Iterator[list[dict[str, Any]]]:
    """Collect the workers' events; the block starts when the first was heard, so that none is missed."""
    events: list[dict[str, Any]] = []
    with plant.app.connection_for_read() as connection:
        receiver = plant.app.events.Receiver(connection, handlers={"*": events.append})

        def listen() -> None:
            for _ in receiver.consume(limit=None, safety_interval=0.2, wakeup=False):
                if receiver.should_stop:
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            until(lambda: plant.app.control.heartbeat() or events, "some event of a worker")
            yield events
        finally:
            receiver.should_stop = True
            thread.join(30)


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_one_event_per_settled_execution_c23(plant: Plant, pool: str) -> None:
    plant.start("--pool", pool, "-E", concurrency=4)
    with listening(plant) as events:
        said = [plant.send("say", f"w{number}") for number in range(30)]
        failed = [plant.send("fail", f"f{number}") for number in range(5)]
        retried = [plant.send("retry_once", f"r{number}") for number in range(5)]
        for job in said + failed + retried:
            plant.ended(job)

        def ends() -> Counter[tuple[str, str]]:
            return Counter((event["uuid"], event["type"]) for event in events if event["type"] in _ENDS)

        until(lambda: sum(ends().values()) >= 45, f"45 ends among {len(events)} events")
        wanted = Counter([(job, "task-succeeded") for job in said + retried])
        wanted += Counter([(job, "task-failed") for job in failed]) + Counter(
            [(job, "task-retried") for job in retried]
        )
        assert ends() == wanted


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_cancel_is_one_event_c22_c23(plant: Plant, pool: str) -> None:
    plant.start("--pool", pool, "-E", concurrency=1)
    with listening(plant) as events:
        running = plant.send("ahold" if pool == "default" else "hold", "running")
        waiting = plant.send("say", "waiting")
        plant.until_told("hold", "running")
        plant.app.cancel(waiting)
        plant.app.cancel(running)
        until(plant.empty, "an empty queue")
        plant.ended(plant.send("say", "after"))

        def ended() -> Counter[tuple[str, str]]:
            return Counter((event["uuid"], event["type"]) for event in events if event["type"] in _ENDS)

        until(lambda: sum(ended().values()) >= 3, f"three ends among {len(events)} events")
        assert ended()[running, "task-revoked"] == 1
        assert ended()[waiting, "task-revoked"] == 1
        assert sum(ended().values()) == 3


def test_durations_of_jobs_side_by_side_are_their_own_c23(plant: Plant) -> None:
    """C23: kept per execution, whether on the loop, in a thread, or beside a slower one."""
    plant.start("-E", concurrency=4)
    with listening(plant) as events:
        jobs = {name: plant.send(task, name) for name, task in (("slow", "hold"), ("aslow", "ahold"))}
        plant.until_told("hold", times=2)
        jobs["quick"] = plant.send("hold", "quick")
        plant.until_told("hold", "quick")
        plant.open("quick")
        plant.ended(jobs["quick"])
        wait = plant.send("sleep", "second", 1.0)
        plant.ended(wait)
        plant.open("slow", "aslow")
        for job in jobs.values():
            assert plant.ended(job).state is JobState.SUCCEEDED
        until(lambda: sum(e["type"] == "task-succeeded" for e in events) == 4, "four events")
        runtime = {event["uuid"]: event["runtime"] for event in events if event["type"] == "task-succeeded"}
    told = {line.words[1]: line.at for line in plant.lines("hold")}
    released = {line.words[1]: line.at for line in plant.lines("released")}
    for name, job in {**jobs, "second": wait}.items():
        assert runtime[job] >= released[name] - told[name] - 0.01, name
    assert runtime[jobs["quick"]] < runtime[jobs["slow"]] - 0.9
    assert runtime[jobs["quick"]] < runtime[jobs["aslow"]] - 0.9


def signals(plant: Plant) -> Counter[tuple[str, str]]:
    return Counter((line.words[1], line.words[2]) for line in plant.lines("signal"))


@pytest.mark.parametrize("late", [False, True], ids=["connected at import", "connected by a job"])
def test_signals_fire_on_every_path_c23(plant: Plant, late: bool) -> None:
    plant.start(PLANT_RECEIVERS="" if late else "1")
    if late:
        # Until now there were no receivers, and the short way was open.
        for number in range(5):
            plant.ended(plant.send("say", f"before{number}"))
        assert not plant.lines("signal")
        plant.ended(plant.send("connect"))
    plant.until_told("connected")
    jobs = [plant.send("say", f"w{number}") for number in range(10)]
    jobs += [plant.send("retry_once", f"r{number}") for number in range(3)]
    jobs += [plant.send("fail", f"f{number}") for number in range(2)]
    plant.open("gate")
    jobs += [plant.send("ahold", "gate")]
    for job in jobs:
        plant.ended(job)
    wanted = Counter({("task_prerun", "say"): 10, ("task_postrun", "say"): 10, ("task_success", "say"): 10})
    wanted |= Counter({("task_prerun", "retry_once"): 6, ("task_postrun", "retry_once"): 6})
    wanted |= Counter({("task_success", "retry_once"): 3, ("task_retry", "retry_once"): 3})
    wanted |= Counter({("task_prerun", "fail"): 2, ("task_postrun", "fail"): 2, ("task_failure", "fail"): 2})
    wanted |= Counter({("task_prerun", "ahold"): 1, ("task_postrun", "ahold"): 1, ("task_success", "ahold"): 1})
    until(lambda: sum(signals(plant).values()) >= wanted.total(), f"{wanted.total()} signals")
    seen = Counter({pair: count for pair, count in signals(plant).items() if pair[1] != "connect"})
    assert seen == wanted
