"""A process makes room for a fresh one after so many jobs or so much memory, and loses none on the way."""

from __future__ import annotations

from tests.integration.worker.plant import Plant, until
from umbel import JobState


def test_by_count(plant: Plant) -> None:
    """C14, C19: after its share of jobs a process drains; every job runs once."""
    plant.start("--max-tasks-per-child", "100", "--loglevel", "WARNING")
    jobs = plant.send_many("say", [f"w{number}" for number in range(400)])
    until(plant.empty, "an empty queue")
    assert {plant.state(job) for job in jobs} == {JobState.SUCCEEDED}
    assert sorted(line.words[1] for line in plant.lines("say")) == sorted(f"w{number}" for number in range(400))
    first = {line.pid for line in plant.lines("say")}
    until(lambda: first - {child.pid for child in plant.workers[0].children()}, "a fresh process")


def test_no_more_than_its_share(plant: Plant) -> None:
    plant.start("--max-tasks-per-child", "1", "--loglevel", "WARNING")
    for number in range(3):
        assert plant.ended(plant.send("say", f"w{number}")).state is JobState.SUCCEEDED
    assert len({line.pid for line in plant.lines("say")}) == 3


def test_by_memory_after_the_running_jobs(plant: Plant) -> None:
    """C19: the process drains first: what runs in it ends in it."""
    worker = plant.start("--max-memory-per-child", str(200 * 1024), concurrency=2)
    (before,) = worker.children()
    running = plant.send("hold", "running")
    plant.until_told("hold", "running")
    plant.send("eat", 300)
    plant.until_told("eat")
    until(lambda: len(worker.children()) == 2, "a fresh process beside the old one")
    until(
        lambda: plant.send("say", "?") and plant.lines("say")[-1:] and fresh(plant, before.pid),
        "a job in the fresh process",
    )
    assert before.is_running()
    assert not plant.lines("released")
    plant.open("running")
    assert plant.ended(running).state is JobState.SUCCEEDED
    assert {line.pid for line in plant.lines("hold", "running")} == {before.pid}
    until(lambda: before.pid not in {child.pid for child in worker.children()}, "the end of the old process")


def fresh(plant: Plant, old: int) -> bool:
    return any(line.pid != old for line in plant.lines("say"))
