"""How far a job is (C21)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umbel import JobState, Progress, Umbel, progress
from umbel.engine.execution import Execution, current_execution
from umbel.engine.flusher import Flusher
from umbel.engine.job import Job, current_job


@pytest.fixture
def run(jobs: Umbel) -> Iterator[Execution]:
    """A running job, as the default pool makes it."""

    @jobs.task(name="shop.crop")
    def crop() -> None: ...

    jobs.finalize()
    crop.apply_async(task_id="a")
    engine: Any = jobs.engine
    engine.open_lease("here@test", [], 1)
    (delivery,) = engine.fetch({jobs.conf.task_default_queue: 0}, 1)
    flusher = Flusher(engine)
    execution = Execution(delivery, flusher, {"task": "shop.crop"})
    tokens = current_execution.set(execution), current_job.set(Job(print, None, jobs.tasks["shop.crop"], None, None))  # type: ignore[arg-type]
    yield execution
    current_execution.reset(tokens[0])
    current_job.reset(tokens[1])
    flusher.stop()


def test_outside_of_a_job_it_does_nothing() -> None:
    progress(1, 2, "nobody hears it")


@pytest.mark.parametrize("numbers", [(-1, 2), (1, -2), (float("nan"), 1), (1, float("inf"))])
def test_numbers_that_make_no_sense(numbers: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        progress(*numbers)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_c21_it_never_goes_back(run: Execution, told: list[float]) -> None:
    run.progress_told = None
    highest = 0.0
    for done in told:
        progress(done, 100)
        highest = max(highest, done)
        assert run.progress_told.done == highest
        assert run.progress_told.total == 100


def test_c21_it_ends_at_its_total(run: Execution) -> None:
    progress(150, 100)
    assert (run.progress_told.done, run.progress_told.fraction) == (100, 1.0)


def test_c21_it_carries_a_message_of_bounded_length(run: Execution) -> None:
    progress(1, 2, "half of it")
    assert run.progress_told.message == "half of it"
    progress(1, 2, "x" * 100_000)
    assert len(run.progress_told.message) == 500


def test_c21_a_new_total_is_a_new_count(run: Execution) -> None:
    progress(9, 10)
    progress(1, 100)
    assert (run.progress_told.done, run.progress_told.total) == (1, 100)


def test_c21_it_is_stored_within_moments(jobs: Umbel, run: Execution) -> None:
    progress(3, 4, "nearly")
    run._flusher.stop()
    status = jobs.status("a")
    assert (status.state, status.progress) == (JobState.PROGRESS, Progress(3, 4, "nearly"))


@pytest.mark.parametrize("value", [None, [], [1], "abc", [1, 2, 3, 4], ["a", 2, ""], {"done": 1}])
def test_what_is_no_progress_is_none(value: Any) -> None:
    assert Progress.from_list(value) is None


def test_a_progress_comes_back_from_its_list() -> None:
    assert Progress.from_list(Progress(1, 2, "x").as_list()) == Progress(1, 2, "x")
    assert Progress(0, 0).fraction == 1.0
