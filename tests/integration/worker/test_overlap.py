"""C31, C28: jobs of one key run one at a time, with real workers."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import JobState

#: The key of a job that is named "gate", as its worker has it.
JOBS = 12


@pytest.mark.parametrize("name", ["alone", "alone_async"])
@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c31_jobs_of_a_key_never_overlap_and_all_run(plant: Plant, name: str, pool: str) -> None:
    plant.start(processes=2, concurrency=4, UMBEL_POOL=pool)
    sent = [plant.send(name, f"k{number % 2}", str(number)) for number in range(JOBS)]
    for one in sent:
        assert plant.ended(one).state is JobState.SUCCEEDED
        (stored,) = plant.engine.read([one])
        assert stored.attempt == 0, "waiting uses no attempt (C28)"
    fences: list[int] = []
    for key in ("k0", "k1"):
        lines = [line for line in plant.lines() if line.words[1] == key]
        kinds = [line.words[0] for line in lines]
        assert kinds == ["enter", "leave"] * (JOBS // 2), "one is left before the next one begins"
        found = [int(line.words[3]) for line in lines if line.words[0] == "enter"]
        assert found == sorted(set(found))
        fences += found
    assert 0 not in fences
    assert len(set(fences)) == JOBS


def test_c31_a_job_that_finds_another_one_is_left_out_if_it_says_so(plant: Plant) -> None:
    plant.start(concurrency=4)
    first = plant.send("only", "gate")
    plant.until_told("only", "gate")
    second = plant.send("only", "other")
    assert plant.ended(second).state is JobState.CANCELLED
    plant.open("gate")
    assert plant.ended(first).state is JobState.SUCCEEDED
    assert not plant.lines("only", "other")


def test_c31_a_lock_is_renewed_for_as_long_as_its_job_runs(plant: Plant) -> None:
    plant.start(concurrency=4)
    first = plant.send("alone_at", "gate")
    (line,) = plant.until_told("enter", "gate")
    (name,) = locks_of(plant)
    second = plant.send("alone_at", "gate")
    renewals, last = 0, 0.0

    def renewed_often() -> bool:
        nonlocal renewals, last
        holder = plant.engine.locks.holder(name)
        assert holder is not None
        assert holder.fence == int(line.words[2]), "still the first one's"
        renewals, last = renewals + (holder.seconds > last), holder.seconds
        return renewals > 4

    until(renewed_often, "a lock of a second is renewed again and again")
    assert len(plant.lines("enter")) == 1
    plant.open("gate")
    for one in (first, second):
        assert plant.ended(one).state is JobState.SUCCEEDED
    assert len(plant.lines("enter")) == 2
    until(lambda: plant.engine.locks.holder(name) is None, "its last owner has released it")


def locks_of(plant: Plant) -> list[str]:
    """The names of the locks of the task that waits at a gate."""
    from umbel.jobs.keys import key_name

    @plant.app.task(name=plant.task("alone_at"), shared=False)
    def alone_at(name: str) -> str: ...

    return [f"overlap:{key_name(alone_at, 'name', ('gate',), {})}"]


def test_c31_a_killed_job_has_its_lock_again_at_once(plant: Plant) -> None:
    """It is its own owner: whoever else waits goes on waiting."""
    plant.start(concurrency=4)
    first = plant.send("alone_at", "gate")
    (line,) = plant.until_told("enter", "gate")
    second = plant.send("alone_at", "gate")
    os.kill(line.pid, signal.SIGKILL)
    again = plant.until_told("enter", "gate", times=2)[-1]
    assert int(again.words[2]) > int(line.words[2])
    plant.open("gate")
    for one in (first, second):
        assert plant.ended(one).state is JobState.SUCCEEDED
