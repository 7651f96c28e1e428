"""C5, C23: custom task classes, their hooks, and Celery's signals."""

from __future__ import annotations

from typing import Any

from celery import signals

from tests.acceptance.semantics.jobs import Jobs, failure, outcome

_HOOKS = {"before_start", "on_success", "on_failure", "on_retry", "after_return", "body"}
_OF_A_RUN = {"task_prerun", "task_postrun", "task_success", "task_failure", "task_retry"}


def _words(jobs: Jobs, task_id: str, wanted: set[str]) -> list[str]:
    return [word for word in jobs.trail.words(task_id) if word in wanted]


def test_hooks_of_a_success(jobs: Jobs) -> None:
    """C5, C23: each once, in order, and with the job's own request."""
    result = jobs.hooked_ok.delay("value")
    assert outcome(result) == "value"
    jobs.trail.wait(result.id, "after_return")
    assert _words(jobs, result.id, _HOOKS) == ["before_start", "body", "on_success", "after_return"]
    assert jobs.trail.notes(result.id, "before_start")[0]["request"] == result.id
    assert jobs.trail.notes(result.id, "before_start")[0]["args"] == ["value"]
    assert jobs.trail.notes(result.id, "on_success")[0]["request"] == result.id
    assert jobs.trail.notes(result.id, "after_return")[0]["status"] == "SUCCESS"
    assert jobs.trail.notes(result.id, "body")[0]["greeting"] == "hello"


def test_hooks_of_a_failure(jobs: Jobs) -> None:
    """C5, C23"""
    result = jobs.hooked_fail.delay()
    assert isinstance(failure(result), ValueError)
    jobs.trail.wait(result.id, "after_return")
    assert _words(jobs, result.id, _HOOKS) == ["before_start", "body", "on_failure", "after_return"]
    noted = jobs.trail.notes(result.id, "on_failure")[0]
    assert (noted["error"], noted["traceback"]) == ("ValueError", True)
    assert jobs.trail.notes(result.id, "after_return")[0]["status"] == "FAILURE"


def test_hooks_of_a_retry(jobs: Jobs) -> None:
    """C5, C23"""
    result = jobs.hooked_retry.delay()
    assert outcome(result) == "second"
    jobs.trail.wait(result.id, "after_return")
    jobs.trail.wait(result.id, "on_retry")
    first = ["before_start", "body", "on_retry"]
    assert set(_words(jobs, result.id, _HOOKS)) == {*first, "on_success", "after_return"}
    assert len(jobs.trail.notes(result.id, "before_start")) == 2
    assert len(jobs.trail.notes(result.id, "on_retry")) == 1
    assert len(jobs.trail.notes(result.id, "on_success")) == 1


def test_more_jobs_of_a_plain_base_than_slots(jobs: Jobs) -> None:
    """C5: a base that knows nothing of Umbel gives its slot back after every job."""
    slots = jobs.world.plan.concurrency * jobs.world.plan.nodes
    for number in range(slots + 2):
        assert outcome(jobs.hooked_ok.delay(number)) == number


def test_more_jobs_of_a_class_than_slots(jobs: Jobs) -> None:
    """C5: a task written as a class of Celery's, with ``run``, and registered by hand."""
    slots = jobs.world.plan.concurrency * jobs.world.plan.nodes
    for number in range(slots + 2):
        assert outcome(jobs.classy.delay(number)) == [number, "kept"]


def test_own_call_wraps_the_body(jobs: Jobs) -> None:
    """C5: what it sets up is there in the body, coroutine or not, and taken down after it."""
    result = jobs.called.delay()
    assert outcome(result) == "inside"
    jobs.trail.wait(result.id, "called")
    assert _words(jobs, result.id, {"call", "body", "called"}) == ["call", "body", "called"]


def test_own_call_by_way_of_super(jobs: Jobs) -> None:
    """C5: ``super().__call__`` returns the body's value."""
    result = jobs.called_super.delay([1, 2])
    assert outcome(result) == [1, 2]
    assert jobs.trail.wait(result.id, "called")[0]["result"] == [1, 2]
    assert jobs.trail.notes(result.id, "body")[0]["current"] == result.id


def test_signals_of_a_success(jobs: Jobs) -> None:
    """C23"""
    result = jobs.add.delay(1, 2)
    outcome(result)
    jobs.trail.wait(result.id, "task_postrun")
    jobs.trail.wait(result.id, "task_received")
    assert _words(jobs, result.id, _OF_A_RUN) == ["task_prerun", "task_success", "task_postrun"]
    assert jobs.trail.notes(result.id, "task_postrun")[0]["state"] == "SUCCESS"
    assert jobs.trail.notes(result.id, "task_prerun")[0]["name"] == jobs.named("add")


def test_signals_of_a_failure(jobs: Jobs) -> None:
    """C23"""
    result = jobs.fail.delay()
    failure(result)
    jobs.trail.wait(result.id, "task_postrun")
    assert _words(jobs, result.id, _OF_A_RUN) == ["task_prerun", "task_failure", "task_postrun"]
    assert jobs.trail.notes(result.id, "task_failure")[0]["error"] == "ValueError"
    assert jobs.trail.notes(result.id, "task_postrun")[0]["state"] == "FAILURE"


def test_signals_of_a_retry(jobs: Jobs, key: str) -> None:
    """C23"""
    result = jobs.flaky.delay(key, 1)
    outcome(result)
    jobs.trail.wait(result.id, "task_postrun", 2)
    words = _words(jobs, result.id, _OF_A_RUN)
    assert sorted(words) == sorted(
        ["task_prerun", "task_retry", "task_postrun"] + ["task_prerun", "task_success", "task_postrun"]
    )
    assert sorted(entry["state"] for entry in jobs.trail.notes(result.id, "task_postrun")) == ["RETRY", "SUCCESS"]


def test_signal_of_an_unknown_task(jobs: Jobs) -> None:
    """C23"""
    result = jobs.world.app.send_task("nobody.knows.me")
    assert jobs.trail.wait(result.id, "task_unknown")[0]["name"] == "nobody.knows.me"


def test_signals_of_publishing_at_the_client(jobs: Jobs) -> None:
    """C23: before and after, with headers and body."""
    seen: list[tuple[str, str, str]] = []

    def before(sender: Any = None, headers: Any = None, **_: Any) -> None:
        seen.append(("before", str(sender), headers["id"]))

    def after(sender: Any = None, headers: Any = None, **_: Any) -> None:
        seen.append(("after", str(sender), headers["id"]))

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    try:
        result = jobs.add.delay(1, 2)
    finally:
        signals.before_task_publish.disconnect(before)
        signals.after_task_publish.disconnect(after)
    name = jobs.named("add")
    assert seen == [("before", name, result.id), ("after", name, result.id)]
    outcome(result)


def test_signals_of_publishing_in_a_worker(jobs: Jobs, key: str) -> None:
    """C23: what a job dispatches, and what its end publishes."""
    parent = jobs.spawn.delay(key)
    child, _ = outcome(parent)
    jobs.trail.wait(child, "before_task_publish")
    jobs.trail.wait(child, "after_task_publish")
    last = (jobs.add.s(1, 1) | jobs.double.s()).delay()
    outcome(last)
    jobs.trail.wait(last.id, "before_task_publish")
    jobs.trail.wait(last.id, "after_task_publish")


def test_signal_of_a_ready_worker(jobs: Jobs) -> None:
    """C23: once for every node."""
    ready = {entry["hostname"] for entry in jobs.trail.notes("worker", "ready")}
    assert ready >= set(jobs.world.inspect().ping())
