"""Waiting for a result: with a deadline, and not where it would never end (C25)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import allow_join_result, denied_join_result

from umbel import Task, Umbel
from umbel.errors import WaitRefused


@pytest.fixture
def greet(jobs: Umbel) -> Task[..., Any]:
    @jobs.task(name="shop.greet")
    def greet(name: str) -> str:
        return name

    return greet


def ends(jobs: Umbel, task_id: str, value: Any = "done", state: str = "SUCCESS") -> None:
    """Store an end, as a worker elsewhere would."""
    jobs.backend.store_result(task_id, value, state)


def soon(action: Callable[[], None]) -> None:
    threading.Timer(0.05, action).start()


def test_c25_waiting_has_a_deadline(make_app: Callable[..., Umbel]) -> None:
    jobs = make_app(result_timeout="100ms")
    began = time.monotonic()
    with pytest.raises(CeleryTimeoutError):
        jobs.AsyncResult("never").get()
    assert time.monotonic() - began >= 0.1


def test_c25_the_default_is_a_minute(jobs: Umbel) -> None:
    from umbel import result

    assert result._timeout(jobs, result._UNSET) == 60.0
    assert result._timeout(jobs, None) is None, "who asks for no deadline gets none"
    assert result._timeout(jobs, 5) == 5.0


@pytest.mark.parametrize("wait", ["get", "wait"])
def test_c25_a_deadline_given_holds(jobs: Umbel, wait: str) -> None:
    with pytest.raises(CeleryTimeoutError):
        getattr(jobs.AsyncResult("never"), wait)(timeout=0.05)


def test_c25_a_result_that_comes_ends_the_wait(jobs: Umbel, greet: Task[..., Any]) -> None:
    handle = greet.delay("Ann")
    soon(lambda: ends(jobs, handle.id, {"x": 1}))
    assert handle.get(timeout=30) == {"x": 1}


def test_c25_a_failure_is_raised(jobs: Umbel, greet: Task[..., Any]) -> None:
    handle = greet.delay("Ann")
    ends(jobs, handle.id, KeyError("no"), "FAILURE")
    with pytest.raises(KeyError):
        handle.get(timeout=30)


def test_c25_in_an_event_loop_it_is_refused_with_the_way_out(jobs: Umbel, greet: Task[..., Any]) -> None:
    handle = greet.delay("Ann")
    group = jobs.GroupResult("g", [handle])
    results = jobs.ResultSet([handle])

    async def main() -> list[str]:
        said = []
        for one in (handle, group, results):
            with pytest.raises(WaitRefused) as caught:
                one.get(timeout=30)
            said.append(str(caught.value))
        return said

    for text in asyncio.run(main()):
        assert "aget" in text


def test_c25_a_result_that_is_here_already_is_no_wait(jobs: Umbel, greet: Task[..., Any]) -> None:
    handle = greet.delay("Ann")
    ends(jobs, handle.id)
    assert handle.get() == "done"

    async def main() -> Any:
        return handle.get()

    assert asyncio.run(main()) == "done"


def test_c25_inside_a_job_it_is_refused_with_the_way_out(jobs: Umbel, greet: Task[..., Any]) -> None:
    handle = greet.delay("Ann")
    group = jobs.GroupResult("g", [handle])
    with denied_join_result():
        for one in (handle, group):
            with pytest.raises(WaitRefused, match="chain the jobs, use a chord"):
                one.get(timeout=30)
        with allow_join_result(), pytest.raises(CeleryTimeoutError):
            handle.get(timeout=0.01)
        with pytest.raises(CeleryTimeoutError):
            handle.get(timeout=0.01, disable_sync_subtasks=False)


def test_c25_eager_mode_is_excepted(jobs: Umbel, greet: Task[..., Any]) -> None:
    jobs.conf.task_always_eager = True

    async def main() -> Any:
        return greet.delay("Ann").get()

    assert asyncio.run(main()) == "Ann"


def test_c25_awaiting_leaves_the_loop_free(jobs: Umbel, greet: Task[..., Any]) -> None:
    handle = greet.delay("Ann")

    async def main() -> tuple[Any, int]:
        ticks = 0
        waiting = asyncio.create_task(handle.aget(timeout=30))
        while ticks < 20:
            await asyncio.sleep(0.002)
            ticks += 1
        ends(jobs, handle.id)
        return await waiting, ticks

    assert asyncio.run(main()) == ("done", 20)


def test_c25_awaiting_has_a_deadline_and_raises(make_app: Callable[..., Umbel]) -> None:
    jobs = make_app(result_timeout="50ms")
    ends(jobs, "failed", KeyError("no"), "FAILURE")

    async def main() -> Any:
        with pytest.raises(CeleryTimeoutError):
            await jobs.AsyncResult("never").aget()
        with pytest.raises(CeleryTimeoutError):
            await jobs.AsyncResult("never").aget(timeout=0.01)
        with pytest.raises(KeyError):
            await jobs.AsyncResult("failed").aget()
        return await jobs.AsyncResult("failed").aget(propagate=False)

    assert isinstance(asyncio.run(main()), KeyError)


def test_many_are_waited_for_together(jobs: Umbel, greet: Task[..., Any]) -> None:
    handles = [greet.delay("x") for _ in range(20)]
    soon(lambda: [ends(jobs, handle.id, number) for number, handle in enumerate(handles)] and None)
    assert jobs.ResultSet(handles).get(timeout=30) == list(range(20))
    assert jobs.GroupResult("g", handles).get(timeout=30) == list(range(20))
