"""C30: of the dispatches that say the same one runs, with real workers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest
from celery import chord

from tests.integration.worker.plant import Plant, until
from umbel import JobState, Unique
from umbel.jobs.keys import key_name

THREADS = 50


def tasks(plant: Plant) -> dict[str, Any]:
    """Declare in this process what the jobs' module declares in the workers."""

    @plant.app.task(shared=False, name=plant.task("once"), unique=Unique(for_="10m", key="name"))
    def once(name: str, word: str = "") -> str: ...

    @plant.app.task(shared=False, name=plant.task("newest"), unique=Unique(mode="replace", key="name"))
    def newest(name: str, word: str) -> str: ...

    @plant.app.task(
        shared=False, name=plant.task("settled"), unique=Unique(mode="debounce", key="name", wait="500ms", longest="1h")
    )
    def settled(name: str, word: str) -> str: ...

    return {"once": once, "newest": newest, "settled": settled}


def test_c30_fifty_threads_cause_one_execution_and_get_one_id(plant: Plant) -> None:
    once = tasks(plant)["once"]
    plant.start(processes=2)
    barrier, found = threading.Barrier(THREADS), list[Any]()

    def race(number: int) -> None:
        barrier.wait()
        found.append(once.delay("gate", "x") if number % 2 else once.apply_async((), {"word": "x", "name": "gate"}))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result.id for result in found}) == 1
    assert sum(not result.duplicate for result in found) == 1
    plant.until_told("once", "gate")
    again = asyncio.run(once.adelay("gate", "y"))
    assert (again.id, again.duplicate) == (found[0].id, True), "it runs"
    plant.open("gate")
    assert plant.ended(again.id).result == "x"
    until(plant.empty, "its message is gone")
    assert len(plant.lines("once")) == 1
    later = once.delay("gate", "z")
    assert not later.duplicate
    assert plant.ended(later.id).result == "z"


def test_c30_enqueue_many_yields_the_first_jobs_ids(plant: Plant) -> None:
    once = tasks(plant)["once"]
    first = once.delay("a").id
    found = list(once.enqueue_many([("a",), ("b",), {"name": "b"}, ("c", "w")]))
    assert found[0] == first
    assert found[1] == found[2]
    assert len(set(found)) == 3
    plant.open("a", "b", "c")
    plant.start()
    for one in set(found):
        plant.ended(one)
    assert len(plant.lines("once")) == 3


def test_c30_a_killed_worker_loses_neither_the_job_nor_the_key(plant: Plant) -> None:
    once = tasks(plant)["once"]
    worker = plant.start()
    first = once.delay("gate", "first")
    (line,) = plant.until_told("once", "gate")
    os.kill(line.pid, signal.SIGKILL)
    assert once.delay("gate", "second").id == first.id
    plant.until_told("once", "gate", times=2)
    plant.open("gate")
    assert plant.ended(first.id).result == "first"
    until(plant.empty, "its message is gone")
    assert not once.delay("gate", "third").duplicate
    worker.stop()


def test_c30_a_cancelled_job_leaves_its_key(plant: Plant) -> None:
    once = tasks(plant)["once"]
    first = once.delay("gate")
    plant.app.cancel(first.id)
    second = once.delay("gate")
    assert not second.duplicate
    plant.open("gate")
    plant.start()
    assert plant.ended(second.id).state is JobState.SUCCEEDED
    assert plant.state(first.id) is JobState.CANCELLED
    assert len(plant.lines("once")) == 1


def test_c30_replace_runs_with_the_newest_arguments(plant: Plant) -> None:
    newest = tasks(plant)["newest"]
    first = newest.delay("a", "one")
    assert [newest.delay("a", word).id for word in ("two", "three")] == [first.id, first.id]
    again, _ = newest.enqueue_many([("a", "four"), ("b", "other")])
    assert again == first.id
    plant.start()
    assert plant.ended(first.id).result == "four"
    assert [line.words[2] for line in plant.until_told("newest", "a")] == ["four"]


def test_c30_debounce_waits_until_nothing_more_is_said(plant: Plant) -> None:
    settled = tasks(plant)["settled"]
    first = settled.delay("a", "one")
    for word in ("two", "three"):
        assert settled.delay("a", word).id == first.id
    plant.start()
    assert plant.ended(first.id).result == "three"
    assert len(plant.lines("settled")) == 1


def test_c30_a_member_of_a_chord_is_never_left_out(plant: Plant) -> None:
    app = plant.app
    once = tasks(plant)["once"]
    callback = app.signature(plant.task("say"), args=("done",), immutable=True)
    plant.open("same")
    done = chord([once.s("same", "1"), once.s("same", "2")])(callback)
    plant.start()
    assert plant.ended(done.id).result == "done"
    assert len(plant.lines("once")) == 2


def test_c30_a_unique_job_that_is_retried_keeps_its_key(plant: Plant) -> None:
    """Celery's own retry: the message is another one, the job is the same."""
    calls: list[str] = []

    @plant.app.task(shared=False, bind=True, name="client.flaky", unique=True, max_retries=5)
    def flaky(self: Any, key: str) -> None:
        calls.append(key)
        raise self.retry(countdown=600)

    first = flaky.delay("k")
    plant.engine.open_lease("here", ["celery"], 1)
    (delivery,) = plant.engine.fetch({"celery": 0}, 1)
    again = plant.app.engine.uniques.holder(key_name(flaky, None, ("k",), {}))
    assert again == first.id == delivery.task_id
    assert flaky.delay("k").duplicate


def test_c30_without_an_engine_of_umbels_it_is_refused() -> None:
    from umbel import Umbel
    from umbel.errors import ConfigurationError

    app = Umbel("memory", broker="memory://", set_as_current=False)

    @app.task(unique=True, shared=False)
    def one() -> None: ...

    app.finalize()
    with pytest.raises(ConfigurationError, match="unique"):
        one.delay()
    app.close()
