"""Bodies that misbehave, and states that must be right in every pool."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import JobState, Progress


@pytest.mark.parametrize("task", ["leave", "aleave"])
@pytest.mark.parametrize("how", ["exit", "interrupt", "own"])
def test_a_body_that_would_end_its_process_fails_and_frees_its_slot_c17(crew: Plant, task: str, how: str) -> None:
    """C14, C17: more of them than slots, and the worker goes on; each runs once."""
    jobs = [crew.send(task, how) for _ in range(4)]
    for job in jobs:
        status = crew.ended(job)
        assert status.state is JobState.FAILED
        assert "would end its whole process" in str(status.error)
    assert crew.ended(crew.send("say", "after")).state is JobState.SUCCEEDED
    assert len(crew.lines("leave", how)) == 4


@pytest.mark.parametrize("task", ["exhaust", "aexhaust"])
def test_a_body_that_asks_for_too_much_memory_fails_and_frees_its_slot_c35(crew: Plant, task: str) -> None:
    """Celery raises it again where it handles it, and the job would neither end nor go back."""
    jobs = [crew.send(task, "x") for _ in range(4)]
    for job in jobs:
        status = crew.ended(job)
        assert status.state is JobState.FAILED
        assert "Unable to allocate 7.28 TiB for x" in str(status.error)
    assert crew.ended(crew.send("say", "after")).state is JobState.SUCCEEDED
    until(crew.empty, "no message is held any more")
    assert len(crew.lines("exhaust")) == 4
    assert {letter.task_id for letter in crew.engine.letters.find()} == set(jobs)


@pytest.mark.pools("default")
def test_a_task_on_the_loop_cannot_end_the_loop_c14(crew: Plant) -> None:
    crew.send("child_leaves")
    crew.until_told("child_leaves")
    crew.open("after")
    assert crew.ended(crew.send("ahold", "after")).state is JobState.SUCCEEDED


def test_a_state_without_a_name_disturbs_nobody_c24(crew: Plant) -> None:
    job = crew.send("state_without_a_name")
    after = [crew.send("say", f"after{number}") for number in range(4)]
    assert crew.ended(job).state is JobState.SUCCEEDED
    assert {crew.ended(one).state for one in after} == {JobState.SUCCEEDED}


def test_a_job_that_is_not_to_be_queued_twice_may_still_retry_c6_c26(crew: Plant) -> None:
    """C6, C14: the message of its retry has its id, and is not taken for a repeated dispatch."""
    job = crew.send("again", headers={"umbel_once": True})
    assert crew.ended(job).state is JobState.SUCCEEDED
    assert len(crew.lines("again")) == 3


def test_a_repeated_dispatch_is_known_without_a_result_c6(crew: Plant) -> None:
    once: dict[str, Any] = {"task_id": "one", "headers": {"umbel_once": True}}
    crew.send("unrecorded", "once", **once)
    crew.until_told("unrecorded", "once")
    until(crew.empty, "an empty queue")
    crew.send("unrecorded", "once", **once)
    assert crew.ended(crew.send("say", "after")).state is JobState.SUCCEEDED
    assert len(crew.lines("unrecorded", "once")) == 1


def test_a_job_that_is_acknowledged_early_is_known_while_it_runs_c20_c21(crew: Plant) -> None:
    job = crew.send("early", "gate")
    crew.until_told("hold", "gate")
    until(lambda: crew.app.status(job).progress == Progress(1, 2, "half"), "its progress")
    assert crew.app.status(job).state is JobState.PROGRESS
    crew.open("gate")
    assert crew.ended(job).state is JobState.SUCCEEDED


def test_progress_never_goes_back_and_ends_at_its_total_c21(crew: Plant) -> None:
    job = crew.send("backwards", "gate")
    crew.until_told("hold", "gate")
    until(lambda: crew.app.status(job).progress == Progress(5, 10), "the furthest")
    crew.open("gate")
    assert crew.ended(job).progress == Progress(10, 10)


def test_progress_does_not_go_back_when_a_job_is_tried_again_c21(crew: Plant) -> None:
    """Whatever state it is in, it shows how far it was; and it ends at its total though its last try told nothing."""
    job = crew.send("from_the_start", "gate")
    crew.until_told("hold", "gate")
    until(lambda: crew.app.status(job).progress == Progress(6, 10, "first"), "how far it was")
    crew.open("gate")
    crew.until_told("told", "gate")
    until(lambda: crew.app.status(job).progress == Progress(6, 10, "again"), "what the last try told")
    crew.open("gate-end")
    assert crew.ended(job).progress == Progress(10, 10, "again")


@pytest.mark.pools("prefork")
def test_what_a_job_says_late_of_being_put_off_hides_nothing_of_its_next_run_c18_c21(crew: Plant) -> None:
    """It is the same try, and its child was slow to write what it said."""
    job = crew.send("put_off", "gate")
    crew.until_told("hold", "gate")
    crew.open("gate-late")
    crew.until_told("said", "gate")
    status = crew.app.status(job)
    assert (status.state, status.progress) == (JobState.PROGRESS, Progress(2, 10, "again"))
    crew.open("gate")
    assert crew.ended(job).progress == Progress(10, 10, "again")


def test_progress_does_not_go_back_when_a_job_runs_again_after_a_crash_c21(crew: Plant) -> None:
    job = crew.send("after_a_crash", "gate")
    (line,) = crew.until_told("hold", "gate")
    until(lambda: crew.app.status(job).progress == Progress(6, 10, "first"), "how far it is")
    os.kill(line.pid, signal.SIGKILL)
    crew.until_told("hold", "gate", times=2)
    until(lambda: crew.app.status(job).progress == Progress(6, 10, "first"), "how far it was")
    crew.open("gate")
    crew.until_told("told", "gate")
    until(lambda: crew.app.status(job).progress == Progress(6, 10, "again"), "what the second try told")
    crew.open("gate-end")
    assert crew.ended(job).progress == Progress(10, 10, "again")


def test_the_owner_stays_with_the_job_and_what_it_dispatches_c20(crew: Plant) -> None:
    """C20: also when it has ended, in any pool; what a chain goes on with is the owner's too."""
    owner = {"headers": {"umbel_owner": "alice"}}
    job = crew.send("parent", "child", **owner)
    assert crew.ended(job).owner == "alice"
    child = crew.ended(str(crew.app.AsyncResult(job).get(timeout=60)))
    assert child.owner == "alice"
    first = crew.app.signature(crew.task("say"), ("a",), immutable=True)
    second = crew.app.signature(crew.task("fail"), ("b",), immutable=True)
    result = (first | second).apply_async(**owner)
    ended = crew.ended(str(result.id))
    assert (ended.state, ended.owner) == (JobState.FAILED, "alice")
    unknown = crew.app.send_task("nobody.knows", **owner)
    assert crew.ended(str(unknown.id)).owner == "alice"


def test_a_second_run_of_an_id_replaces_the_result_of_the_first_c18(crew: Plant) -> None:
    for word in ("first", "second"):
        crew.send("say", word, task_id="same")
        crew.until_told("say", word)
        until(lambda word=word: crew.app.status("same").result == word, f"the result of the {word}")  # type: ignore[misc]


def test_processes_for_suspects_end_when_there_are_none_c17(plant: Plant) -> None:
    worker = plant.start("-P", "prefork", concurrency=2)
    job = plant.send("poison", "one")
    assert plant.ended(job, 60).state is JobState.FAILED
    until(lambda: not worker.children("suspects"), "the end of the processes for suspects")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_dispatch_from_a_coroutine_c6(plant: Plant) -> None:
    """Web servers that load the application first and fork afterwards."""
    task = plant.app.task(name=plant.task("say"), shared=False)(_body)

    async def many(count: int) -> None:
        await asyncio.gather(*(task.adelay(f"w{number}") for number in range(count)))

    asyncio.run(many(8))
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(many(1))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def _body(word: str) -> str:
    return word
