"""C17: a job that kills its process runs three times, then it is dead; its neighbours are not punished."""

from __future__ import annotations

from tests.integration.worker.plant import Plant, until
from umbel import JobState


def test_poison_ends_as_worker_lost_and_its_neighbours_succeed_c17(plant: Plant) -> None:
    plant.start(concurrency=8)
    neighbours = [plant.send("hold" if number % 2 else "ahold", f"n{number}") for number in range(6)]
    plant.until_told("hold", times=6)
    poison = plant.send("poison", "p")
    plant.until_told("poison", "p")
    plant.open(*(f"n{number}" for number in range(6)))
    after = [plant.send("say", f"w{number}") for number in range(50)]
    status = plant.ended(poison)
    assert status.state is JobState.FAILED
    assert "worker lost" in (status.error or "")
    # Once among others, which proves nothing, and three times alone; never with an attempt of its own.
    assert {line.words[2] for line in plant.lines("poison")} == {"0"}
    assert len(plant.lines("poison")) in (3, 4)
    for job in neighbours + after:
        assert plant.ended(job).state is JobState.SUCCEEDED
    until(plant.empty, "an empty queue")
    (letter,) = plant.engine.dead()
    assert letter.task_id == poison
    assert "worker lost" in letter.reason
    assert [len(plant.lines("say", f"w{number}")) for number in range(50)] == [1] * 50


def test_crash_limit_can_be_set_c17(plant: Plant) -> None:
    """And a job that is alone from the beginning runs just so often."""
    plant.start(UMBEL_CRASH_LIMIT="2")
    poison = plant.send("poison", "p")
    assert plant.ended(poison).state is JobState.FAILED
    assert len(plant.lines("poison")) == 2
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED


def test_several_poisons_do_not_drag_each_other_or_the_innocent_down_c17(plant: Plant) -> None:
    """C17: only a crash alone counts, so two poisons in one process are told apart from what they took with them."""
    plant.start(processes=2, concurrency=8, UMBEL_CRASH_LIMIT="2")
    poisons = [plant.send("poison", f"p{number}") for number in range(3)]
    innocent = [plant.send("retry_once", f"i{number}") for number in range(20)]
    for job in poisons:
        assert plant.ended(job, 120).state is JobState.FAILED
    for job in innocent:
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert {letter.task_id for letter in plant.engine.dead()} == set(poisons)
    for number in range(3):
        assert len(plant.lines("poison", f"p{number}")) <= 3


def test_poison_in_a_prefork_pool_c17(plant: Plant) -> None:
    """C17: a prefork child runs one job, so its death is that job's alone."""
    plant.start("--pool", "prefork", concurrency=3)
    neighbours = [plant.send("hold", f"n{number}") for number in range(2)]
    plant.until_told("hold", times=2)
    poison = plant.send("poison", "p")
    status = plant.ended(poison)
    assert status.state is JobState.FAILED
    assert "worker lost" in (status.error or "")
    assert len(plant.lines("poison")) == 3
    plant.open("n0", "n1")
    for job in neighbours:
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert [len(plant.lines("hold", f"n{number}")) for number in range(2)] == [1, 1]
    assert [letter.task_id for letter in plant.engine.dead()] == [poison]


def test_poison_that_outlives_its_supervisors_c17(plant: Plant) -> None:
    """C17: the count is the store's, whoever reaps."""
    poison = plant.send("poison", "p")
    for times in range(1, 3):
        worker = plant.start(ready=False)
        plant.until_told("poison", "p", times=times)
        worker.destroy()
    plant.start(ready=False)
    assert plant.ended(poison).state is JobState.FAILED
    assert 3 <= len(plant.lines("poison")) <= 4


def test_long_neighbours_restart_within_30_s_c14_c17(plant: Plant) -> None:
    """C14: suspects run alone in a process each, but they do not wait for each other."""
    worker = plant.start(concurrency=4)
    jobs = [plant.send("hold", f"n{number}") for number in range(4)]
    plant.until_told("hold", times=4)
    worker.children()[0].kill()
    for number in range(4):
        plant.until_told("hold", f"n{number}", times=2, seconds=30)
    plant.open(*(f"n{number}" for number in range(4)))
    for job in jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED
