"""C23, C45: what ``app.events.Receiver`` hears from a worker that was started with ``-E``."""

from __future__ import annotations

import pytest

from tests.acceptance.semantics.jobs import Jobs, failure, outcome
from tests.acceptance.semantics.listening import listen


def test_events_of_a_success(jobs: Jobs) -> None:
    """C23: each once, in order, with what monitors show."""
    with listen(jobs.world) as heard:
        result = jobs.add.delay(1, y=2)
        outcome(result)
        succeeded = heard.wait("task-succeeded", result.id)
        received = heard.wait("task-received", result.id)
        started = heard.wait("task-started", result.id)
        heard.wait("task-sent", result.id)
    assert received["name"] == jobs.named("add")
    assert "1" in received["args"]
    assert "2" in received["kwargs"]
    assert succeeded["result"] == "3"
    assert succeeded["runtime"] >= 0
    assert received["hostname"] == started["hostname"] == succeeded["hostname"]
    assert [type for type in heard.of(result.id) if type != "task-sent"] == [
        "task-received",
        "task-started",
        "task-succeeded",
    ]


def test_events_of_a_failure(jobs: Jobs) -> None:
    """C23"""
    with listen(jobs.world) as heard:
        result = jobs.fail.delay("seen")
        failure(result)
        failed = heard.wait("task-failed", result.id)
    assert "ValueError" in failed["exception"]
    assert "seen" in failed["traceback"]


def test_events_of_a_retry(jobs: Jobs, key: str) -> None:
    """C23: one for each decision."""
    with listen(jobs.world) as heard:
        result = jobs.flaky.delay(key, 2)
        outcome(result)
        heard.wait("task-succeeded", result.id)
    assert heard.of(result.id).count("task-retried") == 2
    assert heard.of(result.id).count("task-succeeded") == 1
    assert heard.of(result.id).count("task-failed") == 0


def test_events_of_a_revoked_job(jobs: Jobs, key: str) -> None:
    """C23"""
    with listen(jobs.world) as heard:
        result = jobs.mark.apply_async((key,), countdown=1)
        result.revoke()
        revoked = heard.wait("task-revoked", result.id)
    assert revoked["terminated"] is False
    assert revoked["expired"] is False


@pytest.mark.worlds("celery-prefork", "umbel", "umbel-prefork", "umbel-rabbit")
def test_events_of_a_terminated_job(jobs: Jobs, key: str) -> None:
    """C23, C22"""
    with listen(jobs.world) as heard:
        result = jobs.hold.delay(key)
        jobs.trail.wait(key, "started")
        result.revoke(terminate=True)
        assert heard.wait("task-revoked", result.id)["terminated"] is True


def test_duration_is_that_of_the_body(jobs: Jobs, key: str) -> None:
    """C23: at least as long as the body waited for its limit, not since it was queued."""
    with listen(jobs.world) as heard:
        result = jobs.wait_at_gate.apply_async((key,), countdown=0.5)
        jobs.trail.wait(key, "started")
        jobs.trail.open_gate(key)
        outcome(result)
        succeeded = heard.wait("task-succeeded", result.id)
    started, ended = jobs.trail.notes(key)
    assert succeeded["runtime"] >= ended["at"] - started["at"] - 0.01


def test_state_of_a_monitor(jobs: Jobs) -> None:
    """C45: Flower and ``celery events`` keep their picture with this class."""
    state = jobs.world.app.events.State()
    with listen(jobs.world) as heard:
        result = jobs.add.delay(1, 2)
        outcome(result)
        heard.wait("task-succeeded", result.id)
        heard.wait("worker-heartbeat")
    for event in heard.events:
        state.event(event)
    task = state.tasks[result.id]
    assert (task.state, task.name, task.result) == ("SUCCESS", jobs.named("add"), "3")
    assert task.worker.hostname in jobs.world.inspect().ping()


def test_children_know_their_tree(jobs: Jobs, key: str) -> None:
    """C45: events carry root and parent."""
    with listen(jobs.world) as heard:
        parent = jobs.spawn.delay(key)
        child, _ = outcome(parent)
        received = heard.wait("task-received", child)
    assert (received["root_id"], received["parent_id"]) == (parent.id, parent.id)


def test_worker_announces_itself_and_its_end(jobs: Jobs) -> None:
    """C45"""
    with listen(jobs.world) as heard:
        with jobs.world.worker("-E", queues=("late",)) as worker:
            nodes = worker.nodes
            for node in nodes:
                heard.wait("worker-online", node=node)
        for node in nodes:
            heard.wait("worker-offline", node=node)


def test_events_are_switched_on_and_off_by_control(jobs: Jobs, key: str) -> None:
    """C45: a worker that was started without ``-E``."""

    def switch(command: str) -> list[dict[str, dict[str, str]]]:
        return list(jobs.world.app.control.broadcast(command, destination=[node], reply=True, timeout=20, limit=1))

    def run() -> str:
        result = jobs.mark.apply_async((key,), queue="late")
        jobs.trail.wait(result.id, "task_postrun")
        return str(result.id)

    with jobs.world.worker(queues=("late",)) as worker, listen(jobs.world) as heard:
        node = worker.nodes[0]
        silent = run()
        assert switch("enable_events") == [{node: {"ok": "task events enabled"}}]
        heard.wait("task-succeeded", run())
        assert switch("disable_events") == [{node: {"ok": "task events disabled"}}]
        silent_again = run()
        loud = jobs.add.delay(1, 1)
        heard.wait("task-succeeded", loud.id)
    for task_id in (silent, silent_again):
        assert set(heard.of(task_id)) <= {"task-sent"}
