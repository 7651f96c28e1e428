"""Dispatching from an event loop that must not stall (C6)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from umbel import Task, Umbel
from umbel.errors import DispatchTimeout, InvalidArguments

TIMEOUT = 1.5

_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def greet(jobs: Umbel) -> Task[..., Any]:
    @jobs.task(name="shop.greet")
    def greet(name: str) -> str:
        return name

    return greet


@contextmanager
def locked(jobs: Umbel) -> Iterator[None]:
    """Let another process hold the store's write lock."""
    jobs.engine.queues()
    command = [sys.executable, "-c", _HOLDER, str(jobs.store_path_in_use)]  # type: ignore[attr-defined]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        holder.kill()
        holder.communicate()


@pytest.fixture(autouse=True)
def _where(jobs: Umbel) -> None:
    jobs.store_path_in_use = jobs.engine.path  # type: ignore[attr-defined]


async def ticks(number: int) -> None:
    """Come back to the loop so often."""
    for _ in range(number):
        await asyncio.sleep(0.002)


def ids(jobs: Umbel) -> list[str | None]:
    jobs.engine.open_lease("here@test", [], 1)
    return [delivery.task_id for delivery in jobs.engine.fetch({jobs.conf.task_default_queue: 0}, 100)]


def test_c6_the_loop_goes_on_while_the_store_is_locked(jobs: Umbel, greet: Task[..., Any]) -> None:
    """And the caller is told within its time: what happened, and how to repeat it safely."""

    async def main() -> DispatchTimeout:
        dispatch = asyncio.create_task(greet.aapply_async(("Ann",), timeout=TIMEOUT))
        # A loop that waited for the store would not come back before the dispatch does, however busy the machine is.
        await ticks(10)
        assert not dispatch.done()
        with pytest.raises(DispatchTimeout) as caught:
            await dispatch
        return caught.value

    with locked(jobs):
        began = time.monotonic()
        error = asyncio.run(main())
        assert time.monotonic() - began >= TIMEOUT
    assert (error.task, error.timeout) == ("shop.greet", TIMEOUT)
    assert repr(error.task_id) in str(error)

    repeated = asyncio.run(again(greet, error.task_id))
    assert repeated == error.task_id
    assert ids(jobs) == [error.task_id], "the repeated dispatch came twice"


async def again(greet: Task[..., Any], task_id: str) -> str:
    """Dispatch again, as the error says."""
    handle = await greet.aapply_async(("Ann",), task_id=task_id, timeout=30)
    return str(handle.id)


def test_c6_a_late_first_dispatch_does_not_double_its_repetition(jobs: Umbel, greet: Task[..., Any]) -> None:
    """The one that timed out is written after the one that repeated it."""
    gate, came = threading.Event(), threading.Event()
    enqueue = type(jobs.engine).enqueue
    first = [True]

    def slow(self: Any, messages: Any) -> int:
        if first.pop() if first else False:
            assert gate.wait(30)
            try:
                return enqueue(self, messages)
            finally:
                came.set()
        return enqueue(self, messages)

    async def main() -> str:
        with pytest.raises(DispatchTimeout) as caught:
            await greet.aapply_async(("Ann",), timeout=0.2)
        await again(greet, caught.value.task_id)
        return caught.value.task_id

    jobs.engine.queues()
    with mock.patch.object(type(jobs.engine), "enqueue", slow):
        task_id = asyncio.run(main())
        gate.set()
        assert came.wait(30)
    assert ids(jobs) == [task_id]


def test_c6_the_default_timeout_is_a_setting(make_app: Callable[..., Umbel]) -> None:
    jobs = make_app(dispatch_timeout="150ms")
    jobs.store_path_in_use = jobs.engine.path  # type: ignore[attr-defined]
    greet = jobs.task(name="shop.hello")(hello)

    async def main() -> float:
        with pytest.raises(DispatchTimeout) as caught:
            await greet.adelay()
        return caught.value.timeout

    with locked(jobs):
        assert asyncio.run(main()) == 0.15


def hello() -> None: ...


def test_c6_a_free_store_takes_it(jobs: Umbel, greet: Task[..., Any]) -> None:
    async def main() -> list[str]:
        first = await greet.adelay("Ann")
        second = await greet.aapply_async(("Bob",), task_id="mine", priority=3, owner="user-7")
        return [str(first.id), str(second.id)]

    found = asyncio.run(main())
    where = jobs.engine.locate("mine")
    assert where is not None
    assert (where.priority, where.owner) == (3, "user-7")
    assert sorted(map(str, ids(jobs))) == sorted(found)


def test_c6_many_at_once(jobs: Umbel, greet: Task[..., Any]) -> None:
    async def main() -> list[str]:
        return [str(handle.id) for handle in await asyncio.gather(*(greet.adelay("x") for _ in range(40)))]

    found = asyncio.run(main())
    assert sorted(map(str, ids(jobs))) == sorted(found)


def test_c13_mistakes_are_told_like_anywhere(greet: Task[..., Any]) -> None:
    with pytest.raises(InvalidArguments):
        asyncio.run(greet.adelay())  # type: ignore[call-arg]


def test_c6_a_cancelled_dispatch_is_cancelled(greet: Task[..., Any]) -> None:
    async def main() -> None:
        task = asyncio.create_task(greet.aapply_async(("x",), timeout=30))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
