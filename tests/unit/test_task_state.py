"""What a running job may do to its own task and state (C5, C24)."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import Any

import pytest
from celery.app.task import Context

from umbel import Task, Umbel


@pytest.fixture
def crop(jobs: Umbel) -> Task[..., Any]:
    @jobs.task(name="shop.crop", bind=True)
    def crop(self: Any) -> None: ...

    jobs.finalize()
    task: Task[..., Any] = jobs.tasks["shop.crop"]
    task.colour = "none"
    return task


class running:
    """A run of a task, as a worker makes it."""

    def __init__(self, task: Any, task_id: str = "a", **request: Any) -> None:
        self.task = task
        self.request = {"id": task_id, "called_directly": False, "is_eager": False, **request}

    def __enter__(self) -> Any:
        # As the tracer does; push_request would carry on the run that is there.
        self.task.request_stack.push(Context(self.request))
        return self.task

    def __exit__(self, *_: object) -> None:
        self.task.request_stack.pop()


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_c24_a_job_cannot_write_its_own_end(
    jobs: Umbel, crop: Task[..., Any], state: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running(crop), caplog.at_level(logging.WARNING):
        crop.update_state(state=state, meta={"x": 1})
        crop.update_state("a", state, {"x": 1})
    assert jobs.engine.read(["a"]) == []
    assert (
        caplog.messages
        == [f"shop.crop[a] tried to set its own final state {state}, which is ignored: return or raise instead."] * 2
    )
    jobs.backend.store_result("a", ValueError("real"), "FAILURE")
    assert isinstance(jobs.AsyncResult("a").result, ValueError)


@pytest.mark.parametrize("state", ["PROGRESS", "CROPPING", "STARTED"])
def test_c5_passing_states_are_written(jobs: Umbel, crop: Task[..., Any], state: str) -> None:
    with running(crop):
        crop.update_state(state=state, meta={"done": 5})
    result = jobs.AsyncResult("a")
    assert (result.state, result.info) == (state, {"done": 5})


def test_c5_another_jobs_state_may_be_written(jobs: Umbel, crop: Task[..., Any]) -> None:
    with running(crop):
        crop.update_state("other", "SUCCESS", 5)
    assert jobs.AsyncResult("other").result == 5


# -- attributes -------------------------------------------------------------------------------------------------


def test_c5_attributes_set_by_a_run_end_with_it(crop: Task[..., Any]) -> None:
    with running(crop):
        crop.colour = "red"
        crop.fresh = 5
        assert (crop.colour, crop.fresh) == ("red", 5)
    assert crop.colour == "none"
    with pytest.raises(AttributeError):
        assert crop.fresh
    with running(crop, "b"):
        assert crop.colour == "none"
        with pytest.raises(AttributeError):
            assert crop.fresh


def test_c5_runs_at_the_same_time_do_not_see_each_other(crop: Task[..., Any]) -> None:
    """A hundred jobs of one task in one process: on threads here, each with its own value throughout."""
    barrier = threading.Barrier(20)
    wrong: list[tuple[int, Any]] = []

    def run(number: int) -> None:
        with running(crop, f"job-{number}"):
            crop.colour = number
            barrier.wait(30)
            for _ in range(50):
                if crop.colour != number:
                    wrong.append((number, crop.colour))

    threads = [threading.Thread(target=contextvars.Context().run, args=(run, number)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert crop.colour == "none"


def test_c5_nested_runs_keep_their_own(crop: Task[..., Any]) -> None:
    """A job that applies another of the same task, here and now."""
    with running(crop, "outer"):
        crop.colour = "outer"
        with running(crop, "inner"):
            assert crop.colour == "none"
            crop.colour = "inner"
        assert crop.colour == "outer"


def test_attributes_set_outside_of_a_run_are_shared(crop: Task[..., Any]) -> None:
    with running(crop):
        crop.colour = "red"
    crop.colour = "blue"
    with running(crop, "b"):
        assert crop.colour == "blue"


def test_attributes_that_begin_with_an_underscore_are_shared(crop: Task[..., Any]) -> None:
    """A connection or a cache, made once a process."""
    with running(crop):
        crop._connection = "open"
    assert crop._connection == "open"


def test_an_attribute_of_a_run_can_be_deleted(crop: Task[..., Any]) -> None:
    with running(crop):
        crop.colour = "red"
        del crop.colour
        assert crop.colour == "none"
        with pytest.raises(AttributeError):
            del crop.colour


def test_c5_a_gathered_child_sees_its_jobs_request(crop: Task[..., Any]) -> None:
    with running(crop, "mine"):
        inherited = contextvars.copy_context()
    assert inherited.run(lambda: crop.request.id) == "mine"
    assert crop.request.id is None
